/**
 * Owns the reading of the audit log by those who may: newest first, by keyset, each page in one round trip with the newest
 * block of the chain beside it.
 */

import type { AuditPage, AuditRecord } from '#contract/audit.ts';
import { runAsOrg, type OrgScope, type RolePool, type Statement } from '#store/pools.ts';

export interface AuditFilter {
  readonly limit: number;
  /** `next` of the page before. */
  readonly cursor: string | null;
  readonly patientId: string | null;
  /** Subject of the actor. */
  readonly actor: string | null;
  readonly from: Date | null;
  /** Exclusive. */
  readonly to: Date | null;
}

interface Row {
  readonly id: number;
  readonly at: Date;
  /** Microseconds since 1970: a Date holds milliseconds only. */
  readonly atUs: string;
  readonly requestId: string | null;
  readonly kind: string;
  readonly role: string;
  readonly subject: string;
  readonly action: string;
  readonly route: string;
  readonly patientId: string | null;
  readonly resourceKind: string | null;
  readonly resourceId: string | null;
  readonly patients: string[] | null;
  readonly status: number | null;
  readonly address: string | null;
}

const columns = `id, at, (extract(epoch from at) * 1000000)::bigint::text as "atUs", request_id as "requestId",
  actor_kind as kind, actor_role as role, actor as subject, action, route, patient_id as "patientId",
  resource_kind as "resourceKind", resource_id as "resourceId", patients, status, address`;

/** `$1`: not before; (`$2`, `$3`): older than; `$4`: how many. */
const anyText = `select ${columns} from kymo.audit_entry
  where org_id = kymo.current_org() and at >= $1 and (at, id) < ($2::timestamptz, $3::bigint)
  order by at desc, id desc limit $4`;
const byActorText = `select ${columns} from kymo.audit_entry
  where org_id = kymo.current_org() and actor = $5 and at >= $1 and (at, id) < ($2::timestamptz, $3::bigint)
  order by at desc, id desc limit $4`;
const byPatientText = `select ${columns} from kymo.audit_of_patient($5, $6, $1, $2, $3, $4)`;

const headStatement: Statement = {
  name: 'audit-head',
  text: `select number as block, encode(hash, 'hex') as hash, sealed_at as "sealedAt" from kymo.audit_block
    where org_id = kymo.current_org() order by number desc limit 1`,
};

/** Null when the cursor is none of this list. */
export async function listAuditEntries(
  app: RolePool,
  scope: OrgScope,
  filter: AuditFilter,
): Promise<AuditPage | null> {
  const { limit, patientId, actor } = filter;
  const before = startOf(filter);
  if (before === null) return null;
  // One more tells whether there is a next page.
  const values = [filter.from?.toISOString() ?? '-infinity', before.at, before.id, limit + 1];
  const statement: Statement =
    patientId !== null
      ? { name: 'audit-of-patient', text: byPatientText, values: [...values, patientId, actor] }
      : actor !== null
        ? { name: 'audit-of-actor', text: byActorText, values: [...values, actor] }
        : { name: 'audit-any', text: anyText, values };
  const [found, heads] = await runAsOrg(app, scope, {
    statements: [statement, headStatement],
    mode: 'snapshot',
  });
  const rows = found!.rows as Row[];
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  const head = heads!.rows[0] as { block: number; hash: string; sealedAt: Date } | undefined;
  return {
    entries: rows.slice(0, limit).map(recordOf),
    next: last === undefined ? null : `${last.atUs}.${last.id}`,
    head: head === undefined ? null : { ...head, sealedAt: head.sealedAt.toISOString() },
  };
}

function startOf({ cursor, to }: AuditFilter): { at: string; id: string } | null {
  const most = '9223372036854775807';
  if (cursor === null)
    // Ids begin with 1, so that what happened at `to` itself is left out.
    return to === null ? { at: 'infinity', id: most } : { at: to.toISOString(), id: '0' };
  const [, us, id] = /^(\d{1,16})\.(\d{1,18})$/.exec(cursor) ?? [];
  if (us === undefined || id === undefined) return null;
  const micros = us.slice(-6).padStart(6, '0');
  const second = new Date(Math.floor(Number(us) / 1_000_000) * 1_000).toISOString().slice(0, 19);
  return { at: `${second}.${micros}Z`, id };
}

function recordOf(row: Row): AuditRecord {
  const { kind, role, subject, resourceKind, resourceId } = row;
  return {
    id: row.id,
    at: row.at.toISOString(),
    requestId: row.requestId,
    actor: { kind, role, subject },
    action: row.action,
    route: row.route,
    patientId: row.patientId,
    resource: resourceKind === null || resourceId === null ? null : { kind: resourceKind, id: resourceId },
    patients: row.patients,
    status: row.status,
    address: row.address,
  };
}
