/**
 * Owns the way from a range of device time to the sequence numbers of its readings, without an index on time: rows of
 * roll-ups say which numbers they hold, long rows for the middle of the range and short ones for its ends; what is not
 * rolled up yet is added. Holds over clock jumps. Bound: about twenty rows a level, however long the range.
 */

import type { RangeSet } from '#base/ranges.ts';
import { packInt8s } from '#store/binary-arrays.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import { parseMultirange } from '#store/multirange.ts';
import type { Statement } from '#store/pools.ts';
import { bucketLengths, floorTo, rowUs } from '#store/rollup-levels.ts';

/** Rows of one level, by where they start. */
export interface RowRange {
  readonly bucketUs: number;
  readonly fromUs: number;
  /** Exclusive. */
  readonly toUs: number;
}

/** The fewest rows that cover a range, and reach over its ends by less than one row of the shortest buckets. */
export function rowsCovering(rateHz: number, range: { fromUs: number; toUs: number }): RowRange[] {
  const lengths = bucketLengths(rateHz);
  const rows: RowRange[] = [];
  const add = (bucketUs: number, fromUs: number, toUs: number): void => {
    if (fromUs < toUs) rows.push({ bucketUs, fromUs, toUs });
  };
  const shortest = rowUs(lengths[0]!);
  let fromUs = floorTo(range.fromUs, shortest);
  let toUs = floorTo(range.toUs + shortest - 1, shortest);
  for (const [level, bucketUs] of lengths.entries()) {
    const next = lengths[level + 1];
    const innerFromUs = next === undefined ? toUs : floorTo(fromUs + rowUs(next) - 1, rowUs(next));
    const innerToUs = next === undefined ? toUs : floorTo(toUs, rowUs(next));
    if (innerFromUs >= innerToUs) {
      add(bucketUs, fromUs, toUs);
      break;
    }
    add(bucketUs, fromUs, innerFromUs);
    add(bucketUs, innerToUs, toUs);
    fromUs = innerFromUs;
    toUs = innerToUs;
  }
  return rows;
}

/** Of every epoch of a stream in which something is stored, in the order in which they were opened. */
export function spansStatement(streamId: string, rows: readonly RowRange[]): Statement {
  return {
    name: 'seq-spans',
    text: `select e.epoch::text,
        (coalesce(rolled.seqs, '{}')
         + case when e.is_dirty then e.committed - coalesce(p.rolled, '{}') else '{}' end)::text as seqs
      from kymo.stream_epoch e
      left join kymo.rollup_progress p on p.stream_id = e.stream_id and p.epoch = e.epoch
     cross join lateral (
       select range_agg(x) as seqs
         from unnest($2::int8[], $3::int8[], $4::int8[]) k(bucket_us, from_us, to_us)
        cross join lateral (
          select r.seqs from kymo.rollup r
           where r.stream_id = $1 and r.epoch = e.epoch and r.bucket_us = k.bucket_us
             and r.start_us >= k.from_us and r.start_us < k.to_us offset 0) r
        cross join lateral unnest(r.seqs) x) rolled
     where e.stream_id = $1 and e.committed <> '{}'
     order by e.opened_at, e.epoch`,
    values: [
      streamId,
      packInt8s(rows.map((row) => row.bucketUs)),
      packInt8s(rows.map((row) => row.fromUs)),
      packInt8s(rows.map((row) => row.toUs)),
    ],
  };
}

export interface EpochSpans {
  readonly epoch: string;
  /** Hold all readings of the range, and others. */
  readonly spans: RangeSet;
}

/** The rows of `spansStatement`. Ranges closer than `linked` readings are one, which costs less than asking again. */
export function epochSpans(rows: readonly unknown[], linked: number): EpochSpans[] {
  return (rows as readonly { epoch: string; seqs: string }[]).map(({ epoch, seqs }) => {
    const spans: { from: number; to: number }[] = [];
    for (const { from, to } of parseMultirange(seqs)) {
      const last = spans.at(-1);
      if (last !== undefined && from - last.to < linked) last.to = to;
      else spans.push({ from, to });
    }
    return { epoch: int8ToEpoch(epoch), spans };
  });
}
