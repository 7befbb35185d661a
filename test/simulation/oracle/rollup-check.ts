/**
 * Owns the recomputation of roll-ups from the stored rows, by a fold of its own: readings in the order of their numbers
 * into the shortest buckets, buckets in the order of time into longer ones. What is stored must equal it bit for bit.
 */

import { subtract } from '#base/ranges.ts';
import { bucketLengths, BUCKETS_PER_ROW, rowKeyOf, rowName } from '#store/rollup-levels.ts';
import type { RollupRow } from '#store/rollup-rows.ts';
import type { EpochTable, Tables } from '#test/simulation/database/database-types.ts';
import { rangeText } from '#test/simulation/oracle/truth.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

interface Bucket {
  count: number;
  readonly mins: number[];
  readonly maxs: number[];
  readonly sums: number[];
}

/** Compares every roll-up with the rows it was made of. `isAtRest`: nothing may be left to roll up. */
export function checkRollups(tables: Tables, verdict: Verdict, isAtRest: boolean): void {
  for (const [key, table] of tables.epochs) {
    const stream = tables.streams.get(key.slice(0, key.indexOf('/')));
    if (stream === undefined || !table.hasGuard) continue;
    const left = subtract(table.committed, table.rolled);
    if (left.length > 0) {
      if (isAtRest) verdict.fail('roll-ups', `${key}: ${rangeText(left)} was never rolled up`);
      continue;
    }
    const extra = subtract(table.rolled, table.committed);
    if (extra.length > 0) verdict.fail('roll-ups', `${key}: ${rangeText(extra)} is rolled up and not stored`);
    const { rateHz, axes } = stream.definition;
    checkEpoch(key, table, { axes: axes.length, lengths: bucketLengths(rateHz) }, verdict);
  }
}

interface Layout {
  readonly axes: number;
  readonly lengths: readonly number[];
}

function checkEpoch(key: string, table: EpochTable, { axes, lengths }: Layout, verdict: Verdict): void {
  let expected = 0;
  let below = fold(table, axes, lengths[0]!);
  for (const [level, bucketUs] of lengths.entries()) {
    if (level > 0) below = foldUp(below, bucketUs, axes);
    const rows = new Map<string, Map<number, Bucket>>();
    for (const [startUs, bucket] of below) {
      const row = rowKeyOf(bucketUs, startUs);
      const slot = Math.floor((startUs - row.startUs) / bucketUs);
      const slots = rows.get(rowName(row)) ?? new Map<number, Bucket>();
      rows.set(rowName(row), slots.set(slot, bucket));
    }
    expected += rows.size;
    for (const [name, slots] of rows) {
      const row = table.rollups.get(name);
      if (row === undefined) return verdict.fail('roll-ups', `${key} has no row ${name}`);
      const wrong = differenceOf(row, slots, axes);
      if (wrong !== null) return verdict.fail('roll-ups', `${key} row ${name}: ${wrong}`);
    }
  }
  if (table.rollups.size !== expected)
    verdict.fail(
      'roll-ups',
      `${key} has ${table.rollups.size} rows of roll-ups, its readings make ${expected}`,
    );
}

/** By remainders, which are exact where a quotient would be rounded. */
function beginOf(timeUs: number, bucketUs: number): number {
  return timeUs - (((timeUs % bucketUs) + bucketUs) % bucketUs);
}

function emptyBucket(axes: number): Bucket {
  return {
    count: 0,
    mins: Array.from({ length: axes }, () => Number.POSITIVE_INFINITY),
    maxs: Array.from({ length: axes }, () => Number.NEGATIVE_INFINITY),
    sums: Array.from({ length: axes }, () => 0),
  };
}

function bucketOf(buckets: Map<number, Bucket>, startUs: number, axes: number): Bucket {
  let bucket = buckets.get(startUs);
  if (bucket === undefined) buckets.set(startUs, (bucket = emptyBucket(axes)));
  return bucket;
}

/** Readings in the order of their numbers. Their values are finite: so are all that a world makes. */
function fold(table: EpochTable, axes: number, bucketUs: number): Map<number, Bucket> {
  const buckets = new Map<number, Bucket>();
  for (const chunk of [...table.chunks].sort((a, b) => a.firstSeq - b.firstSeq)) {
    const view = new DataView(chunk.payload.buffer, chunk.payload.byteOffset, chunk.payload.byteLength);
    for (let i = 0; i < chunk.n; i++) {
      const bucket = bucketOf(buckets, beginOf(chunk.timesUs[i]!, bucketUs), axes);
      bucket.count++;
      for (let axis = 0; axis < axes; axis++) {
        const value = view.getFloat32((i * axes + axis) * 4, true);
        if (value < bucket.mins[axis]!) bucket.mins[axis] = value;
        if (value > bucket.maxs[axis]!) bucket.maxs[axis] = value;
        bucket.sums[axis]! += value;
      }
    }
  }
  return buckets;
}

function foldUp(below: ReadonlyMap<number, Bucket>, bucketUs: number, axes: number): Map<number, Bucket> {
  const buckets = new Map<number, Bucket>();
  for (const startUs of [...below.keys()].sort((a, b) => a - b)) {
    const child = below.get(startUs)!;
    const bucket = bucketOf(buckets, beginOf(startUs, bucketUs), axes);
    bucket.count += child.count;
    for (let axis = 0; axis < axes; axis++) {
      bucket.mins[axis] = Math.min(bucket.mins[axis]!, child.mins[axis]!);
      bucket.maxs[axis] = Math.max(bucket.maxs[axis]!, child.maxs[axis]!);
      bucket.sums[axis]! += child.sums[axis]!;
    }
  }
  return buckets;
}

function differenceOf(row: RollupRow, slots: ReadonlyMap<number, Bucket>, axes: number): string | null {
  for (let slot = 0; slot < BUCKETS_PER_ROW; slot++) {
    const bucket = slots.get(slot);
    const count = bucket?.count ?? 0;
    if (row.counts[slot] !== count) return `bucket ${slot} counts ${row.counts[slot]}, not ${count}`;
    if (bucket === undefined) continue;
    for (let axis = 0; axis < axes; axis++) {
      const at = slot * axes + axis;
      if (row.mins[at] !== bucket.mins[axis])
        return `bucket ${slot} has minimum ${row.mins[at]}, not ${bucket.mins[axis]}`;
      if (row.maxs[at] !== bucket.maxs[axis])
        return `bucket ${slot} has maximum ${row.maxs[at]}, not ${bucket.maxs[axis]}`;
      if (row.sums[at] !== bucket.sums[axis])
        return `bucket ${slot} has sum ${row.sums[at]}, not ${bucket.sums[axis]}`;
      if (row.finites[at] !== count)
        return `bucket ${slot} has ${row.finites[at]} finite values, not ${count}`;
    }
  }
  return null;
}
