/**
 * Owns the thread in which committed readings are analysed: of low priority, so that neither devices nor viewers wait for
 * it. It tells what it analysed, and its counters once a second, and ends when it is told to.
 */

import { parentPort, workerData } from 'node:worker_threads';

import { assert } from '#base/assert.ts';
import { systemClock as clock } from '#base/clock.ts';
import { createSessionMotion, motionVersion } from '#motion/session-motion.ts';
import { createUpkeep, type UpkeepCounters } from '#store/upkeep.ts';
import { createAnalysisTask, type Analysed } from '#app/analysis-task.ts';
import { createLog } from '#app/log.ts';
import { yieldToLive } from '#app/thread-priority.ts';

/** What the thread is started with. */
export interface AnalysisWorkerData {
  /** Of the role kymo_writer. */
  readonly writerUrl: string;
  readonly logLevel: string;
}

export type FromAnalysisWorker = { readonly counters: UpkeepCounters } | { readonly analysed: Analysed };
type ToAnalysisWorker = 'stop';

const TELL_MS = 1_000;
/** Gets a tenth of the time that a busy thread of usual priority gets. */
const NICENESS = 10;
/** Of its own priority it may work most of the time: others go first anyway. */
const BUSY_SHARE = 0.75;

assert(parentPort !== null, 'this file is the entry of a thread');
const port = parentPort;
yieldToLive(NICENESS);
const { writerUrl, logLevel } = workerData as AnalysisWorkerData;
const log = createLog(logLevel);
const say = (message: FromAnalysisWorker): void => port.postMessage(message);
const upkeep = createUpkeep({
  writerUrl,
  name: 'kymo analysis',
  busyShare: BUSY_SHARE,
  tasks: [
    createAnalysisTask({
      create: createSessionMotion,
      version: motionVersion,
      clock,
      log,
      onAnalysed: (analysed) => say({ analysed }),
    }),
  ],
  clock,
  log,
});
let cancelTelling = clock.after(TELL_MS, keepTelling);
function keepTelling(): void {
  say({ counters: upkeep.counters });
  cancelTelling = clock.after(TELL_MS, keepTelling);
}
port.on('message', (message: ToAnalysisWorker) => {
  assert(message === 'stop', 'there is one thing to be told');
  cancelTelling();
  void upkeep.stop().finally(() => {
    say({ counters: upkeep.counters });
    // Nothing is left to wait for, so the thread ends.
    port.close();
  });
});
upkeep.start();
