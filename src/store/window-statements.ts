/**
 * Owns the SQL of the window ledger: which sessions have something to do, what is committed and lost of their epochs, and
 * the changes of one visit. Windows that changed get numbers of their organisation's counter last, so that its row is
 * locked for the end of a visit only. Runs as kymo_writer.
 */

import type { RangeSet } from '#base/ranges.ts';
import { packInt8s } from '#store/binary-arrays.ts';
import { epochToInt8, int8ToEpoch } from '#store/epoch.ts';
import { formatMultirange, parseMultirange } from '#store/multirange.ts';
import type { PackedLayout } from '#store/chunk-codec.ts';
import { MOTION } from '#store/motion-statements.ts';
import type { Statement } from '#store/pools.ts';
import { WINDOW_US } from '#store/window-grid.ts';

/** When a session is worth a visit. */
export interface LedgerPolicy {
  /** One that receives readings is visited this often. */
  readonly liveS: number;
  /** A stream that committed nothing for so long holds nothing up. */
  readonly quietS: number;
}

export interface SessionName {
  readonly sessionId: string;
  readonly orgId: string;
}

/** Those first that were not visited for longest. */
export function dueSessionsStatement({ liveS }: LedgerPolicy, limit: number): Statement {
  return {
    name: 'windows-due',
    text: `with waiting as (
        select l.session_id, l.org_id, l.visited_at, l.is_stale from kymo.window_ledger l
         where l.is_open or l.is_stale),
      changed as (
        select distinct s.session_id, s.org_id from kymo.stream_epoch e join kymo.stream s on s.id = e.stream_id
         where e.is_uncovered)
      select coalesce(c.session_id, w.session_id) as session_id, coalesce(c.org_id, w.org_id) as org_id
        from changed c full join waiting w on w.session_id = c.session_id
        left join kymo.window_ledger l on l.session_id = c.session_id
       where coalesce(w.is_stale, false)
          or coalesce(l.visited_at, w.visited_at, '-infinity') < now() - $1 * interval '1 second'
          or exists (select from kymo.stream s where s.session_id = coalesce(c.session_id, w.session_id)
              and s.ended_at > coalesce(l.visited_at, w.visited_at))
       order by coalesce(l.visited_at, w.visited_at) nulls first, 1
       limit $2`,
    values: [liveS, limit],
  };
}

/** Notes the visit and locks the session's row; no row: the session is gone. */
export function visitStatement({ sessionId, orgId }: SessionName): Statement {
  return {
    name: 'windows-visit',
    text: `insert into kymo.window_ledger as l (session_id, org_id)
      select $1, $2 where exists (select from kymo.stream where session_id = $1)
         or exists (select from kymo.window_ledger where session_id = $1)
      on conflict (session_id) do update set visited_at = now()
      returning is_stale, is_ended`,
    values: [sessionId, orgId],
  };
}

export interface LedgerEpoch {
  readonly streamId: string;
  readonly epoch: string;
  readonly committed: RangeSet;
  readonly lost: RangeSet;
  readonly tailLost: boolean;
  readonly isUncovered: boolean;
  readonly isNewest: boolean;
  readonly isQuiet: boolean;
  readonly hasEnded: boolean;
  readonly covered: RangeSet;
  readonly coveredLost: RangeSet;
  readonly settledUs: number | null;
  readonly newestUs: number | null;
  readonly layout: PackedLayout;
}

