/**
 * Owns the reading of sessions: the list, newest first and page by page, and one session with its streams and epochs.
 * Each is one round trip under row-level security; counts come from the guard's ranges, never from counting readings.
 */

import { firstMissing, sizeOf, subtract, union, type RangeSet } from '#base/ranges.ts';
import type {
  EpochSummary,
  SessionDetail,
  SessionPage,
  SessionSummary,
  StreamDetail,
} from '#contract/rest.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import { parseMultirange } from '#store/multirange.ts';
import { pageRows } from '#store/page-rows.ts';
import { runAsOrg, type OrgScope, type RolePool, type Statement } from '#store/pools.ts';
import type { StreamRow } from '#store/stream-definition.ts';

export const sessionLimits = {
  /** A stream that committed nothing for this long is idle: flushes come four times a second. */
  liveForMs: 60_000,
  /** Lost ranges listed of one epoch (contract/rest.ts). */
  lostRanges: 256,
} as const;

/** Which sessions; all of these at once. */
export interface SessionFilter {
  readonly patientId?: string;
  /** Default: all but planned ones. */
  readonly state?: SessionSummary['state'] | 'all';
  /** By when they started, or are planned for: half-open. */
  readonly from?: Date;
  readonly to?: Date;
}

export interface SessionQueries {
  /** `cursor`: `next` of the page before, of the same filter. Returns null when it is not one. */
  list(
    scope: string | OrgScope,
    page: { limit: number; cursor: string | null; filter?: SessionFilter },
  ): Promise<SessionPage | null>;
  /** Null when the organisation has no such session. */
  detail(scope: string | OrgScope, sessionId: string): Promise<SessionDetail | null>;
  /** Whether the organisation, or the patient, has this session. False for what is no id. */
  exists(scope: string | OrgScope, sessionId: string): Promise<boolean>;
  /** Whose recording it is; null: nobody's yet; undefined: the organisation has no such session or stream. */
  ownerOf(
    orgId: string,
    recording: { readonly kind: 'session' | 'stream'; readonly id: string },
  ): Promise<string | null | undefined>;
}

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function createSessionQueries(app: RolePool): SessionQueries {
  return {
    async list(scope, { limit, cursor, filter = {} }) {
      const after = cursor === null ? null : parseCursor(cursor);
      if (cursor !== null && after === null) return null;
      const statements = [pageStatement(pageRows(limit), after, filter)];
      const [result] = await runAsOrg(app, scope, { statements, mode: 'snapshot' });
      const rows = (result?.rows ?? []) as SummaryRow[];
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return {
        sessions: shown.map(summaryOf),
        next: rows.length > limit && last !== undefined ? formatCursor(last) : null,
      };
    },
    async detail(scope, sessionId) {
      const [summaries, streams, epochs, holds] = await runAsOrg(app, scope, {
        statements: detailStatements(sessionId),
        mode: 'snapshot',
      });
      const summary = summaries?.rows[0] as SummaryRow | undefined;
      if (summary === undefined) return null;
      const epochRows = (epochs?.rows ?? []) as EpochRow[];
      return {
        session: summaryOf(summary),
        hold: holdOf(holds?.rows[0] as HoldRow | undefined),
        streams: ((streams?.rows ?? []) as StreamDetailRow[]).map((stream) =>
          detailOf(
            stream,
            summary,
            epochRows.filter((epoch) => epoch.stream_id === stream.id),
          ),
        ),
      };
    },
    async exists(scope, sessionId) {
      if (!idPattern.test(sessionId)) return false;
      const statement = {
        name: 'session-exists',
        text: 'select 1 from kymo.session where id = $1',
        values: [sessionId],
      };
      const [result] = await runAsOrg(app, scope, { statements: [statement], mode: 'snapshot' });
      return result?.rowCount === 1;
    },
    async ownerOf(orgId, { kind, id }) {
      if (!idPattern.test(id)) return undefined;
      const statement = {
        name: `owner-of-${kind}`,
        text:
          kind === 'session'
            ? 'select patient_id from kymo.session where id = $1'
            : 'select s.patient_id from kymo.stream t join kymo.session s on s.id = t.session_id where t.id = $1',
        values: [id],
      };
      const [result] = await runAsOrg(app, orgId, { statements: [statement], mode: 'snapshot' });
      return (result?.rows[0] as { patient_id: string | null } | undefined)?.patient_id;
    },
  };
}

export interface SummaryRow {
  readonly id: string;
  readonly label: string;
  readonly synthetic: boolean;
  readonly started_at: Date;
  readonly started_us: number;
  readonly ended_at: Date | null;
  readonly is_planned: boolean;
  readonly planned_for: Date | null;
  readonly sealed_at: Date | null;
  readonly protocol_id: string | null;
  readonly patient_id: string | null;
  readonly patient_code: string | null;
  readonly streams: number;
  readonly stored: number;
  readonly lost: number;
  readonly is_live: boolean;
  readonly revision: number;
  readonly is_amended: boolean;
}

