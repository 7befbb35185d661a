/**
 * Owns the rolling up of what was committed: finds epochs with readings that no roll-up contains, and rolls them up step
 * by step (rollup-step.ts), each step in one transaction under the lock of the epoch's row of progress. A keeper that dies
 * leaves nothing behind; two at once take turns. Bounds: what `rollBounds` says in memory, and about STEP_MS of work a call.
 */

import type { Clock } from '#base/clock.ts';
import type { RollBounds } from '#store/rollup-plan.ts';
import type { VisitPolicy } from '#store/rollup-statements.ts';
import { rollUp, type RollOutcome } from '#store/rollup-step.ts';
import { createRollupTables, findCandidates } from '#store/rollup-tables.ts';
import type { UpkeepTask } from '#store/upkeep.ts';

/** Nine axes of so many readings are 4 MB, and about 100 ms of work. */
const rollBounds: RollBounds = { readings: 50_000, rows: 256 };
/** A live stream is visited once a minute: its newest minute is read from chunks, which is cheap. */
const visitPolicy: VisitPolicy = { quietS: 5, liveS: 60 };
/** Epochs looked up at once. */
const CANDIDATES = 32;
const STEP_MS = 150;
const IDLE_MS = 2_000;

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
      const tables = createRollupTables(client);
      let isBroken: Error | undefined;
      try {
        const found = await findCandidates(client, policy, CANDIDATES);
        for (const name of found) {
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
