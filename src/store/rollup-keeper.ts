/**
 * Owns the rolling up of what was committed: finds epochs with readings that no roll-up contains, and rolls them up step
 * by step (rollup-step.ts), each step in one transaction under the lock of the epoch's row of progress. A keeper that dies
 * leaves nothing behind; two at once take turns. Bounds: what `rollBounds` says in memory, and about STEP_MS of work a call.
 */

import type pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { chunkStatement, unpackChunks } from '#store/chunk-reader.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import type { Statement } from '#store/pools.ts';
import type { RollBounds } from '#store/rollup-plan.ts';
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
  type VisitPolicy,
} from '#store/rollup-statements.ts';
import { rollUp, type RollOutcome, type RollupTables } from '#store/rollup-step.ts';
import type { UpkeepTask } from '#store/upkeep.ts';

/** Nine axes of so many readings are 4 MB, and about 100 ms of work. */
const rollBounds: RollBounds = { readings: 50_000, rows: 256 };
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

export interface RollupTaskOptions {
  readonly clock: Clock;
  readonly policy?: VisitPolicy;
  readonly bounds?: RollBounds;
}

export function createRollupTask(options: RollupTaskOptions): UpkeepTask {
  const { clock, policy = visitPolicy, bounds = rollBounds } = options;
  const counters = { readings: 0, rows: 0, steps: 0, lateSteps: 0 };
  return {
    name: 'rollup',
    everyMs: IDLE_MS,
    counters,
    async step(db, signal) {
      const startedMs = clock.monotonicMs();
      const client = await db.connect();
      const tables = createPostgresTables(client);
      let isBroken: Error | undefined;
      try {
        const found = (await query(client, candidatesStatement(policy, CANDIDATES))).rows;
        for (const { stream_id: streamId, epoch } of found as { stream_id: string; epoch: string }[]) {
          const name = { streamId, epoch: int8ToEpoch(epoch) };
          for (let outcome: RollOutcome = 'more'; outcome === 'more';) {
            if (signal.aborted) return 'idle';
            if (clock.monotonicMs() - startedMs > STEP_MS) return 'more';
            outcome = await rollUp({ tables, name, bounds, counters });
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

/** The tables of roll-ups in PostgreSQL, on a connection of the role kymo_writer. */
function createPostgresTables(client: pg.PoolClient): RollupTables {
  return {
    async begin() {
      await client.query(`begin; set local synchronous_commit = off; set local lock_timeout = ${LOCK_MS};
       set local idle_in_transaction_session_timeout = ${IDLE_IN_STEP_MS}`);
    },
    async open(name) {
      await query(client, openProgressStatement(name));
    },
    async lock(name) {
      const [row] = (await query(client, lockProgressStatement(name))).rows;
      return row === undefined ? null : lockedProgress(row);
    },
    async chunks(range, limit) {
      return unpackChunks((await query(client, chunkStatement(range, limit))).rows);
    },
    async rows(name, keys, axisCount) {
      const { rows } = await query(client, rowsStatement(name, keys));
      return rows.map((row) => denseRow(row, axisCount));
    },
    async store(name, orgId, rows) {
      await query(client, storeRowsStatement(name, orgId, rows));
    },
    async advance(name, rolled, facts) {
      await query(client, advanceStatement(name, rolled, facts));
    },
    async clear(name, rolled) {
      const { rowCount } = await query(client, clearMarkStatement(name, rolled));
      return rowCount !== 0;
    },
    async commit() {
      await client.query('commit');
    },
    async rollback() {
      await client.query('rollback');
    },
  };
}

function query(client: pg.PoolClient, { name, text, values = [] }: Statement): Promise<pg.QueryResult> {
  return client.query(
    name === undefined ? { text, values: [...values] } : { name, text, values: [...values] },
  );
}
