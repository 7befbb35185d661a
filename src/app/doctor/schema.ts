/** Owns the check of the schema: as new as the program, not newer, and partitions for the days to come. */

import type pg from 'pg';

import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';
import { knownMigrations } from '#store/migrate.ts';

export const checkSchema: Check = async ({ database, servers }) => {
  if (database.kind !== 'connected') return [];
  const { client } = database;
  const schema = await compareSchema(client);
  if (schema === null) return [ok('schema', 'The database is empty; the first start makes the schema.')];
  if (schema.unknown.length > 0)
    return [
      problem(
        'schema',
        `The database was written by a newer Kymo (${schema.unknown.at(-1)}), which this one must not touch.`,
        'git pull, then start again; or npm run kymo -- restore OLDER-BACKUP --data FOLDER',
      ),
    ];
  if (schema.pending.length > 0)
    return [
      warning(
        'schema',
        `The schema is older than this program: ${schema.pending.join(', ')} will be applied at the next start.`,
        'npm run kymo -- migrate',
      ),
    ];
  return [
    ok('schema', `The schema is up to date (${schema.newest}).`),
    judgePartitions(await classesWithoutTomorrow(client), servers.length > 0),
    ...judgeTimeline(await tellsTimeline(client)),
  ];
};

export function judgeTimeline(isTold: boolean): Finding[] {
  if (isTold) return [];
  return [
    warning(
      'standby',
      'The database does not tell the timeline of its log: a failover that loses commits would not be noticed.',
      'read "When the database fails over" in docs/operations.md',
    ),
  ];
}

async function tellsTimeline(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ told: boolean }>('select kymo.timeline() is not null as told');
  return rows[0]!.told;
}

export function judgePartitions(
  { classes, missing }: { classes: number; missing: readonly string[] },
  isServing: boolean,
): Finding {
  if (classes > 0 && missing.length === 0) return ok('partitions', "Tomorrow's partitions are there.");
  if (!isServing)
    return ok('partitions', 'No server runs; the next start makes the partitions of the days to come.');
  return problem(
    'partitions',
    `Tomorrow's partitions are missing${missing.length > 0 ? ` (${missing.join(', ')})` : ''}, though a server runs: readings would wait from midnight UTC on.`,
    'look for "partitions could not be made" in the log of the server, then restart it',
  );
}

/** Partitions of kymo.chunk by class, and those of them that end before tomorrow does (UTC). */
async function classesWithoutTomorrow(client: pg.Client): Promise<{ classes: number; missing: string[] }> {
  const { rows } = await client.query<{ name: string; has: boolean }>(
    `select c.relname as name,
            to_regclass(format('kymo.%I', c.relname || to_char(now() at time zone 'UTC' + interval '1 day', '_YYYYMMDD')))
              is not null as has
       from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = to_regclass('kymo.chunk')
      order by 1`,
  );
  return { classes: rows.length, missing: rows.filter((row) => !row.has).map((row) => row.name) };
}

/** The schema of a database beside this program's; null when there is none yet. */
async function compareSchema(
  client: pg.Client,
): Promise<{ newest: string; pending: readonly string[]; unknown: readonly string[] } | null> {
  const { rows: tables } = await client.query<{ there: boolean }>(
    "select to_regclass('public.kymo_migration') is not null as there",
  );
  if (tables[0]?.there !== true) return null;
  const { rows } = await client.query<{ name: string }>(
    'select name from public.kymo_migration order by name',
  );
  const applied = rows.map((row) => row.name);
  const known = await knownMigrations();
  return {
    newest: applied.at(-1) ?? 'none',
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}
