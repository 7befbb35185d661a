/**
 * Owns the SQL of the keeper: what there is to do, one epoch's lock and layout, its rows in and out. Dense rows of
 * rollup-rows.ts are stored without their empty buckets (migrations/0002-rollups.sql). Runs as kymo_writer.
 */

import type { RangeSet } from '#base/ranges.ts';
import type { Axis } from '#protocol/messages.ts';
import { packFloat8s, packInt2s, packInt8s, unpackNumbers } from '#store/binary-arrays.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { formatMultirange, parseMultirange } from '#store/multirange.ts';
import type { Statement } from '#store/pools.ts';
import { BUCKETS_PER_ROW, type RowKey } from '#store/rollup-levels.ts';
import type { RollFacts } from '#store/rollup-plan.ts';
import { emptyRow, type RollupRow } from '#store/rollup-rows.ts';

export interface EpochName {
  readonly streamId: string;
  /** 16 hexadecimal digits. */
  readonly epoch: string;
}

/** When an epoch is worth a visit, so that a live stream costs one in `liveS` and not one a flush. */
export interface VisitPolicy {
  /** Nothing was committed for so long. */
  readonly quietS: number;
  /** So much time passed since the last visit; or so much of it, at the stream's rate, waits. */
  readonly liveS: number;
}

/** Epochs to visit, those first that were not visited for longest: rows of `stream_id` and `epoch` as text. */
export function candidatesStatement({ quietS, liveS }: VisitPolicy, limit: number): Statement {
  return {
    name: 'rollup-candidates',
    text: `select e.stream_id, e.epoch::text
      from kymo.stream_epoch e
      join kymo.stream s on s.id = e.stream_id
      left join kymo.rollup_progress p on p.stream_id = e.stream_id and p.epoch = e.epoch
     where e.is_dirty
       and (s.ended_at is not null
            or coalesce(e.committed_at, '-infinity') < now() - $1 * interval '1 second'
            or coalesce(p.rolled_at, e.opened_at) < now() - $2 * interval '1 second'
            or (select sum(upper(d) - lower(d)) from unnest(e.committed - coalesce(p.rolled, '{}')) d) >= s.rate_hz * $2)
     order by p.rolled_at nulls first, e.stream_id, e.epoch
     limit $3`,
    values: [quietS, liveS, limit],
  };
}

/** Makes an epoch's row of progress, if it has none. */
export function openProgressStatement({ streamId, epoch }: EpochName): Statement {
  return {
    name: 'rollup-open',
    text: `insert into kymo.rollup_progress (stream_id, epoch, org_id)
      select stream_id, epoch, org_id from kymo.stream_epoch where stream_id = $1 and epoch = $2
      on conflict do nothing`,
    values: [streamId, epochToInt8(epoch)],
  };
}

/** Locks it; no row when another keeper is at work. */
export function lockProgressStatement({ streamId, epoch }: EpochName): Statement {
  return {
    name: 'rollup-lock',
    text: `select p.org_id, p.rolled::text, e.committed::text, s.axes, s.encoding, s.scale, s.rate_hz
      from kymo.rollup_progress p
      join kymo.stream_epoch e on e.stream_id = p.stream_id and e.epoch = p.epoch
      join kymo.stream s on s.id = p.stream_id
     where p.stream_id = $1 and p.epoch = $2
       for update of p skip locked`,
    values: [streamId, epochToInt8(epoch)],
  };
}

export interface LockedProgress {
  readonly orgId: string;
  readonly rolled: RangeSet;
  readonly committed: RangeSet;
  readonly axisCount: number;
  readonly encoding: 'float32' | 'int16';
  readonly scale: readonly number[] | null;
  readonly rateHz: number;
}

export function lockedProgress(row: unknown): LockedProgress {
  const { org_id, rolled, committed, axes, encoding, scale, rate_hz } = row as {
    org_id: string;
    rolled: string;
    committed: string;
    axes: readonly Axis[];
    encoding: 'float32' | 'int16';
    scale: readonly number[] | null;
    rate_hz: number;
  };
  return {
    orgId: org_id,
    rolled: parseMultirange(rolled),
    committed: parseMultirange(committed),
    axisCount: axes.length,
    encoding,
    scale,
    rateHz: rate_hz,
  };
}

