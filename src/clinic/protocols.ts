/**
 * Owns protocols: what is to be recorded, and on which segments. Every change is a new revision beside the older ones, which
 * the sessions that were planned by them keep. An archived one is kept for those and offered to nobody.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { authorise } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { Protocol, ProtocolChange, ProtocolPage, ProtocolRequest } from '#contract/visit.ts';
import { authorOf } from '#clinic/author.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { refuseUnstorable } from '#clinic/stored-text.ts';
import { outdated } from '#clinic/visits.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

/** Answers are JSON texts where they come from the cache. */
export interface Protocols {
  /** ProtocolPage, newest first, without archived ones. Null: `cursor` is not the `next` of a page. */
  list(
    principal: Principal,
    page: { readonly limit: number; readonly cursor: string | null },
  ): Promise<string | null>;
  read(principal: Principal, id: string): Promise<Protocol>;
  create(principal: Principal, request: ProtocolRequest): Promise<Protocol>;
  /** Errors: `outdated`, `conflict` (archived), `invalid-field`. */
  change(principal: Principal, id: string, change: ProtocolChange): Promise<Protocol>;
  /** Idempotent. */
  archive(principal: Principal, id: string): Promise<void>;
}

export const protocolLimits = {
  /** Of an organisation, archived ones too: a new one a day for three years. */
  protocols: 1_000,
  /** A change a day for as long. */
  revisions: 1_000,
} as const;

const TAGS = ['protocols'];

export function createProtocols(parts: {
  readonly app: RolePool;
  readonly cache: Pick<ReadCache, 'read' | 'change'>;
  readonly clock: Clock;
}): Protocols {
  const { app, cache, clock } = parts;
  const change = async (principal: Principal, statements: readonly Statement[]) =>
    cache.change(principal.orgId, TAGS, () => runAsOrg(app, principal, { statements, mode: 'change' }));
  return {
    async list(principal, { limit, cursor }) {
      authorise(principal, 'session.read', null);
      const after = cursor === null ? null : parseCursor(cursor);
      if (cursor !== null && after === null) return null;
      return cache.read(
        principal,
        { name: 'protocols', query: `${limit} ${cursor ?? ''}`, tags: TAGS },
        async () => {
          const statements = [pageStatement(limit + 1, after)];
          const [result] = await runAsOrg(app, principal, { statements, mode: 'snapshot' });
          return JSON.stringify(pageOf((result?.rows ?? []) as ProtocolRow[], limit));
        },
      );
    },
    async read(principal, id) {
      authorise(principal, 'session.read', null);
      const [result] = await runAsOrg(app, principal, {
        statements: [protocolStatement(id)],
        mode: 'snapshot',
      });
      return protocolOf(result?.rows[0] as ProtocolRow | undefined);
    },
    async create(principal, request) {
      authorise(principal, 'protocol.write', null);
      refuseUnstorable(request);
      refuseDoubles(request);
      const id = uuidv7(clock);
      const [made, , read] = await change(principal, createStatements(principal, id, request));
      if (made?.rowCount !== 1)
        throw new AppError(
          'limit-exceeded',
          `an organisation has at most ${protocolLimits.protocols} protocols`,
        );
      return protocolOf(read?.rows[0] as ProtocolRow | undefined);
    },
    async change(principal, id, request) {
      authorise(principal, 'protocol.write', null);
      refuseUnstorable(request);
      refuseDoubles(request);
      if (request.revision >= protocolLimits.revisions)
        throw new AppError('limit-exceeded', `a protocol has at most ${protocolLimits.revisions} revisions`);
      const [changed, read] = await change(principal, changeStatements(principal, id, request));
      const protocol = protocolOf(read?.rows[0] as ProtocolRow | undefined);
      if (changed?.rowCount === 1) return protocol;
      if (protocol.archivedAt !== null) throw new AppError('conflict', 'the protocol is archived');
      throw outdated();
    },
    async archive(principal, id) {
      authorise(principal, 'protocol.write', null);
      const archive = {
        name: 'archive-protocol',
        text: 'update kymo.protocol set archived_at = coalesce(archived_at, now()) where id = $1',
        values: [id],
      };
      const [result] = await change(principal, [archive]);
      if (result?.rowCount !== 1) throw noSuchProtocol();
    },
  };
}

function noSuchProtocol(): AppError {
  return new AppError('not-found', 'there is no such protocol');
}

