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
   * axes 120,000 readings, 10 minutes at 200 Hz, which take half of the 300 ms that a zoom may (bench/zoom.ts).
   */
  rawValues: 1_100_000,
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

// Lookups by index, whatever the planner thinks of tables that were just filled: it would rather scan them whole. And one
// plan for all ranges, since making it takes longer than most ranges do.
const plannerSql = `select set_config('plan_cache_mode', 'force_generic_plan', true), set_config(name, 'off', true)
  from unnest('{enable_seqscan,enable_bitmapscan,enable_hashjoin,enable_mergejoin,jit}'::text[]) name`;

// What is asked for, told to the statements behind it by settings of the transaction. `tail` has the chunks with readings
// that are not rolled up yet, without their bytes. Whether single readings are shown follows from how many there are in
// the range: from the counts of the shortest roll-ups.
const headSql = `
  with epochs as materialized (
    select e.epoch, e.opened_at, e.committed, e.tail_lost, e.first_commit_day, e.last_commit_day,
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
    select a.first_us, a.last_us, a.from_us, coalesce($3::int8, greatest(a.last_us, a.from_us) + 1) as to_us from asked a),
  level as (
    select r.*, s.axes, s.encoding, s.scale, s.rate_hz, l.finest_us, l.wanted_us
      from kymo.stream s cross join range r
     cross join lateral (
       select min(l.bucket_us) as finest_us,
              coalesce(max(l.bucket_us) filter (where l.bucket_us * $4::int8 <= r.to_us - r.from_us), 0) as wanted_us
         from unnest($5::int8[], $6::float8[]) l(bucket_us, rate_hz) where l.rate_hz <= s.rate_hz) l
     where s.id = $1),
  counted as materialized (
    select l.*, l.wanted_us = 0 and (select count(*) from tail) < $8::int8
             and jsonb_array_length(l.axes) * (coalesce(rolled.n, 0) + coalesce(fresh.n, 0)) <= $7::int8 as is_raw
      from level l
     cross join lateral (
       select sum(b.n) as n
         from epochs e
         join kymo.rollup r on r.stream_id = $1 and r.epoch = e.epoch and r.bucket_us = l.finest_us
              and r.start_us > l.from_us - l.finest_us * ${BUCKETS_PER_ROW} and r.start_us < l.to_us
        cross join unnest(r.slots, r.counts) b(slot, n)
        where l.wanted_us = 0 and r.start_us + (b.slot + 1) * l.finest_us > l.from_us
          and r.start_us + b.slot * l.finest_us < l.to_us) rolled
     cross join lateral (
       select sum(t.n) as n from tail t where t.last_us >= l.from_us and t.first_us < l.to_us) fresh),
  bucketed as (
    select c.*, case when c.wanted_us = 0 then c.finest_us else c.wanted_us end as bucket_us from counted c),
  shown as materialized (
    select b.*, b.from_us - (b.from_us % b.bucket_us + b.bucket_us) % b.bucket_us as read_from_us,
           b.to_us + (b.bucket_us - b.to_us % b.bucket_us) % b.bucket_us as read_to_us
      from bucketed b)
  select s.axes, s.encoding, s.scale, s.rate_hz, s.from_us::text, s.to_us::text, s.first_us::text, s.last_us::text,
         s.is_raw, set_config('kymo.bucket_us', s.bucket_us::text, true) as bucket_us,
         set_config('kymo.read_from_us', s.read_from_us::text, true) as read_from_us,
         set_config('kymo.read_to_us', s.read_to_us::text, true) as read_to_us,
         set_config('kymo.is_raw', s.is_raw::text, true),
         (select count(*)::int from tail) as tail_chunks,
         (select json_agg(json_build_array(e.epoch::text, e.committed::text, e.dirty::text, e.tail_lost,
                   e.min_lag_us::text, least(e.first_us, t.first_us)::text, greatest(e.last_us, t.last_us)::text)
                 order by e.opened_at, e.epoch)
            from epochs e
            left join (select epoch, min(first_us) as first_us, max(last_us) as last_us from tail group by epoch) t
                   on t.epoch = e.epoch) as epochs
    from shown s`;

