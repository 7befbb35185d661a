/**
 * Owns the folding of roll-ups and single readings into the columns of an envelope. Every reading that goes in is in the
 * count, and between the least and the largest value, of exactly one column, so that a peak is never hidden. Columns lie
 * on multiples of their length, so that a range that moves keeps its columns. Bound: `maxColumns`.
 */

import { assert } from '#base/assert.ts';
import type { EnvelopeData } from '#contract/envelope.ts';
import { foldValues, type ReadingBlock, type ValueStatistics } from '#store/reading-block.ts';
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

/** Columns of a fixed length over a range. What lies outside of the range is left out. */
export interface ColumnSet {
  addBuckets(buckets: Buckets): void;
  /** Readings [from, to) of a block. */
  addReadings(block: ReadingBlock, from: number, to: number): void;
  /** Those with readings, in the order of time. */
  finish(minLagUs: number): Columns;
}

/**
 * Columns of whole buckets of `bucketUs`, each as long as `maxColumns` makes it; readings count as their bucket. Where
 * `bucketUs` is 0, columns of single readings.
 */
export function createColumnSet(range: ColumnRange, bucketUs: number): ColumnSet {
  const { axisCount, maxColumns } = range;
  const unitUs = Math.max(1, bucketUs);
  const fromUs = floorTo(range.fromUs, unitUs);
  const toUs = floorTo(range.toUs + unitUs - 1, unitUs);
  // One less, since the first and the last column may be cut by the ends of the range.
  const columnUs = unitUs * Math.ceil((toUs - fromUs) / unitUs / (maxColumns - 1));
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
  const statistics: ValueStatistics = { axisCount, finites, mins, maxs, sums };

  function columnOf(timeUs: number): number {
    // Of very long columns, rounding could make a time near the end one of the next.
    return Math.min(length - 1, Math.floor((timeUs - originUs) / columnUs));
  }

  /** Notes that a column has `n` readings more, in this piece of time. */
  function cover(column: number, n: number, piece: { fromUs: number; toUs: number; lag: number }): void {
    const isFirst = count[column] === 0;
    if (isFirst || piece.fromUs < startUs[column]!) startUs[column] = piece.fromUs;
    if (isFirst || piece.toUs > endUs[column]!) endUs[column] = piece.toUs;
    if (isFirst || piece.lag > lags[column]!) lags[column] = piece.lag;
    count[column]! += n;
  }

  return {
    addBuckets(buckets) {
      for (let i = 0; i < buckets.counts.length; i++) {
        const bucketStartUs = buckets.startUs[i]!;
        if (bucketStartUs < fromUs || bucketStartUs >= toUs) continue;
        const column = columnOf(bucketStartUs);
        const n = buckets.counts[i]!;
        cover(column, n, {
          fromUs: bucketStartUs,
          toUs: bucketStartUs + bucketUs,
          lag: buckets.lags[i]!,
        });
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
    addReadings(block, from, to) {
      const { times } = block;
      for (let i = from; i < to;) {
        const timeUs = times[i]!;
        if (timeUs < fromUs || timeUs >= toUs) {
          i++;
          continue;
        }
        // Consecutive readings of one column.
        const column = columnOf(timeUs);
        const beginUs = Math.max(fromUs, originUs + column * columnUs);
        const limitUs = Math.min(toUs, originUs + (column + 1) * columnUs);
        let [firstUs, lastUs, lag] = [timeUs, timeUs, block.lags[i]!];
        let end = i + 1;
        for (; end < to && times[end]! >= beginUs && times[end]! < limitUs; end++) {
          if (times[end]! < firstUs) firstUs = times[end]!;
          if (times[end]! > lastUs) lastUs = times[end]!;
          if (block.lags[end]! > lag) lag = block.lags[end]!;
        }
        cover(column, end - i, {
          fromUs: floorTo(firstUs, unitUs),
          toUs: floorTo(lastUs, unitUs) + unitUs,
          lag,
        });
        foldValues(statistics, column, block, { from: i, to: end });
        i = end;
      }
    },
    finish(minLagUs) {
      let used = 0;
      for (let column = 0; column < length; column++)
        if (count[column]! > 0) {
          startUs[used] = startUs[column]!;
          endUs[used] = endUs[column]!;
          lags[used] = lags[column]! - minLagUs;
          count[used] = count[column]!;
          finites.copyWithin(used * axisCount, column * axisCount, (column + 1) * axisCount);
          mins.copyWithin(used * axisCount, column * axisCount, (column + 1) * axisCount);
          maxs.copyWithin(used * axisCount, column * axisCount, (column + 1) * axisCount);
          sums.copyWithin(used * axisCount, column * axisCount, (column + 1) * axisCount);
          used++;
        }
      for (let at = 0; at < used * axisCount; at++) sums[at]! /= finites[at]!;
      return {
        startUs: startUs.slice(0, used),
        endUs: endUs.slice(0, used),
        count: count.slice(0, used),
        lateUs: lags.slice(0, used),
        min: byAxis(mins, used, axisCount),
        max: byAxis(maxs, used, axisCount),
        mean: byAxis(sums, used, axisCount),
      };
    },
  };
}

/** One column a reading. What lies outside of the range is left out. */
export interface SingleSet {
  /** Readings [from, to) of a block; those beyond `maxColumns` are counted only. */
  addReadings(block: ReadingBlock, from: number, to: number): void;
  /** Readings in the range. */
  readonly count: number;
  /** In the order of time, of one time in the order in which they came. At most `maxColumns` were added. */
  finish(minLagUs: number): Columns;
}

export function createSingleSet({ fromUs, toUs, axisCount, maxColumns }: ColumnRange): SingleSet {
  const times = new Float64Array(maxColumns);
  const lags = new Float64Array(maxColumns);
  const values = new Float64Array(maxColumns * axisCount);
  let count = 0;
  let isSorted = true;
  return {
    get count() {
      return count;
    },
    addReadings(block, from, to) {
      for (let i = from; i < to; i++) {
        const timeUs = block.times[i]!;
        if (timeUs < fromUs || timeUs >= toUs) continue;
        if (count < maxColumns) {
          isSorted &&= count === 0 || timeUs >= times[count - 1]!;
          times[count] = timeUs;
          lags[count] = block.lags[i]!;
          for (let axis = 0; axis < axisCount; axis++) {
            const value = block.values[i * axisCount + axis]!;
            values[count * axisCount + axis] = Number.isFinite(value) ? value : Number.NaN;
          }
        }
        count++;
      }
    },
    finish(minLagUs) {
      assert(count <= maxColumns, 'single readings are shown where they are few enough');
      const order = Uint32Array.from({ length: count }, (_, i) => i);
      if (!isSorted) order.sort((a, b) => times[a]! - times[b]! || a - b);
      const startUs = new Float64Array(count);
      const lateUs = new Float64Array(count);
      const sorted = new Float64Array(count * axisCount);
      order.forEach((from, i) => {
        startUs[i] = times[from]!;
        lateUs[i] = lags[from]! - minLagUs;
        sorted.set(values.subarray(from * axisCount, (from + 1) * axisCount), i * axisCount);
      });
      const curves = (): Float64Array[] => byAxis(sorted, count, axisCount);
      return {
        startUs,
        endUs: startUs.map((timeUs) => timeUs + 1),
        count: new Float64Array(count).fill(1),
        lateUs,
        min: curves(),
        max: curves(),
        mean: curves(),
      };
    },
  };
}

/** Rows of axes as one array an axis. */
function byAxis(rows: Float64Array, count: number, axisCount: number): Float64Array[] {
  return Array.from({ length: axisCount }, (_, axis) => {
    const list = new Float64Array(count);
    for (let i = 0; i < count; i++) list[i] = rows[i * axisCount + axis]!;
    return list;
  });
}