export function epochsStatement({ sessionId }: SessionName, { quietS }: LedgerPolicy): Statement {
  return {
    name: 'windows-epochs',
    text: `select e.stream_id, e.epoch::text, e.committed::text, e.lost::text, e.tail_lost, e.is_uncovered,
        e.opened_at = max(e.opened_at) over (partition by e.stream_id) as is_newest,
        coalesce(e.committed_at, e.opened_at) < now() - $2 * interval '1 second' as is_quiet,
        s.ended_at is not null as has_ended, coalesce(c.covered, '{}')::text as covered,
        coalesce(c.covered_lost, '{}')::text as covered_lost, c.settled_us::text, c.newest_us::text,
        jsonb_array_length(s.axes) as axis_count, s.encoding, s.scale
      from kymo.stream s
      join kymo.stream_epoch e on e.stream_id = s.id
      left join kymo.window_coverage c on c.stream_id = e.stream_id and c.epoch = e.epoch
     where s.session_id = $1
     order by e.stream_id, e.epoch`,
    values: [sessionId, quietS],
  };
}

/** A row of `epochsStatement`. */
export function ledgerEpoch(row: unknown): LedgerEpoch {
  const found = row as Record<
    'stream_id' | 'epoch' | 'committed' | 'lost' | 'covered' | 'covered_lost' | 'encoding',
    string
  > &
    Record<'tail_lost' | 'is_uncovered' | 'is_newest' | 'is_quiet' | 'has_ended', boolean> &
    Record<'settled_us' | 'newest_us', string | null> & {
      axis_count: number;
      scale: readonly number[] | null;
    };
  return {
    streamId: found.stream_id,
    epoch: int8ToEpoch(found.epoch),
    committed: parseMultirange(found.committed),
    lost: parseMultirange(found.lost),
    tailLost: found.tail_lost,
    isUncovered: found.is_uncovered,
    isNewest: found.is_newest,
    isQuiet: found.is_quiet,
    hasEnded: found.has_ended,
    covered: parseMultirange(found.covered),
    coveredLost: parseMultirange(found.covered_lost),
    settledUs: found.settled_us === null ? null : Number(found.settled_us),
    newestUs: found.newest_us === null ? null : Number(found.newest_us),
    layout: {
      axisCount: found.axis_count,
      encoding: found.encoding as PackedLayout['encoding'],
      scale: found.scale,
    },
  };
}

/**
 * After a stream was removed: windows that had readings of it are revised, and what was derived from them goes at once,
 * whether or not it is ever made anew: of motion everything from the first of them on, since there each window follows from
 * those before it.
 */
export function recountStatement({ sessionId }: SessionName): Statement {
  return {
    name: 'windows-recount',
    text: `with counted as (
        select x.start_us, coalesce(sum(upper(r) - lower(r)), 0) as readings
          from kymo.session_window x
          left join kymo.window_span p on p.session_id = x.session_id and p.start_us = x.start_us
          left join lateral unnest(p.seqs) r on true
         where x.session_id = $1 group by x.start_us),
      revised as (
        update kymo.session_window w
           set readings = c.readings, revision = w.revision + (w.revision > 0)::int, change = 0, input_change = 0,
               changed_at = now()
          from counted c
         where w.session_id = $1 and w.start_us = c.start_us and w.readings <> c.readings
        returning w.start_us),
      results as (
        delete from kymo.window_result r
         where r.session_id = $1
           and case when r.algorithm = '${MOTION}' then r.start_us >= (select min(start_us) from revised)
                    else r.start_us in (select start_us from revised) end),
      states as (
        delete from kymo.motion_checkpoint
         where session_id = $1 and start_us > (select min(start_us) from revised))
      update kymo.motion_analysis set summary = null
       where session_id = $1 and exists (select from revised)`,
    values: [sessionId],
  };
}

/** Readings that joined windows: new ones are made, closed ones get a new revision. */
export function joinStatement(
  { sessionId, orgId }: SessionName,
  windows: ReadonlyMap<number, number>,
): Statement {
  return {
    name: 'windows-join',
    text: `insert into kymo.session_window as w (org_id, session_id, start_us, readings)
      select $2, $1, g.start_us, g.readings from unnest($3::int8[], $4::int8[]) g(start_us, readings)
      on conflict (session_id, start_us) do update
        set readings = w.readings + excluded.readings, revision = w.revision + (w.revision > 0)::int,
            change = 0, input_change = 0, changed_at = now()`,
    values: [sessionId, orgId, packInt8s([...windows.keys()]), packInt8s([...windows.values()])],
  };
}

