/**
 * Owns one step of rolling up one epoch, without I/O: which fresh readings it takes, which rows they change, what has to
 * be read again, and what the rows become. Invariant: when it is stored, every bucket is the fold, in the order of
 * sequence numbers, of all readings of that bucket that are rolled. Readings behind what a row has go on from where its
 * buckets stand, which is that fold; any others make their buckets anew from the stored readings; and where retention has
 * dropped some of these, the fresh ones are folded on their own and joined, so that a bucket never loses what it had.
 */

import { intersect, rangesOf, type Range, type RangeSet } from '#base/ranges.ts';
import type { ReadingBlock } from '#store/reading-block.ts';
import { rowKeyOf, rowName, rowUs, type RowKey } from '#store/rollup-levels.ts';
import {
  addSeqs,
  clearBucket,
  emptyRow,
  foldBucket,
  foldReadings,
  foldRow,
  slotOf,
  type RollupRow,
} from '#store/rollup-rows.ts';

/** What one step takes at most. */
export interface RollBounds {
  readonly readings: number;
  /** Rows of the shortest buckets. */
  readonly rows: number;
}

export interface RollInput {
  /** From fine to coarse. */
  readonly bucketLengths: readonly number[];
  readonly axisCount: number;
  /** What the roll-ups contain. */
  readonly rolled: RangeSet;
  /** Of this range nothing is rolled. */
  readonly range: Range;
  /** Stored readings of the range, in order of seq; they may reach over its ends. */
  readonly blocks: readonly ReadingBlock[];
  readonly bounds: RollBounds;
}

/** What the step takes. Of `taken`, numbers without a reading are no longer stored. */
export interface Roll {
  readonly taken: Range;
  /** Rows that it changes, of all levels: those of them that exist are wanted by `join`. */
  readonly rowKeys: readonly RowKey[];
  join(rows: readonly RollupRow[]): RollJoin;
}

export interface RollJoin {
  /** Where and when the readings are that `add` has to be given; null when none are needed. */
  readonly wanted: { readonly seqs: RangeSet; readonly fromUs: number; readonly toUs: number } | null;
  /** The readings of a stored block that are in a range: every wanted one once, in order of seq. */
  add(block: ReadingBlock, range: Range): void;
  /** The changed rows, of all levels. */
  finish(): { readonly rows: readonly RollupRow[]; readonly facts: RollFacts | null };
}

/** Of the readings taken; null when there were none. */
export interface RollFacts {
  readonly readings: number;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly minLagUs: number;
}

/** Plans a step. `blocks` empty: what the range had is gone, and it counts as rolled. */
export function planRoll(input: RollInput): Roll {
  const { bucketLengths, range, blocks } = input;
  const { fresh, facts, endSeq } = takeFresh(input);
  const names = new Map<string, RowKey>();
  for (const { key } of fresh)
    for (const bucketUs of bucketLengths) {
      const above = rowKeyOf(bucketUs, key.startUs);
      names.set(rowName(above), above);
    }
  const taken = { from: range.from, to: blocks.length === 0 ? range.to : endSeq };
  return {
    taken,
    rowKeys: [...names.values()],
    join: (rows) => joinRows({ ...input, taken, fresh, rows }, facts),
  };
}

interface Taken {
  readonly fresh: readonly FreshRow[];
  readonly facts: RollFacts | null;
  /** Behind the last reading that was taken. */
  readonly endSeq: number;
}

/** Sorts the readings of the range by rows, until one of the bounds is reached. */
function takeFresh({ bucketLengths, range, blocks, bounds }: RollInput): Taken {
  const finestUs = bucketLengths[0]!;
  const byRow = new Map<string, FreshRow>();
  let [readings, firstUs, lastUs, minLagUs] = [0, Infinity, -Infinity, Infinity];
  let endSeq = range.from;
  const finish = (): Taken => ({
    fresh: [...byRow.values()],
    facts: readings === 0 ? null : { readings, firstUs, lastUs, minLagUs },
    endSeq,
  });
  for (const block of blocks) {
    const { times, lags, firstSeq } = block;
    const to = Math.min(block.n, range.to - firstSeq);
    for (let i = Math.max(0, range.from - firstSeq); i < to;) {
      if (readings === bounds.readings) return finish();
      const key = rowKeyOf(finestUs, times[i]!);
      const name = rowName(key);
      if (!byRow.has(name) && byRow.size === bounds.rows) return finish();
      const row = byRow.get(name) ?? { key, runs: [] };
      byRow.set(name, row);
      // Consecutive readings of one row.
      const endUs = key.startUs + rowUs(finestUs);
      const limit = Math.min(to, i + bounds.readings - readings);
      const from = i;
      for (; i < limit && times[i]! >= key.startUs && times[i]! < endUs; i++) {
        if (times[i]! < firstUs) firstUs = times[i]!;
        if (times[i]! > lastUs) lastUs = times[i]!;
        if (lags[i]! < minLagUs) minLagUs = lags[i]!;
      }
      row.runs.push({ block, from, to: i });
      readings += i - from;
      endSeq = firstSeq + i;
    }
  }
  return finish();
}

/** Fresh readings of one row of the shortest buckets, in order of seq. */
interface FreshRow {
  readonly key: RowKey;
  readonly runs: { readonly block: ReadingBlock; readonly from: number; readonly to: number }[];
}

interface JoinInput extends RollInput {
  readonly taken: Range;
  readonly fresh: readonly FreshRow[];
  readonly rows: readonly RollupRow[];
}