interface HoldRow {
  readonly reason: string;
  readonly held_at: Date;
}

function holdOf(row: HoldRow | undefined): SessionDetail['hold'] {
  return row === undefined ? null : { reason: row.reason, heldAt: row.held_at.toISOString() };
}

interface StreamDetailRow extends StreamRow {
  readonly opened_at: Date;
  readonly ended_at: Date | null;
}

interface EpochRow {
  readonly stream_id: string;
  readonly epoch: string;
  readonly committed: string;
  readonly lost: string;
  readonly tail_lost: boolean;
}

export function summaryOf(row: SummaryRow): SessionSummary {
  return {
    id: row.id,
    label: row.label,
    state: stateOf(row),
    synthetic: row.synthetic,
    patient:
      row.patient_id === null || row.patient_code === null
        ? null
        : { id: row.patient_id, code: row.patient_code },
    protocolId: row.protocol_id,
    plannedFor: row.planned_for?.toISOString() ?? null,
    startedAt: row.started_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    sealedAt: row.sealed_at?.toISOString() ?? null,
    streamCount: row.streams,
    storedReadings: row.stored,
    lostReadings: row.lost,
    revision: row.revision,
    amended: row.is_amended,
  };
}

/** How far a session is, from its row and whether something came lately. */
function stateOf(row: {
  readonly is_planned: boolean;
  readonly sealed_at: Date | null;
  readonly ended_at: Date | null;
  readonly is_live: boolean;
}): SessionSummary['state'] {
  if (row.is_planned) return 'planned';
  if (row.sealed_at !== null) return 'sealed';
  if (row.ended_at !== null) return 'ended';
  return row.is_live ? 'live' : 'idle';
}

function detailOf(stream: StreamDetailRow, session: SummaryRow, epochs: readonly EpochRow[]): StreamDetail {
  return {
    definition: definitionOf(stream, session),
    deviceId: stream.device_id,
    openedAt: stream.opened_at.toISOString(),
    endedAt: stream.ended_at?.toISOString() ?? null,
    epochs: epochs.map(epochOf),
  };
}

/** The definition as the device gave it when it opened the stream. */
export function definitionOf(
  row: StreamRow,
  session: { readonly synthetic: boolean; readonly label: string },
): StreamDefinition {
  return {
    stream: row.id,
    session: row.session_id,
    segment: row.segment,
    sensor: row.sensor,
    axes: [...row.axes],
    rateHz: row.rate_hz,
    encoding: row.encoding,
    ...(row.scale === null ? {} : { scale: [...row.scale] }),
    clock: row.clock,
    ...(session.synthetic ? { synthetic: true } : {}),
    ...(session.label === '' ? {} : { label: session.label }),
  };
}

function epochOf(row: EpochRow): EpochSummary {
  const committed = parseMultirange(row.committed);
  const lost = parseMultirange(row.lost);
  const settled = union(committed, lost);
  const below: RangeSet = [{ from: 0, to: committed.at(-1)?.to ?? 0 }];
  return {
    epoch: int8ToEpoch(row.epoch),
    next: firstMissing(settled),
    stored: sizeOf(committed),
    lost: pairs(lost).slice(0, sessionLimits.lostRanges),
    pending: pairs(subtract(below, settled)),
    tailLost: row.tail_lost,
  };
}

function pairs(set: RangeSet): [number, number][] {
  return set.map(({ from, to }) => [from, to]);
}

// Of an epoch `e` of a stream `s`: `committed_at` is written with every flush. No chunk is looked for, so that neither
// planning nor looking grows with the days that are kept.
const isLately = `s.ended_at is null and e.committed_at > now() - interval '${sessionLimits.liveForMs} ms'`;

/** SQL that is true when something of the session came lately. `session` is a column. */
export function isLiveSql(session: string): string {
  return `exists (select from kymo.stream s join kymo.stream_epoch e on e.stream_id = s.id
    where s.session_id = ${session} and ${isLately})`;
}

/** SQL of what changed after the session was signed off. `session` is its row, `streams` and `stored` what it has now. */
function isAmendedSql(session: string, counts: { streams: string; stored: string }): string {
  return `(${session}.sealed_at is not null and (${session}.amended_at is not null
    or ${counts.streams} <> ${session}.sealed_streams or ${counts.stored} <> ${session}.sealed_readings))`;
}

const pageColumns = `id, label, synthetic, started_at, ended_at, is_planned, planned_for, sealed_at, protocol_id, patient_id,
  amended_at, sealed_streams, sealed_readings`;

const sizeSql = (ranges: string): string => `(select sum(upper(r) - lower(r)) from unnest(${ranges}) r)`;