export interface Span {
  readonly streamId: string;
  readonly epoch: string;
  readonly startUs: number;
  readonly seqs: RangeSet;
}

/**
 * A clock that jumps between two windows with each reading makes a range of each, and every visit would copy all before it.
 * A span that takes so many bytes, compressed or not, takes no more: a thousand ranges or more, where a device that keeps
 * time has one or two. What it leaves out counts as covered.
 */
const FULL_SPAN_BYTES = 16_384;

export function spansStatement({ sessionId, orgId }: SessionName, spans: readonly Span[]): Statement {
  return {
    name: 'windows-spans',
    text: `insert into kymo.window_span as s (org_id, session_id, stream_id, epoch, start_us, seqs)
      select $2, $1, g.stream_id, g.epoch, g.start_us, g.seqs::int8multirange
        from unnest($3::uuid[], $4::int8[], $5::int8[], $6::text[]) g(stream_id, epoch, start_us, seqs)
      on conflict (stream_id, epoch, start_us) do update set seqs = s.seqs + excluded.seqs
       where pg_column_size(s.seqs) < ${FULL_SPAN_BYTES}`,
    values: [
      sessionId,
      orgId,
      spans.map((span) => span.streamId),
      spans.map((span) => epochToInt8(span.epoch).toString()),
      packInt8s(spans.map((span) => span.startUs)),
      spans.map((span) => formatMultirange(span.seqs)),
    ],
  };
}

/** Closed windows that overlap [fromUs, toUs], where readings were declared lost: their input is another now. */
export function loseStatement(
  { sessionId }: SessionName,
  range: { readonly fromUs: number; readonly toUs: number },
): Statement {
  return {
    name: 'windows-lose',
    text: `update kymo.session_window set revision = revision + 1, change = 0, input_change = 0, changed_at = now()
      where session_id = $1 and start_us > $2::int8 - ${WINDOW_US} and start_us <= $3::int8
        and revision > 0 and input_change > 0`,
    values: [sessionId, range.fromUs, range.toUs],
  };
}

export interface Closing {
  /** Windows that end at or before this are settled. */
  readonly settledUs: number;
  /** Those that end at or before this are closed, settled or not. */
  readonly closedUs: number;
}

export function closeStatement({ sessionId }: SessionName, { settledUs, closedUs }: Closing): Statement {
  return {
    name: 'windows-close',
    text: `update kymo.session_window
        set is_settled = start_us + ${WINDOW_US} <= $2::float8, change = 0, changed_at = now(),
            revision = greatest(revision, (start_us + ${WINDOW_US} <= greatest($2::float8, $3::float8))::int)
      where session_id = $1
        and (is_settled <> (start_us + ${WINDOW_US} <= $2::float8)
             or (revision = 0 and start_us + ${WINDOW_US} <= $3::float8))`,
    values: [sessionId, settledUs, closedUs],
  };
}

/** Numbers what the statements before it changed, in order of time; gives how many, and how many have another input. */
export function numberStatement({ sessionId, orgId }: SessionName): Statement {
  return {
    name: 'windows-number',
    text: `with touched as (
        select start_us, input_change = 0 as is_input, row_number() over (order by start_us) as n,
               count(*) over () as count
          from kymo.session_window where session_id = $1 and change = 0 and revision > 0),
      counter as (
        insert into kymo.window_counter as c (org_id, newest)
        select $2, max(count) from touched having count(*) > 0
        on conflict (org_id) do update set newest = c.newest + excluded.newest
        returning newest),
      numbered as (
        update kymo.session_window w
           set change = k.newest - t.count + t.n,
               input_change = case when t.is_input then k.newest - t.count + t.n else w.input_change end
          from touched t, counter k
         where w.session_id = $1 and w.start_us = t.start_us
        returning t.is_input)
      select count(*)::int as changed, count(*) filter (where is_input)::int as inputs from numbered`,
    values: [sessionId, orgId],
  };
}

