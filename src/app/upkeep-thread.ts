/** Owns the thread of the store's background work from the server's side: its counters, its restarts and its end. */

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { UpkeepCounters } from '#store/upkeep.ts';
import { startBackgroundThread } from '#app/background-thread.ts';
import type { FromUpkeepWorker, UpkeepWorkerData } from '#app/upkeep-worker.ts';

export interface UpkeepThread {
  /** As the thread told them last, at most a second ago; they begin again when it does. */
  readonly counters: UpkeepCounters;
  /** Times that the thread died. */
  readonly deaths: number;
  /** Resolves when the step under way has ended and the thread is gone. */
  stop(): Promise<void>;
}

export function startUpkeepThread(
  data: UpkeepWorkerData,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): UpkeepThread {
  let counters: UpkeepCounters = { steps: {}, failures: {}, tasks: {} };
  const thread = startBackgroundThread<FromUpkeepWorker>({
    entry: new URL('./upkeep-worker.ts', import.meta.url),
    data,
    onMessage: (message) => {
      counters = message.counters;
    },
    clock,
    log,
  });
  return {
    get counters() {
      return counters;
    },
    get deaths() {
      return thread.deaths;
    },
    stop: () => thread.stop(),
  };
}
