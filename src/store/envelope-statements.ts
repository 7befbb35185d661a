/**
 * Owns the SQL of envelopes: five statements of one round trip and one snapshot. Each works out by itself which range and
 * which level is asked for, since neither is known before: the range may be the whole stream, and the level follows from
 * it. What they read is bounded by `envelopeBounds`, and by 12 roll-ups a column.
 */

import { envelopeLimits } from '#contract/envelope.ts';
import { packFloat8s, packInt8s } from '#store/binary-arrays.ts';
import { joinChunks } from '#store/chunk-spans.ts';
import type { Statement } from '#store/pools.ts';
import { BUCKETS_PER_ROW, rollupLevels } from '#store/rollup-levels.ts';

export const envelopeBounds = {
  /**
   * Values of single readings that one envelope is made of; a range with more is shown as the shortest roll-ups. With nine
   * axes 300,000 readings: 25 minutes at 200 Hz.
   */
  rawValues: 2_700_000,
  /** Chunks with readings that no roll-up contains yet: a minute of live ones is 240; more when the keeper is behind. */
  unrolledChunks: 4_000,
  /** Declarations of loss whose reasons are told. */
  losses: 4_096,
} as const;

export interface EnvelopeQuery {
  readonly streamId: string;
  /** Device time in microseconds, half-open; null: from the first reading, to the last. */
  readonly fromUs: number | null;
  readonly toUs: number | null;
  /** `envelopeLimits.minWidth` to `maxWidth`. */
  readonly width: number;
}

// What is asked for. `tail` has the chunks with readings that are not rolled up yet, without their bytes. Whether single
// readings are shown follows from how many there are in the range: from the counts of the shortest roll-ups.
const asked = `
  with epochs as materialized (
    select e.epoch, e.opened_at, e.committed, e.lost, e.tail_lost, e.first_commit_day, e.last_commit_day,
           p.first_us, p.last_us, p.min_lag_us,
           case when e.is_dirty then e.committed - coalesce(p.rolled, '{}') else '{}' end as dirty
      from kymo.stream_epoch e
      left join kymo.rollup_progress p on p.stream_id = e.stream_id and p.epoch = e.epoch
     where e.stream_id = $1),
  tail as materialized (
    select span.epoch, chunk.*
      from (select e.*, lower(d) as from_seq, upper(d) as to_seq
              from epochs e cross join lateral unnest(e.dirty) d) span
     ${joinChunks('c.first_seq, c.n, c.first_us, c.last_us', null)}
     limit $8),
  bounds as (
    select least((select min(first_us) from epochs), (select min(first_us) from tail)) as first_us,
           greatest((select max(last_us) from epochs), (select max(last_us) from tail)) as last_us),
  asked as (
    select b.*, least(coalesce($2::int8, b.first_us, $3::int8 - 1, 0), coalesce($3::int8 - 1, 9007199254740992)) as from_us
      from bounds b),
  range as (
    select a.first_us, a.last_us, a.from_us, coalesce($3::int8, greatest(a.last_us, a.from_us) + 1, a.from_us + 1) as to_us
      from asked a),
  level as (
    select r.*, max(jsonb_array_length(s.axes)) as axes, min(l.bucket_us) as finest_us,
           coalesce(max(l.bucket_us) filter (where l.bucket_us * $4::int8 <= r.to_us - r.from_us), 0) as wanted_us
      from range r cross join kymo.stream s cross join unnest($5::int8[], $6::float8[]) l(bucket_us, rate_hz)
     where s.id = $1 and l.rate_hz <= s.rate_hz
     group by r.first_us, r.last_us, r.from_us, r.to_us),
  wide as (
    select l.*, l.from_us - ((l.from_us % l.finest_us) + l.finest_us) % l.finest_us as wide_from_us,
           l.to_us + (l.finest_us - l.to_us % l.finest_us) % l.finest_us as wide_to_us
      from level l),
  shown as materialized (
    select w.*, case when w.is_raw then w.wide_from_us else w.from_us end as read_from_us,
           case when w.is_raw then w.wide_to_us else w.to_us end as read_to_us,
           case when w.wanted_us = 0 then w.finest_us else w.wanted_us end as bucket_us
      from (select w.*, w.wanted_us = 0 and (select count(*) from tail) < $8::int8 and w.axes * (
                     coalesce((select sum(b.n)
                        from epochs e
                        join kymo.rollup r on r.stream_id = $1 and r.epoch = e.epoch and r.bucket_us = w.finest_us
                             and r.start_us > w.from_us - w.finest_us * ${BUCKETS_PER_ROW} and r.start_us < w.to_us
                       cross join unnest(r.slots, r.counts) b(slot, n)
                       where w.wanted_us = 0 and r.start_us + (b.slot + 1) * w.finest_us > w.from_us
                         and r.start_us + b.slot * w.finest_us < w.to_us), 0)
                   + coalesce((select sum(t.n) from tail t where t.last_us >= w.from_us and t.first_us < w.to_us), 0))
                   <= $7::int8 as is_raw
              from wide w) w)`;