export interface Coverage {
  readonly streamId: string;
  readonly epoch: string;
  readonly covered: RangeSet;
  readonly lost: RangeSet;
  readonly tailLost: boolean;
  readonly settledUs: number | null;
  readonly newestUs: number | null;
}

export function coverStatement({ orgId }: SessionName, coverages: readonly Coverage[]): Statement {
  return {
    name: 'windows-cover',
    text: `insert into kymo.window_coverage
        (stream_id, epoch, org_id, covered, covered_lost, settled_us, newest_us)
      select g.stream_id, g.epoch, $1, g.covered::int8multirange, g.lost::int8multirange, g.settled_us, g.newest_us
        from unnest($2::uuid[], $3::int8[], $4::text[], $5::text[], $6::int8[], $7::int8[])
             g(stream_id, epoch, covered, lost, settled_us, newest_us)
      on conflict (stream_id, epoch) do update
        set covered = excluded.covered, covered_lost = excluded.covered_lost, settled_us = excluded.settled_us,
            newest_us = excluded.newest_us`,
    values: [
      orgId,
      ...columnsOf(coverages),
      coverages.map(({ settledUs }) => settledUs),
      coverages.map(({ newestUs }) => newestUs),
    ],
  };
}

function columnsOf(coverages: readonly Coverage[]): unknown[][] {
  return [
    coverages.map(({ streamId }) => streamId),
    coverages.map(({ epoch }) => epochToInt8(epoch).toString()),
    coverages.map(({ covered }) => formatMultirange(covered)),
    coverages.map(({ lost }) => formatMultirange(lost)),
  ];
}

/**
 * The guard's marks, as in rollup-statements.ts: fewer rows than coverages mean that a stream was erased, and nothing may be
 * stored of it. Locked in the guard's order, so that a flush and this never wait for each other.
 */
export function clearUncoveredStatement(coverages: readonly Coverage[]): Statement {
  return {
    name: 'windows-clear',
    text: `with known as (
        select * from unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::boolean[])
          k(stream_id, epoch, covered, lost, tail_lost)),
      locked as (
        select e.stream_id, e.epoch from kymo.stream_epoch e join known k on k.stream_id = e.stream_id and k.epoch = e.epoch
         order by e.stream_id, e.epoch for update of e)
      update kymo.stream_epoch e
         set is_uncovered = e.committed <> k.covered::int8multirange or e.lost <> k.lost::int8multirange
                            or e.tail_lost <> k.tail_lost
        from known k join locked l on l.stream_id = k.stream_id and l.epoch = k.epoch
       where e.stream_id = k.stream_id and e.epoch = k.epoch`,
    values: [...columnsOf(coverages), coverages.map(({ tailLost }) => tailLost)],
  };
}

export interface LedgerRow {
  readonly isOpen: boolean;
  readonly isStale: boolean;
  readonly isEnded: boolean;
  /** Null: nothing is settled. */
  readonly settledUs: number | null;
}

export function ledgerStatement({ sessionId }: SessionName, row: LedgerRow): Statement {
  return {
    name: 'windows-ledger',
    text: `update kymo.window_ledger
        set is_open = $2 or exists (select from kymo.session_window where session_id = $1 and revision = 0),
            is_stale = $3, is_ended = $4, settled_us = $5
      where session_id = $1`,
    values: [sessionId, row.isOpen, row.isStale, row.isEnded, row.settledUs],
  };
}

/** Tells the analysis that there is something for it. */
export function analyseStatement({ sessionId, orgId }: SessionName): Statement {
  return {
    name: 'windows-analyse',
    text: `insert into kymo.motion_analysis (session_id, org_id) values ($1, $2)
      on conflict (session_id) do update set is_dirty = true`,
    values: [sessionId, orgId],
  };
}
