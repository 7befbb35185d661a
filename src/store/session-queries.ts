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
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import type { StreamRow } from '#store/stream-definition.ts';

export const sessionLimits = {
  /** A stream that committed nothing for this long is idle: flushes come four times a second. */
  liveForMs: 60_000,
  /** Lost ranges listed of one epoch (contract/rest.ts). */
  lostRanges: 256,
} as const;

export interface SessionQueries {
  /** `cursor`: `next` of the page before. Returns null when it is not one. */
  list(orgId: string, page: { limit: number; cursor: string | null }): Promise<SessionPage | null>;
  /** Null when the organisation has no such session. */
  detail(orgId: string, sessionId: string): Promise<SessionDetail | null>;
  /** Whether the organisation has this session. False for what is no id. */
  exists(orgId: string, sessionId: string): Promise<boolean>;
  /** Whose recording it is; null: nobody's yet; undefined: the organisation has no such session or stream. */
  ownerOf(
    orgId: string,
    recording: { readonly kind: 'session' | 'stream'; readonly id: string },
  ): Promise<string | null | undefined>;
}

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function createSessionQueries(app: RolePool): SessionQueries {
  return {
    async list(orgId, { limit, cursor }) {
      const after = cursor === null ? null : parseCursor(cursor);
      if (cursor !== null && after === null) return null;
      const statements = [pageStatement(limit + 1, after)];
      const [result] = await runAsOrg(app, orgId, { statements, mode: 'snapshot' });
      const rows = (result?.rows ?? []) as SummaryRow[];
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return {
        sessions: shown.map(summaryOf),
        next: rows.length > limit && last !== undefined ? formatCursor(last) : null,
      };
    },
    async detail(orgId, sessionId) {
      const [summaries, streams, epochs, holds] = await runAsOrg(app, orgId, {
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
    async exists(orgId, sessionId) {
      if (!idPattern.test(sessionId)) return false;
      const statement = {
        name: 'session-exists',
        text: 'select 1 from kymo.session where id = $1',
        values: [sessionId],
      };
      const [result] = await runAsOrg(app, orgId, { statements: [statement], mode: 'snapshot' });
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

interface SummaryRow {
  readonly id: string;
  readonly label: string;
  readonly synthetic: boolean;
  readonly started_at: Date;
  readonly started_us: number;
  readonly ended_at: Date | null;
  readonly streams: number;
  readonly stored: number;
  readonly lost: number;
  readonly is_live: boolean;
  readonly revision: number;
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

function summaryOf(row: SummaryRow): SessionSummary {
  return {
    id: row.id,
    label: row.label,
    state: row.ended_at !== null ? 'ended' : row.is_live ? 'live' : 'idle',
    synthetic: row.synthetic,
    startedAt: row.started_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    streamCount: row.streams,
    storedReadings: row.stored,
    lostReadings: row.lost,
    revision: row.revision,
  };
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

// A session is live when the newest chunk of one of its open streams arrived lately; only epochs that committed today
// or yesterday are looked at, in the partition of that day. Readings that came after their stream was sealed count as a
// revision at once, and as the same one when they are sealed.
const summaryOfPage = `
  select p.id, p.label, p.synthetic, p.started_at, p.ended_at,
         (extract(epoch from p.started_at) * 1000000)::bigint as started_us,
         t.streams, t.stored, t.lost, t.is_live,
         (select 1 + coalesce(sum(g.revision - 1 + (o.stored > g.sealed_readings)::integer), 0)
            from kymo.stream s
            join kymo.stream_sealing g on g.stream_id = s.id
           cross join lateral (
             select sum(upper(r) - lower(r)) as stored
               from kymo.stream_epoch e cross join lateral unnest(e.committed) r where e.stream_id = s.id) o
           where s.session_id = p.id)::integer as revision
    from page p
   cross join lateral (
     select count(distinct s.id) as streams,
            coalesce(sum((select sum(upper(r) - lower(r)) from unnest(e.committed) r)), 0)::bigint as stored,
            coalesce(sum((select sum(upper(r) - lower(r)) from unnest(e.lost) r)), 0)::bigint as lost,
            coalesce(bool_or(newest.arrival_us > (extract(epoch from now()) * 1000000) - ${sessionLimits.liveForMs * 1000}), false)
              as is_live
       from kymo.stream s
       left join kymo.stream_epoch e on e.stream_id = s.id
       left join lateral (
         select kymo.i64_le(c.segments, length(c.segments) - 8) as arrival_us
           from kymo.chunk c
          where s.ended_at is null and e.last_commit_day >= (now() at time zone 'utc')::date - 1
            and c.stream_id = s.id and c.epoch = e.epoch and c.commit_day = e.last_commit_day
          order by c.first_seq desc limit 1) newest on true
      where s.session_id = p.id) t
   order by p.started_at desc, p.id desc`;

function pageStatement(limit: number, after: Cursor | null): Statement {
  const columns = 'id, label, synthetic, started_at, ended_at';
  const order = 'order by started_at desc, id desc limit $1';
  if (after === null)
    return {
      name: 'sessions',
      text: `with page as (select ${columns} from kymo.session ${order}) ${summaryOfPage}`,
      values: [limit],
    };
  return {
    name: 'sessions-after',
    text: `with page as (select ${columns} from kymo.session
        where (started_at, id) < ('epoch'::timestamptz + $2::bigint * interval '1 microsecond', $3::uuid) ${order})
      ${summaryOfPage}`,
    values: [limit, after.startedUs, after.id],
  };
}

function detailStatements(sessionId: string): Statement[] {
  const values = [sessionId];
  return [
    {
      name: 'session',
      text: `with page as (select id, label, synthetic, started_at, ended_at from kymo.session where id = $1)
        ${summaryOfPage}`,
      values,
    },
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
