/**
 * Owns the rolling up of what was committed: finds epochs with readings that no roll-up contains, and rolls them up step
 * by step, each step in one transaction under the lock of the epoch's row of progress. A keeper that dies leaves nothing
 * behind; two at once take turns. Bounds: what `rollBounds` says in memory, and about STEP_MS of work a call.
 */

import type pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { rangesOf, subtract, type Range } from '#base/ranges.ts';
import { chunkStatement, unpackChunks, type ChunkRange } from '#store/chunk-reader.ts';
import type { PackedLayout } from '#store/chunk-codec.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import type { Statement } from '#store/pools.ts';
import { decodeBlocks, type ReadingBlock } from '#store/reading-block.ts';
import { bucketLengths } from '#store/rollup-levels.ts';
import { planRoll, type RollBounds, type RollJoin } from '#store/rollup-plan.ts';
import {
  advanceStatement,
  candidatesStatement,
  clearMarkStatement,
  denseRow,
  lockedProgress,
  lockProgressStatement,
  openProgressStatement,
  rowsStatement,
  storeRowsStatement,
  type EpochName,
  type LockedProgress,
  type VisitPolicy,
} from '#store/rollup-statements.ts';
import type { UpkeepTask } from '#store/upkeep.ts';

/** Nine axes of so many readings are 4 MB, and about 100 ms of work. */
const rollBounds: RollBounds = { readings: 50_000, rows: 256 };
/** Chunks of one fetch: live ones, of 50 readings, fill a step. */
const CHUNKS_PER_FETCH = 1_000;
/** A live stream is visited once a minute: its newest minute is read from chunks, which is cheap. */
const visitPolicy: VisitPolicy = { quietS: 5, liveS: 60 };
/** Epochs looked up at once. */
const CANDIDATES = 32;
const STEP_MS = 150;
const IDLE_MS = 2_000;
/** Nobody may wait longer for the progress of an epoch or its guard row; the step is tried again. */
const LOCK_MS = 2_000;

/** A keeper that stops within a step gives the epoch up: ten times what its own work between statements takes. */
const IDLE_IN_STEP_MS = 5_000;

/** What one visit to an epoch led to. */
type Visit = 'done' | 'more' | 'busy';

export interface RollupTaskOptions {
  readonly clock: Clock;
  readonly policy?: VisitPolicy;
  readonly bounds?: RollBounds;
}

export function createRollupTask(options: RollupTaskOptions): UpkeepTask {
  const { clock, policy = visitPolicy, bounds = rollBounds } = options;
  const counters = { readings: 0, rows: 0, steps: 0, lateSteps: 0 };

  async function visit(client: pg.PoolClient, name: EpochName): Promise<Visit> {
    await client.query(`begin; set local synchronous_commit = off; set local lock_timeout = ${LOCK_MS};
       set local idle_in_transaction_session_timeout = ${IDLE_IN_STEP_MS}`);
    try {
      const found = await rollStep(client, name);
      await client.query(found === 'busy' ? 'rollback' : 'commit');
      return found;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
  }

  async function rollStep(client: pg.PoolClient, name: EpochName): Promise<Visit> {
    await send(client, openProgressStatement(name));
    const [locked] = await send(client, lockProgressStatement(name));
    if (locked === undefined) return 'busy';
    const progress = lockedProgress(locked);
    const dirty = subtract(progress.committed, progress.rolled);
    const [range] = dirty;
    let { rolled } = progress;
    if (range !== undefined) {
      const blocks = await readBlocks(client, { ...name, ...rangeOf(range) }, progress);
      const { axisCount, rateHz } = progress;
      const roll = planRoll({
        bucketLengths: bucketLengths(rateHz),
        axisCount,
        rolled,
        range,
        blocks,
        bounds,
      });
      const stored = await send(client, rowsStatement(name, roll.rowKeys));
      const join = roll.join(stored.map((row) => denseRow(row, axisCount)));
      await readAgain(client, name, { progress, join });
      const { rows, facts } = join.finish();
      if (rows.length > 0) await send(client, storeRowsStatement(name, progress.orgId, rows));
      rolled = rangesOf([...rolled, roll.taken]);
      await send(client, advanceStatement(name, rolled, facts));
      counters.steps++;
      counters.readings += facts?.readings ?? 0;
      counters.rows += rows.length;
    }
    const { rowCount } = await query(client, clearMarkStatement(name, rolled));
    // The guard has no such epoch any more: it was erased, and with it goes what this step made.
    if (rowCount === 0) return 'busy';
    return subtract(progress.committed, rolled).length > 0 ? 'more' : 'done';
  }

  /** Gives `join` the stored readings that it wants. */
  async function readAgain(
    client: pg.PoolClient,
    name: EpochName,
    { progress, join }: { progress: LockedProgress; join: RollJoin },
  ): Promise<void> {
    if (join.wanted === null) return;
    counters.lateSteps++;
    const { seqs, fromUs, toUs } = join.wanted;
    for (let [at, i] = [seqs[0], 0]; at !== undefined;) {
      const blocks = await readBlocks(client, { ...name, ...rangeOf(at), fromUs, toUs }, progress);
      for (const block of blocks) join.add(block, at);
      const last = blocks.at(-1);
      const from = last === undefined ? at.to : last.firstSeq + last.n;
      at = from < at.to ? { from, to: at.to } : seqs[++i];
    }
  }

  /** Stored readings from the start of the range on, about as many as a step takes. */
  async function readBlocks(
    client: pg.PoolClient,
    range: ChunkRange,
    layout: PackedLayout,
  ): Promise<ReadingBlock[]> {
    const statement = chunkStatement({ ...range, maxReadings: bounds.readings }, CHUNKS_PER_FETCH);
    return decodeBlocks(unpackChunks(await send(client, statement)), layout);
  }

  return {
    name: 'rollup',
    everyMs: IDLE_MS,
    counters,
    async step(db, signal) {
      const startedMs = clock.monotonicMs();
      const client = await db.connect();
      let isBroken: Error | undefined;
      try {
        const found = await send(client, candidatesStatement(policy, CANDIDATES));
        for (const { stream_id: streamId, epoch } of found as { stream_id: string; epoch: string }[]) {
          const name = { streamId, epoch: int8ToEpoch(epoch) };
          for (let visited: Visit = 'more'; visited === 'more';) {
            if (signal.aborted) return 'idle';
            if (clock.monotonicMs() - startedMs > STEP_MS) return 'more';
            visited = await visit(client, name);
          }
        }
        return found.length === CANDIDATES ? 'more' : 'idle';
      } catch (error) {
        isBroken = error instanceof Error ? error : new Error(String(error));
        throw error;
      } finally {
        client.release(isBroken);
      }
    },
  };
}

function rangeOf({ from, to }: Range): { fromSeq: number; toSeq: number } {
  return { fromSeq: from, toSeq: to };
}

async function send(client: pg.PoolClient, statement: Statement): Promise<unknown[]> {
  return (await query(client, statement)).rows;
}

function query(client: pg.PoolClient, { name, text, values = [] }: Statement): Promise<pg.QueryResult> {
  return client.query(
    name === undefined ? { text, values: [...values] } : { name, text, values: [...values] },
  );
}
