/**
 * Owns the thread of the store's background work from the server's side: it starts it, starts it again when it dies, and
 * waits for its end. Nothing else of the server depends on it: while it is gone, roll-ups and sealing only come later.
 */

import { Worker } from 'node:worker_threads';

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { UpkeepCounters } from '#store/upkeep.ts';
import type { FromUpkeepWorker, ToUpkeepWorker, UpkeepWorkerData } from '#app/upkeep-worker.ts';

/** A thread that dies at once must not be started all the time. */
const RESTART_MS = 5_000;

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
  let deaths = 0;
  let isStopping = false;
  let cancelRestart = (): void => undefined;
  const gone = Promise.withResolvers<void>();
  let worker = start();

  function start(): Worker {
    const started = new Worker(new URL('./upkeep-worker.ts', import.meta.url), { workerData: data });
    // A step that does not end must not keep a server from ending that has waited long enough.
    started.unref();
    started.on('message', (message: FromUpkeepWorker) => {
      counters = message.counters;
    });
    // `exit` follows, and there it is dealt with.
    started.on('error', (error: Error) =>
      log.error('the thread of background work died', { error: error.message }),
    );
    started.on('exit', () => {
      if (isStopping) {
        gone.resolve();
        return;
      }
      deaths++;
      cancelRestart = clock.after(RESTART_MS, () => {
        worker = start();
      });
    });
    return started;
  }

  return {
    get counters() {
      return counters;
    },
    get deaths() {
      return deaths;
    },
    stop() {
      isStopping = true;
      cancelRestart();
      // A thread that is gone already, or waits to be started again, has nothing to end.
      if (worker.threadId === -1) gone.resolve();
      else worker.postMessage('stop' satisfies ToUpkeepWorker, []);
      return gone.promise;
    },
  };
}
