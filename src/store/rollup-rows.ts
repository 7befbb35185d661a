/**
 * Owns the content of roll-up rows and the two folds that make it: readings in the order of their sequence numbers into
 * buckets, and buckets in the order of time into longer ones. Both are exact and depend on nothing else, so that a bucket
 * that goes on from where it stood equals one computed from scratch, bit for bit. Pure. A row has BUCKETS_PER_ROW buckets.
 */

import { assert } from '#base/assert.ts';
import { rangesOf, type Range, type RangeSet } from '#base/ranges.ts';
import { foldValues, type ReadingBlock, type ValueStatistics } from '#store/reading-block.ts';
import { BUCKETS_PER_ROW, type RowKey } from '#store/rollup-levels.ts';

/**
 * Ranges of sequence numbers in a row that are closer than this become one: reading over so many readings that lie
 * elsewhere in time costs less than looking again. The result does not depend on the order in which they come.
 */
const LINKED_READINGS = 2_048;
/** A device whose clock goes over one minute ever again: its row then says where it begins and ends only. */
const MAX_RANGES = 64;

/** Dense: entry `slot` or `slot * axisCount + axis`, of buckets without readings too. */
export interface RollupRow extends RowKey, ValueStatistics {
  /** Holds all readings of the row, and others between. */
  seqs: RangeSet;
  readonly counts: Float64Array;
  /** Largest; 0 in buckets without readings. */
  readonly lags: Float64Array;
}

export function emptyRow({ bucketUs, startUs }: RowKey, axisCount: number): RollupRow {
  const values = BUCKETS_PER_ROW * axisCount;
  return {
    bucketUs,
    startUs,
    axisCount,
    seqs: [],
    counts: new Float64Array(BUCKETS_PER_ROW),
    lags: new Float64Array(BUCKETS_PER_ROW),
    finites: new Float64Array(values),
    mins: new Float64Array(values).fill(Number.NaN),
    maxs: new Float64Array(values).fill(Number.NaN),
    sums: new Float64Array(values),
  };
}

/** Which bucket of the row holds a time that the row holds. */
export function slotOf(row: RowKey, timeUs: number): number {
  const slot = Math.floor((timeUs - row.startUs) / row.bucketUs);
  assert(slot >= 0 && slot < BUCKETS_PER_ROW, 'the row holds the time');
  return slot;
}

/** Folds readings [from, to) of a block into a bucket: later in seq than what the bucket has. */
export function foldReadings(row: RollupRow, slot: number, block: ReadingBlock, run: Range): void {
  let lag = row.counts[slot] === 0 ? -Infinity : row.lags[slot]!;
  for (let i = run.from; i < run.to; i++) if (block.lags[i]! > lag) lag = block.lags[i]!;
  row.lags[slot] = lag;
  row.counts[slot]! += run.to - run.from;
  foldValues(row, slot, block, run);
}

/** Folds bucket `from` of a row into a bucket of another: later in time than what that has. */
export function foldBucket(row: RollupRow, slot: number, source: RollupRow, from: number): void {
  const count = source.counts[from]!;
  if (count === 0) return;
  const lag = source.lags[from]!;
  if (row.counts[slot] === 0 || lag > row.lags[slot]!) row.lags[slot] = lag;
  row.counts[slot]! += count;
  for (let axis = 0; axis < row.axisCount; axis++) {
    const of = from * row.axisCount + axis;
    if (source.finites[of] === 0) continue;
    const at = slot * row.axisCount + axis;
    row.finites[at]! += source.finites[of]!;
    if (!(source.mins[of]! >= row.mins[at]!)) row.mins[at] = source.mins[of]!;
    if (!(source.maxs[of]! <= row.maxs[at]!)) row.maxs[at] = source.maxs[of]!;
    row.sums[at]! += source.sums[of]!;
  }
}

export function clearBucket(row: RollupRow, slot: number): void {
  const from = slot * row.axisCount;
  const to = from + row.axisCount;
  row.counts[slot] = 0;
  row.lags[slot] = 0;
  row.finites.fill(0, from, to);
  row.mins.fill(Number.NaN, from, to);
  row.maxs.fill(Number.NaN, from, to);
  row.sums.fill(0, from, to);
}

/** Makes buckets of `parent` anew from those of `child`, which holds all that they span. */
export function foldRow(parent: RollupRow, child: RollupRow, slots: ReadonlySet<number>): void {
  for (const slot of slots) {
    const fromUs = parent.startUs + slot * parent.bucketUs;
    const first = slotOf(child, fromUs);
    const count = parent.bucketUs / child.bucketUs;
    assert(first + count <= BUCKETS_PER_ROW, 'a bucket lies within one row of the level below');
    clearBucket(parent, slot);
    for (let i = 0; i < count; i++) foldBucket(parent, slot, child, first + i);
  }
  addSeqs(parent, child.seqs);
}

/** Notes where readings of the row are. */
export function addSeqs(row: RollupRow, seqs: RangeSet): void {
  row.seqs = linked([...row.seqs, ...seqs]);
}

function linked(ranges: readonly Range[]): RangeSet {
  const sorted = rangesOf(ranges);
  const out: { from: number; to: number }[] = [];
  for (const { from, to } of sorted) {
    const last = out.at(-1);
    if (last !== undefined && from - last.to < LINKED_READINGS) last.to = to;
    else out.push({ from, to });
  }
  const [first] = out;
  return out.length > MAX_RANGES && first !== undefined ? [{ from: first.from, to: out.at(-1)!.to }] : out;
}