/** Those of the rows that exist. */
export function rowsStatement({ streamId, epoch }: EpochName, keys: readonly RowKey[]): Statement {
  return {
    name: 'rollup-rows',
    text: `select r.bucket_us::text, r.start_us::text, r.seqs::text, array_send(r.slots) as slots,
        array_send(r.counts) as counts, array_send(r.lags_us) as lags, array_send(r.finites) as finites,
        array_send(r.mins) as mins, array_send(r.maxs) as maxs, array_send(r.sums) as sums
      from unnest($3::int8[], $4::int8[]) k(bucket_us, start_us)
      join kymo.rollup r on r.stream_id = $1 and r.epoch = $2 and r.bucket_us = k.bucket_us and r.start_us = k.start_us`,
    values: [
      streamId,
      epochToInt8(epoch),
      packInt8s(keys.map((key) => key.bucketUs)),
      packInt8s(keys.map((key) => key.startUs)),
    ],
  };
}

interface StoredRow {
  readonly bucket_us: string;
  readonly start_us: string;
  readonly seqs: string;
  readonly slots: Buffer;
  readonly counts: Buffer;
  readonly lags: Buffer;
  readonly finites: Buffer | null;
  readonly mins: Buffer;
  readonly maxs: Buffer;
  readonly sums: Buffer;
}

/** A row of `rowsStatement`. */
export function denseRow(stored: unknown, axisCount: number): RollupRow {
  const { bucket_us, start_us, seqs, ...arrays } = stored as StoredRow;
  const row = emptyRow({ bucketUs: Number(bucket_us), startUs: Number(start_us) }, axisCount);
  row.seqs = parseMultirange(seqs);
  const counts = unpackNumbers(arrays.counts);
  const lags = unpackNumbers(arrays.lags);
  const finites = arrays.finites === null ? null : unpackNumbers(arrays.finites);
  const [mins, maxs, sums] = [arrays.mins, arrays.maxs, arrays.sums].map(unpackNumbers);
  unpackNumbers(arrays.slots).forEach((slot, i) => {
    const from = i * axisCount;
    const at = slot * axisCount;
    row.counts[slot] = counts[i]!;
    row.lags[slot] = lags[i]!;
    if (finites === null) row.finites.fill(counts[i]!, at, at + axisCount);
    else row.finites.set(finites.subarray(from, from + axisCount), at);
    row.mins.set(mins!.subarray(from, from + axisCount), at);
    row.maxs.set(maxs!.subarray(from, from + axisCount), at);
    row.sums.set(sums!.subarray(from, from + axisCount), at);
  });
  return row;
}

/**
 * Writes rows, new or changed. All rows' buckets travel in one array a column, which is cut into rows there: one statement
 * whatever the number of rows.
 */
