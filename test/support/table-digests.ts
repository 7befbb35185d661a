/**
 * Owns the comparison of whole databases: for every table of the schema kymo the number of rows and a checksum over all
 * of them in order. It uses none of the code that reads back-ups.
 */

import pg from 'pg';

export type TableDigests = Record<string, { readonly rows: number; readonly sha256: string }>;

/** Of kymo.server all but the incarnation, which a restore draws anew. */
export async function digestTables(ownerUrl: string): Promise<TableDigests> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read');
    const { rows: tables } = await client.query<{ name: string; owner: string }>(
      `select relname as name, pg_get_userbyid(relowner) as owner from pg_class
        where relnamespace = 'kymo'::regnamespace and relkind in ('r', 'p') and not relispartition order by 1`,
    );
    const digests: TableDigests = {};
    for (const { name, owner } of tables) {
      await client.query(`set local role ${owner}`);
      const row = name === 'server' ? '(t.only_row, t.created_at)' : 't';
      const { rows } = await client.query<{ rows: number; sha256: string }>(
        `select count(*)::integer as rows,
                encode(sha256(coalesce(string_agg(sha256(convert_to(r, 'UTF8')), '' order by r collate "C"), '')), 'hex') as sha256
           from (select ${row}::text as r from kymo.${name} t) all_rows`,
      );
      digests[name] = rows[0]!;
    }
    return digests;
  } finally {
    await client.end();
  }
}
