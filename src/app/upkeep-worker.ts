/**
 * Owns the thread in which the store's background work runs (store/upkeep.ts): folding, packing and their garbage must not
 * hold up live frames. It tells its counters once a second and ends when it is told to.
 */

import { parentPort, workerData } from 'node:worker_threads';

import { assert } from '#base/assert.ts';
import { systemClock as clock } from '#base/clock.ts';
import { createPartitionTask } from '#store/partitions.ts';
import { createRetentionTask } from '#store/retention.ts';
import { createRollupTask } from '#store/rollup-keeper.ts';
import { createSealTask } from '#store/seal-task.ts';
import { createWindowTask } from '#store/window-ledger.ts';
import { createUpkeep, type UpkeepCounters } from '#store/upkeep.ts';
import { createLog } from '#app/log.ts';
import { yieldToLive } from '#app/thread-priority.ts';

/** What the thread is started with. */
export interface UpkeepWorkerData {
  /** Of the role kymo_writer. */
  readonly writerUrl: string;
  readonly logLevel: string;
}

export type FromUpkeepWorker = { readonly counters: UpkeepCounters };
type ToUpkeepWorker = 'stop';

const TELL_MS = 1_000;
/** Gets a third of the time that a busy thread of usual priority gets. Only so little: while it holds a guard's row, a flush waits for it. */
const NICENESS = 5;

assert(parentPort !== null, 'this file is the entry of a thread');
const port = parentPort;
yieldToLive(NICENESS);
const { writerUrl, logLevel } = workerData as UpkeepWorkerData;
const log = createLog(logLevel);
const upkeep = createUpkeep({
  writerUrl,
  tasks: [
    createPartitionTask(),
    createRollupTask({ clock }),
    createWindowTask({ clock }),
    createSealTask(),
    createRetentionTask({ log }),
  ],
  clock,
  log,
});
const tell = (): void => port.postMessage({ counters: upkeep.counters } satisfies FromUpkeepWorker);
let cancelTelling = clock.after(TELL_MS, keepTelling);
function keepTelling(): void {
  tell();
  cancelTelling = clock.after(TELL_MS, keepTelling);
}
port.on('message', (message: ToUpkeepWorker) => {
  assert(message === 'stop', 'there is one thing to be told');
  cancelTelling();
  void upkeep.stop().finally(() => {
    tell();
    // Nothing is left to wait for, so the thread ends.
    port.close();
  });
});
upkeep.start();