/** One row of the shortest buckets on its way. */
interface Change {
  readonly fresh: FreshRow;
  readonly row: RollupRow;
  /** Buckets with fresh readings. */
  readonly slots: Set<number>;
  /** The fresh readings alone, when the buckets have to be made anew; and all that are stored. */
  readonly apart: { readonly fresh: RollupRow; readonly anew: RollupRow } | null;
}

interface Changed {
  readonly row: RollupRow;
  readonly slots: ReadonlySet<number>;
}

interface Levels {
  readonly known: ReadonlyMap<string, RollupRow>;
  readonly axisCount: number;
}

function joinRows(input: JoinInput, facts: RollFacts | null): RollJoin {
  const { axisCount, taken, bucketLengths } = input;
  const known = new Map(input.rows.map((row) => [rowName(row), row]));
  const changes = new Map<string, Change>();
  for (const fresh of input.fresh) {
    const row = known.get(rowName(fresh.key)) ?? emptyRow(fresh.key, axisCount);
    const firstSeq = fresh.runs[0]!.block.firstSeq + fresh.runs[0]!.from;
    const isBehind = firstSeq >= (row.seqs.at(-1)?.to ?? 0);
    const apart = isBehind
      ? null
      : { fresh: emptyRow(fresh.key, axisCount), anew: emptyRow(fresh.key, axisCount) };
    const slots = foldFresh(apart?.fresh ?? row, fresh);
    changes.set(rowName(fresh.key), { fresh, row, slots, apart });
  }
  const again = [...changes.values()].filter((change) => change.apart !== null);
  const counted = rangesOf([...input.rolled, taken]);
  const finestUs = bucketLengths[0]!;
  return {
    wanted: again.length === 0 ? null : wantedOf(again, taken),
    add(block, range) {
      const own = {
        from: Math.max(block.firstSeq, range.from),
        to: Math.min(block.firstSeq + block.n, range.to),
      };
      for (const { from, to } of intersect([own], counted))
        for (let seq = from; seq < to; seq++) {
          const timeUs = block.times[seq - block.firstSeq]!;
          const change = changes.get(rowName(rowKeyOf(finestUs, timeUs)));
          if (change === undefined || change.apart === null) continue;
          const slot = slotOf(change.row, timeUs);
          const i = seq - block.firstSeq;
          if (change.slots.has(slot)) foldReadings(change.apart.anew, slot, block, { from: i, to: i + 1 });
        }
    },
    finish() {
      for (const change of changes.values()) settle(change);
      let level: readonly Changed[] = [...changes.values()];
      const rows = level.map(({ row }) => row);
      for (const bucketUs of bucketLengths.slice(1)) {
        level = foldLevel(level, bucketUs, { known, axisCount });
        rows.push(...level.map(({ row }) => row));
      }
      return { rows, facts };
    },
  };
}

function foldFresh(row: RollupRow, fresh: FreshRow): Set<number> {
  const slots = new Set<number>();
  for (const { block, from, to } of fresh.runs)
    for (let i = from; i < to;) {
      // Consecutive readings of one bucket.
      const slot = slotOf(row, block.times[i]!);
      const beginUs = row.startUs + slot * row.bucketUs;
      const endUs = beginUs + row.bucketUs;
      let end = i + 1;
      while (end < to && block.times[end]! >= beginUs && block.times[end]! < endUs) end++;
      slots.add(slot);
      foldReadings(row, slot, block, { from: i, to: end });
      i = end;
    }
  return slots;
}

/** Puts the buckets that were made anew, or the fresh readings alone, into the row. */
function settle({ fresh, row, slots, apart }: Change): void {
  if (apart !== null)
    for (const slot of slots) {
      const isWhole = apart.anew.counts[slot]! >= row.counts[slot]! + apart.fresh.counts[slot]!;
      if (isWhole) clearBucket(row, slot);
      foldBucket(row, slot, isWhole ? apart.anew : apart.fresh, slot);
    }
  addSeqs(
    row,
    fresh.runs.map(({ block, from, to }) => ({ from: block.firstSeq + from, to: block.firstSeq + to })),
  );
}

/** Makes the buckets above those that changed anew; returns what changed. */
function foldLevel(below: readonly Changed[], bucketUs: number, all: Levels): Changed[] {
  const changed = new Map<string, { row: RollupRow; slots: Set<number> }>();
  for (const { row: child, slots } of below) {
    // A row lies within one row of the level above.
    const key = rowKeyOf(bucketUs, child.startUs);
    const name = rowName(key);
    const entry = changed.get(name) ?? {
      row: all.known.get(name) ?? emptyRow(key, all.axisCount),
      slots: new Set<number>(),
    };
    changed.set(name, entry);
    const own = new Set<number>();
    for (const slot of slots) own.add(slotOf(entry.row, child.startUs + slot * child.bucketUs));
    foldRow(entry.row, child, own);
    for (const slot of own) entry.slots.add(slot);
  }
  return [...changed.values()];
}

function wantedOf(again: readonly Change[], taken: Range): NonNullable<RollJoin['wanted']> {
  let fromUs = Infinity;
  let toUs = -Infinity;
  const seqs: Range[] = [taken];
  for (const { row, slots } of again) {
    seqs.push(...row.seqs);
    for (const slot of slots) {
      fromUs = Math.min(fromUs, row.startUs + slot * row.bucketUs);
      toUs = Math.max(toUs, row.startUs + (slot + 1) * row.bucketUs);
    }
  }
  return { seqs: rangesOf(seqs), fromUs, toUs };
}
