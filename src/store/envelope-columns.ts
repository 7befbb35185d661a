/**
 * Owns the folding of roll-ups and single readings into the columns of an envelope. Every reading that goes in is in the
 * count, and between the least and the largest value, of exactly one column, so that a peak is never hidden. Columns lie
 * on multiples of their length, so that a range that moves keeps its columns. Bound: `maxColumns`.
 */

import { assert } from '#base/assert.ts';
import type { EnvelopeData } from '#contract/envelope.ts';
import type { ReadingBlock } from '#store/reading-block.ts';
import { floorTo } from '#store/rollup-levels.ts';

export type Columns = Pick<EnvelopeData, 'startUs' | 'endUs' | 'count' | 'lateUs' | 'min' | 'max' | 'mean'>;

/** Buckets of roll-ups as they are stored: entry `i`, or `i * axisCount + axis`. */
export interface Buckets {
  readonly startUs: Float64Array;
  readonly counts: Float64Array;
  readonly lags: Float64Array;
  /** Null: all values are finite. */
  readonly finites: Float64Array | null;
  readonly mins: Float64Array;
  readonly maxs: Float64Array;
  readonly sums: Float64Array;
}

export interface ColumnRange {
  readonly fromUs: number;
  readonly toUs: number;
  readonly axisCount: number;
  readonly maxColumns: number;
}

/** Columns of a fixed length over a range. */
export interface ColumnSet {
  /** Those buckets that touch the range. */
  addBuckets(buckets: Buckets): void;
  /** Reading `i`, as its bucket; or by itself where `bucketUs` is 0. Ignored outside the range. */
  addReading(block: ReadingBlock, i: number): void;
  /** Those with readings, in the order of time. */
  finish(minLagUs: number): Columns;
}

/** Columns of whole buckets, or of single readings where `bucketUs` is 0: each as long as `maxColumns` makes it. */
export function createColumnSet(range: ColumnRange, bucketUs: number): ColumnSet {
  const { fromUs, toUs, axisCount, maxColumns } = range;
  const unitUs = Math.max(1, bucketUs);
  // One less, since the first and the last column may be cut by the ends of the range.
  const units = Math.ceil((toUs - floorTo(fromUs, unitUs)) / unitUs);
  const columnUs = unitUs * Math.ceil(units / (maxColumns - 1));
  const originUs = floorTo(fromUs, columnUs);
  const length = Math.ceil((toUs - originUs) / columnUs);
  assert(length <= maxColumns, 'the columns are as many as asked for');
  const startUs = new Float64Array(length);
  const endUs = new Float64Array(length);
  const count = new Float64Array(length);
  const lags = new Float64Array(length);
  const values = length * axisCount;
  const finites = new Float64Array(values);
  const mins = new Float64Array(values).fill(Number.NaN);
  const maxs = new Float64Array(values).fill(Number.NaN);
  const sums = new Float64Array(values);

  /** The column of a piece of time, which it then spans. */
  function cover(pieceUs: number, pieceEndUs: number, lag: number): number {
    // Of very long columns, rounding could make a time near the end one of the next.
    const column = Math.min(length - 1, Math.floor((pieceUs - originUs) / columnUs));
    if (count[column] === 0) {
      startUs[column] = pieceUs;
      endUs[column] = pieceEndUs;
      lags[column] = lag;
      return column;
    }
    if (pieceUs < startUs[column]!) startUs[column] = pieceUs;
    if (pieceEndUs > endUs[column]!) endUs[column] = pieceEndUs;
    if (lag > lags[column]!) lags[column] = lag;
    return column;
  }

  return {
    addBuckets(buckets) {
      for (let i = 0; i < buckets.counts.length; i++) {
        const bucketStartUs = buckets.startUs[i]!;
        if (bucketStartUs + bucketUs <= fromUs || bucketStartUs >= toUs) continue;
        const column = cover(bucketStartUs, bucketStartUs + bucketUs, buckets.lags[i]!);
        const n = buckets.counts[i]!;
        count[column]! += n;
        for (let axis = 0; axis < axisCount; axis++) {
          const of = i * axisCount + axis;
          const finite = buckets.finites === null ? n : buckets.finites[of]!;
          if (finite === 0) continue;
          const at = column * axisCount + axis;
          finites[at]! += finite;
          if (!(buckets.mins[of]! >= mins[at]!)) mins[at] = buckets.mins[of]!;
          if (!(buckets.maxs[of]! <= maxs[at]!)) maxs[at] = buckets.maxs[of]!;
          sums[at]! += buckets.sums[of]!;
        }
      }
    },
    addReading(block, i) {
      const timeUs = block.times[i]!;
      const pieceUs = bucketUs === 0 ? timeUs : floorTo(timeUs, bucketUs);
      if (pieceUs + unitUs <= fromUs || pieceUs >= toUs) return;
      const column = cover(pieceUs, pieceUs + unitUs, block.lags[i]!);
      count[column]!++;
      for (let axis = 0; axis < axisCount; axis++) {
        const value = block.values[i * axisCount + axis]!;
        // Neither NaN nor an infinity: their difference to themselves is NaN.
        if (value - value !== 0) continue;
        const at = column * axisCount + axis;
        finites[at]!++;
        if (!(value >= mins[at]!)) mins[at] = value;
        if (!(value <= maxs[at]!)) maxs[at] = value;
        sums[at]! += value;
      }
    },
    finish(minLagUs) {
      const used = Array.from(count.keys()).filter((column) => count[column]! > 0);
      const pick = (of: Float64Array): Float64Array => Float64Array.from(used, (column) => of[column]!);
      const curve = (valueAt: (at: number) => number): Float64Array[] =>
        Array.from({ length: axisCount }, (_, axis) =>
          Float64Array.from(used, (column) => valueAt(column * axisCount + axis)),
        );
      return {
        startUs: pick(startUs),
        endUs: pick(endUs),
        count: pick(count),
        lateUs: pick(lags).map((lag) => lag - minLagUs),
        min: curve((at) => mins[at]!),
        max: curve((at) => maxs[at]!),
        mean: curve((at) => sums[at]! / finites[at]!),
      };
    },
  };
}

/** One column a reading, in the order of time; of one time in the order given. */
export function singleColumns(
  readings: readonly { readonly block: ReadingBlock; readonly i: number }[],
  axisCount: number,
  minLagUs: number,
): Columns {
  const sorted = readings.toSorted((a, b) => a.block.times[a.i]! - b.block.times[b.i]!);
  const pick = (of: (block: ReadingBlock, i: number) => number): Float64Array =>
    Float64Array.from(sorted, ({ block, i }) => of(block, i));
  const curves = (): Float64Array[] =>
    Array.from({ length: axisCount }, (_, axis) =>
      pick((block, i) => {
        const value = block.values[i * axisCount + axis]!;
        return Number.isFinite(value) ? value : Number.NaN;
      }),
    );
  return {
    startUs: pick((block, i) => block.times[i]!),
    endUs: pick((block, i) => block.times[i]! + 1),
    count: new Float64Array(sorted.length).fill(1),
    lateUs: pick((block, i) => block.lags[i]! - minLagUs),
    min: curves(),
    max: curves(),
    mean: curves(),
  };
}