export function storeRowsStatement(name: EpochName, orgId: string, rows: readonly RollupRow[]): Statement {
  const buckets = rows.map((row) =>
    Array.from({ length: BUCKETS_PER_ROW }, (_, slot) => slot).filter((slot) => row.counts[slot]! > 0),
  );
  const ends: number[] = [];
  for (const slots of buckets) ends.push((ends.at(-1) ?? 0) + slots.length);
  const ofSlots = (pick: (row: RollupRow) => Float64Array): Float64Array =>
    Float64Array.from(rows.flatMap((row, i) => buckets[i]!.map((slot) => pick(row)[slot]!)));
  const axisCount = rows[0]?.axisCount ?? 0;
  const ofAxes = (pick: (row: RollupRow) => Float64Array): Float64Array => {
    const values = new Float64Array((ends.at(-1) ?? 0) * axisCount);
    let at = 0;
    rows.forEach((row, i) => {
      for (const slot of buckets[i]!) {
        values.set(pick(row).subarray(slot * axisCount, (slot + 1) * axisCount), at);
        at += axisCount;
      }
    });
    return values;
  };
  return {
    name: 'rollup-store',
    text: `insert into kymo.rollup
        (org_id, stream_id, epoch, bucket_us, start_us, seqs, slots, counts, lags_us, finites, mins, maxs, sums)
      select $1, $2, $3, r.bucket_us, r.start_us, r.seqs::int8multirange,
             ($10::int2[])[r.first : r.last], ($11::int8[])[r.first : r.last], ($12::int8[])[r.first : r.last],
             case when r.has_finites then ($13::int8[])[(r.first - 1) * $9::int + 1 : r.last * $9::int] end,
             ($14::float8[])[(r.first - 1) * $9::int + 1 : r.last * $9::int],
             ($15::float8[])[(r.first - 1) * $9::int + 1 : r.last * $9::int],
             ($16::float8[])[(r.first - 1) * $9::int + 1 : r.last * $9::int]
        from (select k.*, (lag(k.last, 1, 0::int8) over (order by k.ordinal) + 1)::int as first
                from unnest($4::int8[], $5::int8[], $6::text[], $7::int8[], $8::boolean[])
                     with ordinality k(bucket_us, start_us, seqs, last, has_finites, ordinal)) r
      on conflict (stream_id, epoch, bucket_us, start_us) do update
        set seqs = excluded.seqs, slots = excluded.slots, counts = excluded.counts, lags_us = excluded.lags_us,
            finites = excluded.finites, mins = excluded.mins, maxs = excluded.maxs, sums = excluded.sums`,
    values: [
      orgId,
      name.streamId,
      epochToInt8(name.epoch),
      packInt8s(rows.map((row) => row.bucketUs)),
      packInt8s(rows.map((row) => row.startUs)),
      rows.map((row) => formatMultirange(row.seqs)),
      packInt8s(ends),
      rows.map((row) => row.counts.some((count, slot) => hasOddAxis(row, slot, count))),
      axisCount,
      packInt2s(buckets.flat()),
      packInt8s(ofSlots((row) => row.counts)),
      packInt8s(ofSlots((row) => row.lags)),
      packInt8s(ofAxes((row) => row.finites)),
      packFloat8s(ofAxes((row) => row.mins)),
      packFloat8s(ofAxes((row) => row.maxs)),
      packFloat8s(ofAxes((row) => row.sums)),
    ],
  };
}

/** Whether some value in the bucket is not finite. */
function hasOddAxis({ axisCount, finites }: RollupRow, slot: number, count: number): boolean {
  for (let at = slot * axisCount; at < (slot + 1) * axisCount; at++) if (finites[at] !== count) return true;
  return false;
}

/** Notes what is rolled now. */
export function advanceStatement(name: EpochName, rolled: RangeSet, facts: RollFacts | null): Statement {
  return {
    name: 'rollup-advance',
    text: `update kymo.rollup_progress
        set rolled = $3::int8multirange, rolled_at = now(), first_us = least(first_us, $4::int8),
            last_us = greatest(last_us, $5::int8), min_lag_us = least(min_lag_us, $6::int8)
      where stream_id = $1 and epoch = $2`,
    values: [
      name.streamId,
      epochToInt8(name.epoch),
      formatMultirange(rolled),
      facts?.firstUs ?? null,
      facts?.lastUs ?? null,
      facts?.minLagUs ?? null,
    ],
  };
}

/**
 * The guard's mark: cleared when all that is committed is rolled. Locks the guard's row, and so comes last. No row means
 * that the stream was erased meanwhile: then nothing may be stored of it.
 */
export function clearMarkStatement({ streamId, epoch }: EpochName, rolled: RangeSet): Statement {
  return {
    name: 'rollup-clear',
    text: `update kymo.stream_epoch set is_dirty = committed <> $3::int8multirange where stream_id = $1 and epoch = $2`,
    values: [streamId, epochToInt8(epoch), formatMultirange(rolled)],
  };
}
