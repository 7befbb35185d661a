/**
 * Owns the reading of the audit log's chain for whoever checks it, as the owner, past row-level security: organisations,
 * their blocks in order, and the entries of a span. Answers are bounded: at most `blocks` blocks or `rows` entries.
 */

import type pg from 'pg';

export const chainReadLimits = {
  /** Of one answer: with 1,024 entries each 40 kB of digests and ids a block. */
  blocks: 64,
  /** Entries of one answer: some 4 MB. A block has at most 1,024. */
  rows: 8_192,
} as const;

/** Every organisation that anything of the log is of. */
export async function auditedOrganisations(owner: pg.Pool): Promise<string[]> {
  // From one organisation to the next by the index, instead of through all rows.
  const step = (table: string, index: string): string => `
    (with recursive org as (
       (select org_id from ${table} order by ${index} limit 1)
       union all
       select (select t.org_id from ${table} t where t.org_id > org.org_id order by ${index} limit 1)
         from org where org.org_id is not null)
     select org_id from org where org_id is not null)`;
  const { rows } = await owner.query<{ id: string }>(
    `select distinct org_id as id from (${step('kymo.audit_entry', 'org_id')}
       union all ${step('kymo.audit_block', 'org_id')}) found order by id`,
  );
  return rows.map(({ id }) => id);
}

export interface BlockRow {
  readonly orgId: string;
  readonly number: number;
  readonly firstId: string;
  readonly lastId: string;
  readonly rowCount: number;
  readonly sealedAtUs: string;
  readonly previous: Buffer;
  readonly content: Buffer;
  readonly hash: Buffer;
  readonly ids: string[] | null;
  readonly digests: Buffer | null;
}

/** The next blocks after number `after`, in order; none: that was all. */
export async function nextBlocks(owner: pg.Pool, orgId: string, after: number): Promise<BlockRow[]> {
  const { rows } = await owner.query<BlockRow>(
    `select org_id as "orgId", number::float8 as number, first_id::text as "firstId", last_id::text as "lastId",
            row_count as "rowCount", kymo.audit_us(sealed_at) as "sealedAtUs", previous, content, hash,
            ids::text[] as ids, digests
       from kymo.audit_block b where org_id = $1 and b.number > $2 order by b.number limit $3`,
    [orgId, after, chainReadLimits.blocks],
  );
  return rows;
}

export interface EntryRow {
  readonly id: string;
  readonly orgId: string;
  readonly atUs: string;
  readonly requestId: string | null;
  readonly actorKind: string;
  readonly actorRole: string;
  readonly actor: string;
  readonly action: string;
  readonly route: string;
  readonly patientId: string | null;
  readonly resourceKind: string | null;
  readonly resourceId: string | null;
  readonly patients: string[] | null;
  readonly status: string | null;
  readonly address: string | null;
}

/** Entries after `after` up to `to` (ids, as text), in order, at most `chainReadLimits.rows`. */
export async function entriesBetween(
  owner: pg.Pool,
  orgId: string,
  { after, to }: { readonly after: string; readonly to: string },
): Promise<EntryRow[]> {
  const { rows } = await owner.query<EntryRow>(
    `select id::text as id, org_id as "orgId", kymo.audit_us(at) as "atUs", request_id as "requestId",
            actor_kind as "actorKind", actor_role as "actorRole", actor, action, route, patient_id as "patientId",
            resource_kind as "resourceKind", resource_id as "resourceId", patients, status::text as status, address
       from kymo.audit_entry e where org_id = $1 and id > $2 and id <= $3 order by e.id limit $4`,
    [orgId, after, to, chainReadLimits.rows],
  );
  return rows;
}

/** Up to which id everything has been put into blocks. */
export async function sealedTo(owner: pg.Pool): Promise<string> {
  const { rows } = await owner.query<{ to: string }>(
    'select sealed_to::text as "to" from kymo.audit_standing',
  );
  return rows[0]?.to ?? '0';
}
