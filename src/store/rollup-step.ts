/**
 * Owns one step of rolling up one epoch, over whatever holds the tables: PostgreSQL (rollup-keeper.ts), or the simulator's
 * model of it. All of a step is one transaction under the lock of the epoch's row of progress: it is stored whole or not
 * at all, and nothing of it is stored of an epoch that was erased meanwhile. Bounds: what `RollBounds` says in memory.
 */

import { rangesOf, subtract, type Range, type RangeSet } from '#base/ranges.ts';
import type { ChunkRange, StoredChunk } from '#store/chunk-reader.ts';
import type { PackedLayout } from '#store/chunk-codec.ts';
import { decodeBlocks, type ReadingBlock } from '#store/reading-block.ts';
import { bucketLengths, type RowKey } from '#store/rollup-levels.ts';
import { planRoll, type RollBounds, type RollFacts, type RollJoin } from '#store/rollup-plan.ts';
import type { RollupRow } from '#store/rollup-rows.ts';
import type { EpochName, LockedProgress } from '#store/rollup-statements.ts';

/** Chunks of one fetch: live ones, of 50 readings, fill a step. */
const CHUNKS_PER_FETCH = 1_000;

/** What one step led to. `busy`: another keeper is at work, or the epoch was erased; nothing was stored. */
export type RollOutcome = 'done' | 'more' | 'busy';

/** A connection to the tables of roll-ups, with the statements of a step in their order. */
export interface RollupTables {
  begin(): Promise<void>;
  /** Makes the epoch's row of progress, if it has none. */
  open(name: EpochName): Promise<void>;
  /** Locks it, and reads what is committed by now; null when another keeper holds it. */
  lock(name: EpochName): Promise<LockedProgress | null>;
  chunks(range: ChunkRange, limit: number): Promise<StoredChunk[]>;
  /** Those of the rows that exist, to be changed by the caller. */
  rows(name: EpochName, keys: readonly RowKey[], axisCount: number): Promise<RollupRow[]>;
  store(name: EpochName, orgId: string, rows: readonly RollupRow[]): Promise<void>;
  /** Notes what is rolled now. */
  advance(name: EpochName, rolled: RangeSet, facts: RollFacts | null): Promise<void>;
  /** Clears the guard's mark when all that is committed is rolled; false: the guard has no such epoch any more. */
  clear(name: EpochName, rolled: RangeSet): Promise<boolean>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export interface RollCounters {
  readings: number;
  rows: number;
  steps: number;
  lateSteps: number;
}

export interface RollStep {
  readonly tables: RollupTables;
  readonly name: EpochName;
  readonly bounds: RollBounds;
  readonly counters: RollCounters;
}

/** One transaction. Throws what the tables throw, after a rollback. */
export async function rollUp(step: RollStep): Promise<RollOutcome> {
  const { tables } = step;
  await tables.begin();
  try {
    const outcome = await rollStep(step);
    await (outcome === 'busy' ? tables.rollback() : tables.commit());
    return outcome;
  } catch (error) {
    await tables.rollback().catch(() => undefined);
    throw error;
  }
}

async function rollStep(step: RollStep): Promise<RollOutcome> {
  const { tables, name, bounds, counters } = step;
  await tables.open(name);
  const progress = await tables.lock(name);
  if (progress === null) return 'busy';
  const [range] = subtract(progress.committed, progress.rolled);
  let { rolled } = progress;
  if (range !== undefined) {
    const blocks = await readBlocks(step, { ...name, ...rangeOf(range) }, progress);
    const { axisCount, rateHz } = progress;
    const roll = planRoll({
      bucketLengths: bucketLengths(rateHz),
      axisCount,
      rolled,
      range,
      blocks,
      bounds,
    });
    const join = roll.join(await tables.rows(name, roll.rowKeys, axisCount));
    await readAgain(step, progress, join);
    const { rows, facts } = join.finish();
    if (rows.length > 0) await tables.store(name, progress.orgId, rows);
    rolled = rangesOf([...rolled, roll.taken]);
    await tables.advance(name, rolled, facts);
    counters.steps++;
    counters.readings += facts?.readings ?? 0;
    counters.rows += rows.length;
  }
  // With an epoch that was erased goes what this step made.
  if (!(await tables.clear(name, rolled))) return 'busy';
  return subtract(progress.committed, rolled).length > 0 ? 'more' : 'done';
}

/** Gives `join` the stored readings that it wants. */
async function readAgain(step: RollStep, progress: LockedProgress, join: RollJoin): Promise<void> {
  if (join.wanted === null) return;
  step.counters.lateSteps++;
  const { seqs, fromUs, toUs } = join.wanted;
  for (let [at, i] = [seqs[0], 0]; at !== undefined;) {
    const blocks = await readBlocks(step, { ...step.name, ...rangeOf(at), fromUs, toUs }, progress);
    for (const block of blocks) join.add(block, at);
    const last = blocks.at(-1);
    const from = last === undefined ? at.to : last.firstSeq + last.n;
    at = from < at.to ? { from, to: at.to } : seqs[++i];
  }
}

/** Stored readings from the start of the range on, about as many as a step takes. */
async function readBlocks(
  { tables, bounds }: RollStep,
  range: ChunkRange,
  layout: PackedLayout,
): Promise<ReadingBlock[]> {
  const chunks = await tables.chunks({ ...range, maxReadings: bounds.readings }, CHUNKS_PER_FETCH);
  return decodeBlocks(chunks, layout);
}

function rangeOf({ from, to }: Range): { fromSeq: number; toSeq: number } {
  return { fromSeq: from, toSeq: to };
}