const setting = (name: string, type: string): string =>
  `nullif(current_setting('kymo.${name}', true), '')::${type}`;
const readSql = `(
  select ${setting('bucket_us', 'int8')} as bucket_us, ${setting('is_raw', 'boolean')} as is_raw,
         ${setting('read_from_us', 'int8')} as from_us, ${setting('read_to_us', 'int8')} as to_us offset 0) read`;
const rowsInRange = `r.stream_id = $1 and r.epoch = e.epoch and r.bucket_us = read.bucket_us
    and r.start_us > read.from_us - read.bucket_us * ${BUCKETS_PER_ROW} and r.start_us < read.to_us`;

const rowsSql = `
  select r.epoch::text, r.start_us::text, array_send(r.slots) as slots, array_send(r.counts) as counts,
         array_send(r.lags_us) as lags, array_send(r.finites) as finites, array_send(r.mins) as mins,
         array_send(r.maxs) as maxs, array_send(r.sums) as sums
    from ${readSql} cross join kymo.stream_epoch e join kymo.rollup r on ${rowsInRange}
   where e.stream_id = $1
   order by r.start_us, e.opened_at, e.epoch`;

// Chunks with fresh readings, and in raw mode those that the rows of roll-ups in the range point to. One that has both
// comes twice.
const chunksSql = `
  with epochs as materialized (
    select e.*, case when e.is_dirty then e.committed - coalesce(p.rolled, '{}') else '{}' end as dirty
      from kymo.stream_epoch e
      left join kymo.rollup_progress p on p.stream_id = e.stream_id and p.epoch = e.epoch
     where e.stream_id = $1),
  read as materialized (select * from ${readSql})
  select span.epoch::text, chunk.*
    from read
   cross join lateral (
     select e.*, lower(d) as from_seq, upper(d) as to_seq from epochs e cross join lateral unnest(e.dirty) d
     union all
     select e.*, lower(d), upper(d)
       from epochs e
      cross join lateral (
        select range_agg(x) - e.dirty as seqs from kymo.rollup r cross join lateral unnest(r.seqs) x
         where read.is_raw and ${rowsInRange}) rolled
      cross join lateral unnest(rolled.seqs) d) span
   ${joinChunks('c.stream_id, c.first_seq, c.first_us, c.last_us, c.n, c.segments, c.deltas, c.data, c.block', 'read')}
   limit (select case when is_raw then null else $2::int8 end from read)`;

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
      select c.first_seq + c.n as end_seq, c.last_us from kymo.stored_chunk c
       where c.stream_id = $1 and c.epoch = g.epoch and c.first_seq < g.from_seq
         and c.commit_day between g.first_commit_day and g.last_commit_day
       order by c.first_seq desc limit 1) before on true
    left join lateral (
      select c.first_seq, c.first_us from kymo.stored_chunk c
       where c.stream_id = $1 and c.epoch = g.epoch and c.first_seq >= g.to_seq
         and c.commit_day between g.first_commit_day and g.last_commit_day
       order by c.first_seq limit 1) after on true`;

/** The planner's settings, head, roll-up rows, chunks and gaps, in this order. */
export function envelopeStatements({ streamId, fromUs, toUs, width }: EnvelopeQuery): Statement[] {
  return [
    { name: 'envelope-planner', text: plannerSql },
    {
      name: 'envelope-head',
      text: headSql,
      values: [
        streamId,
        fromUs,
        toUs,
        width,
        packInt8s(rollupLevels.map((level) => level.bucketUs)),
        packFloat8s(rollupLevels.map((level) => level.fromRateHz)),
        envelopeBounds.rawValues,
        envelopeBounds.unrolledChunks,
      ],
    },
    { name: 'envelope-rows', text: rowsSql, values: [streamId] },
    { name: 'envelope-chunks', text: chunksSql, values: [streamId, envelopeBounds.unrolledChunks] },
    { name: 'envelope-gaps', text: gapsSql, values: [streamId, envelopeLimits.gaps] },
  ];
}