const headSql = `${asked}
  select s.axes, s.encoding, s.scale, s.rate_hz, r.from_us::text, r.to_us::text, r.first_us::text, r.last_us::text,
         r.bucket_us::text, r.is_raw, r.read_from_us::text, r.read_to_us::text,
         (select coalesce(sum(upper(d) - lower(d)), 0)::text from epochs e, unnest(e.dirty) d) as dirty,
         (select count(*)::int from tail) as tail_chunks,
         (select coalesce(sum(t.n), 0)::text from tail t) as tail_readings
    from shown r join kymo.stream s on s.id = $1`;

const epochsSql = `${asked}
  select e.epoch::text, e.committed::text, e.tail_lost, e.dirty::text, e.min_lag_us::text,
         least(e.first_us, (select min(t.first_us) from tail t where t.epoch = e.epoch))::text as first_us,
         greatest(e.last_us, (select max(t.last_us) from tail t where t.epoch = e.epoch))::text as last_us
    from epochs e order by e.opened_at, e.epoch`;

const rowsSql = `${asked}
  select r.epoch::text, r.start_us::text, array_send(r.slots) as slots, array_send(r.counts) as counts,
         array_send(r.lags_us) as lags, array_send(r.finites) as finites, array_send(r.mins) as mins,
         array_send(r.maxs) as maxs, array_send(r.sums) as sums
    from shown cross join epochs e
    join kymo.rollup r on r.stream_id = $1 and r.epoch = e.epoch and r.bucket_us = shown.bucket_us
         and r.start_us > shown.read_from_us - shown.bucket_us * ${BUCKETS_PER_ROW} and r.start_us < shown.read_to_us
   order by r.start_us, e.opened_at`;

// Chunks with fresh readings, and in raw mode those that the rows of roll-ups in the range point to: once each.
const chunksSql = `${asked},
  spans as (
    select e.*, lower(d) as from_seq, upper(d) as to_seq from epochs e cross join lateral unnest(e.dirty) d
    union all
    select e.*, lower(d), upper(d)
      from epochs e
     cross join lateral (
       select range_agg(x) as seqs from shown
         join kymo.rollup r on shown.is_raw and r.stream_id = $1 and r.epoch = e.epoch and r.bucket_us = shown.bucket_us
              and r.start_us > shown.read_from_us - shown.bucket_us * ${BUCKETS_PER_ROW}
              and r.start_us < shown.read_to_us
        cross join lateral unnest(r.seqs) x) s
     cross join lateral unnest(s.seqs - e.dirty) d),
  read as (select read_from_us as from_us, read_to_us as to_us, is_raw from shown)
  select span.epoch::text, chunk.*
    from read cross join spans span
   ${joinChunks('c.first_seq, c.first_us, c.last_us, c.n, c.segments, c.deltas, c.data', 'read')}
   limit (select case when is_raw then null else $8::int8 end from read)`;

// The largest gaps with the chunks around them; the epoch's committed ranges tell whether these are their neighbours.
const gapsSql = `
  with gap as (
    select g.* from (
      select e.epoch, e.first_commit_day, e.last_commit_day, lower(r) as from_seq, upper(r) as to_seq, true as is_lost
        from kymo.stream_epoch e cross join lateral unnest(e.lost) r where e.stream_id = $1
      union all
      select e.epoch, e.first_commit_day, e.last_commit_day, lower(r), upper(r), false
        from kymo.stream_epoch e
       cross join lateral unnest(int8multirange(int8range(0, upper(e.committed))) - e.committed - e.lost) r
       where e.stream_id = $1 and not isempty(e.committed)) g
     order by g.to_seq - g.from_seq desc limit $2)
  select g.epoch::text, g.from_seq::text, g.to_seq::text, g.is_lost, before.end_seq::text, before.last_us::text,
         after.first_seq::text, after.first_us::text,
         (select l.reason from kymo.loss l
           where g.is_lost and l.stream_id = $1 and l.epoch = g.epoch and l.from_seq < g.to_seq and l.to_seq > g.from_seq
           order by l.from_seq limit 1) as reason
    from gap g
    left join lateral (
      select c.first_seq + c.n as end_seq, c.last_us from kymo.chunk c
       where c.stream_id = $1 and c.epoch = g.epoch and c.first_seq < g.from_seq
         and c.commit_day between g.first_commit_day and g.last_commit_day
       order by c.first_seq desc limit 1) before on true
    left join lateral (
      select c.first_seq, c.first_us from kymo.chunk c
       where c.stream_id = $1 and c.epoch = g.epoch and c.first_seq >= g.to_seq
         and c.commit_day between g.first_commit_day and g.last_commit_day
       order by c.first_seq limit 1) after on true`;

/** Head, epochs, roll-up rows, chunks and gaps, in this order. */
export function envelopeStatements({ streamId, fromUs, toUs, width }: EnvelopeQuery): Statement[] {
  const values = [
    streamId,
    fromUs,
    toUs,
    width,
    packInt8s(rollupLevels.map((level) => level.bucketUs)),
    packFloat8s(rollupLevels.map((level) => level.fromRateHz)),
    envelopeBounds.rawValues,
    envelopeBounds.unrolledChunks,
  ];
  const parts = { head: headSql, epochs: epochsSql, rows: rowsSql, chunks: chunksSql };
  return [
    ...Object.entries(parts).map(([part, text]) => ({ name: `envelope-${part}`, text, values })),
    { name: 'envelope-gaps', text: gapsSql, values: [streamId, envelopeLimits.gaps] },
  ];
}