function refuseDoubles({ tasks, segments }: ProtocolRequest): void {
  const double = (field: string, keys: readonly string[]): void => {
    const i = keys.findIndex((key, at) => keys.indexOf(key) !== at);
    if (i >= 0)
      throw new AppError('invalid-field', `"${keys[i]}" stands there twice`, { field: `/${field}/${i}` });
  };
  double(
    'tasks',
    tasks.map(({ code }) => code),
  );
  double(
    'segments',
    segments.map(({ segment }) => segment),
  );
}

interface ProtocolRow {
  readonly id: string;
  readonly revision: number;
  readonly name: string;
  readonly description: string;
  readonly tasks: Protocol['tasks'];
  readonly segments: Protocol['segments'];
  readonly created_at: Date;
  readonly made_at: Date;
  readonly made_by: string;
  readonly archived_at: Date | null;
  readonly cursor: string;
}

function protocolOf(row: ProtocolRow | undefined): Protocol {
  if (row === undefined) throw noSuchProtocol();
  const { id, revision, name, description, tasks, segments } = row;
  return {
    id,
    revision,
    name,
    description,
    tasks,
    segments,
    createdAt: row.created_at.toISOString(),
    madeAt: row.made_at.toISOString(),
    madeBy: row.made_by,
    archivedAt: row.archived_at?.toISOString() ?? null,
  };
}

function pageOf(rows: readonly ProtocolRow[], limit: number): ProtocolPage {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    protocols: shown.map(protocolOf),
    next: rows.length > limit && last !== undefined ? last.cursor : null,
  };
}

interface Cursor {
  readonly us: string;
  readonly id: string;
}

function parseCursor(text: string): Cursor | null {
  const match = /^(\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text);
  return match === null ? null : { us: match[1]!, id: match[2]! };
}

const columns = `p.id, p.revision, r.name, r.description, r.tasks, r.segments, p.created_at, r.made_at, r.made_by,
  p.archived_at, (extract(epoch from p.created_at) * 1000000)::bigint || '.' || p.id as cursor`;
const newest = 'kymo.protocol_revision r on r.protocol_id = p.id and r.revision = p.revision';

function pageStatement(limit: number, after: Cursor | null): Statement {
  const order = 'order by p.created_at desc, p.id desc';
  const behind =
    after === null
      ? ''
      : `and (p.created_at, p.id) < ('epoch'::timestamptz + $2::bigint * interval '1 microsecond', $3::uuid)`;
  return {
    name: after === null ? 'protocols' : 'protocols-after',
    text: `select ${columns} from (select * from kymo.protocol p where p.archived_at is null ${behind} ${order} limit $1) p
      join ${newest} ${order}`,
    values: after === null ? [limit] : [limit, after.us, after.id],
  };
}

function protocolStatement(id: string): Statement {
  return {
    name: 'protocol',
    text: `select ${columns} from kymo.protocol p join ${newest} where p.id = $1`,
    values: [id],
  };
}

function contentOf({ name, description, tasks, segments }: ProtocolRequest): unknown[] {
  return [name, description, JSON.stringify(tasks), JSON.stringify(segments)];
}

function createStatements(principal: Principal, id: string, request: ProtocolRequest): Statement[] {
  return [
    {
      name: 'create-protocol',
      text: `insert into kymo.protocol (id, org_id, created_by) select $1, $2, $3
        where (select count(*) from (select from kymo.protocol limit ${protocolLimits.protocols}) p) < ${protocolLimits.protocols}`,
      values: [id, principal.orgId, authorOf(principal)],
    },
    {
      name: 'first-protocol-revision',
      text: `insert into kymo.protocol_revision (protocol_id, revision, org_id, name, description, tasks, segments, made_by)
        select p.id, 1, p.org_id, $2, $3, $4::jsonb, $5::jsonb, p.created_by from kymo.protocol p where p.id = $1`,
      values: [id, ...contentOf(request)],
    },
    protocolStatement(id),
  ];
}

function changeStatements(principal: Principal, id: string, request: ProtocolChange): Statement[] {
  return [
    {
      name: 'change-protocol',
      text: `with changed as (
          update kymo.protocol set revision = revision + 1
           where id = $1 and revision = $2 and archived_at is null returning id, revision, org_id)
        insert into kymo.protocol_revision (protocol_id, revision, org_id, name, description, tasks, segments, made_by)
        select c.id, c.revision, c.org_id, $3, $4, $5::jsonb, $6::jsonb, $7 from changed c`,
      values: [id, request.revision, ...contentOf(request), authorOf(principal)],
    },
    protocolStatement(id),
  ];
}