// Readings that came after their stream was compacted count as a revision at once, and as the same one when they are
// compacted.
const summaryOfPage = `
  select p.id, p.label, p.synthetic, p.started_at, p.ended_at, p.is_planned, p.planned_for, p.sealed_at, p.protocol_id,
         p.patient_id, (select k.code from kymo.patient k where k.id = p.patient_id) as patient_code,
         (extract(epoch from p.started_at) * 1000000)::bigint as started_us,
         t.streams, t.stored, t.lost, t.is_live, t.revision,
         t.revision > 1 or ${isAmendedSql('p', { streams: 't.streams', stored: 't.stored' })} as is_amended
    from page p
   cross join lateral (
     select count(*) as streams, coalesce(sum(o.stored), 0)::bigint as stored, coalesce(sum(o.lost), 0)::bigint as lost,
            coalesce(bool_or(o.is_live), false) as is_live,
            (1 + coalesce(sum(g.revision - 1 + (o.stored > g.sealed_readings)::integer), 0))::integer as revision
       from kymo.stream s
       left join kymo.stream_sealing g on g.stream_id = s.id
      cross join lateral (
        select sum(${sizeSql('e.committed')}) as stored, sum(${sizeSql('e.lost')}) as lost, bool_or(${isLately}) as is_live
          from kymo.stream_epoch e where e.stream_id = s.id) o
      where s.session_id = p.id) t
   order by p.started_at desc, p.id desc`;

// Each but those of all is the condition of an index (0017).
const isInState: Readonly<Record<SessionSummary['state'] | 'all' | 'recorded', string>> = {
  all: 'true',
  recorded: 'not is_planned',
  planned: 'is_planned',
  live: `ended_at is null and not is_planned and ${isLiveSql('session.id')}`,
  idle: `ended_at is null and not is_planned and not ${isLiveSql('session.id')}`,
  ended: 'ended_at is not null and sealed_at is null',
  sealed: 'sealed_at is not null',
};

// The name says which conditions the text has: PostgreSQL plans each text once a connection.
function pageStatement(rows: number, after: Cursor | null, filter: SessionFilter): Statement {
  const { state = 'recorded', patientId, from, to } = filter;
  const values: unknown[] = [];
  const conditions: string[] = [isInState[state]];
  let name = `sessions-${state}-${rows}`;
  const add = (part: string, given: readonly unknown[], condition: (...at: string[]) => string): void => {
    name += `-${part}`;
    conditions.push(condition(...given.map((value) => `$${values.push(value)}`)));
  };
  if (patientId !== undefined) add('patient', [patientId], (id) => `patient_id = ${id}::uuid`);
  if (from !== undefined) add('from', [from], (at) => `started_at >= ${at}::timestamptz`);
  if (to !== undefined) add('to', [to], (at) => `started_at < ${at}::timestamptz`);
  if (after !== null)
    add(
      'after',
      [after.startedUs, after.id],
      (us, id) =>
        `(started_at, id) < ('epoch'::timestamptz + ${us}::bigint * interval '1 microsecond', ${id}::uuid)`,
    );
  return {
    name,
    text: `with page as (select ${pageColumns} from kymo.session
        where ${conditions.join(' and ')} order by started_at desc, id desc limit ${rows}) ${summaryOfPage}`,
    values,
  };
}

/** Of one session: a row for `summaryOf`, or none. */
export function summaryStatement(sessionId: string): Statement {
  return {
    name: 'session',
    text: `with page as (select ${pageColumns} from kymo.session where id = $1) ${summaryOfPage}`,
    values: [sessionId],
  };
}

function detailStatements(sessionId: string): Statement[] {
  const values = [sessionId];
  return [
    summaryStatement(sessionId),
    {
      name: 'session-streams',
      text: `select id, org_id, session_id, device_id, segment, sensor, axes, rate_hz, encoding, scale, clock,
          opened_at, ended_at
        from kymo.stream where session_id = $1 order by opened_at, id`,
      values,
    },
    {
      name: 'session-epochs',
      text: `select e.stream_id, e.epoch::text, e.committed::text, e.lost::text, e.tail_lost
        from kymo.stream s join kymo.stream_epoch e on e.stream_id = s.id
        where s.session_id = $1 order by e.opened_at, e.epoch`,
      values,
    },
    {
      name: 'session-hold',
      text: 'select reason, held_at from kymo.legal_hold where session_id = $1',
      values,
    },
  ];
}

interface Cursor {
  readonly startedUs: number;
  readonly id: string;
}

function formatCursor(row: SummaryRow): string {
  return Buffer.from(`${row.started_us}.${row.id}`).toString('base64url');
}

function parseCursor(text: string): Cursor | null {
  const match = /^(\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(
    Buffer.from(text, 'base64url').toString('latin1'),
  );
  return match === null ? null : { startedUs: Number(match[1]), id: match[2]! };
}
