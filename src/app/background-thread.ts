/**
 * Owns a thread of background work from the server's side: it starts it, starts it again when it dies, and waits for its
 * end. Nothing else of the server depends on it: while it is gone, its work only comes later.
 */

import { Worker } from 'node:worker_threads';

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';

/** A thread that dies at once must not be started all the time. */
const RESTART_MS = 5_000;
const CHECK_MS = 5_000;
/** Counted in checks, not in time, so that a process that was stopped as a whole suspects nobody when it goes on. */
const SILENT_CHECKS = 12;

export interface BackgroundThread {
  /** Times that the thread died, or was ended since it said nothing for a minute. */
  readonly deaths: number;
  /** Lost while the thread is gone: whatever starts anew knows nothing old. */
  tell(message: string): void;
  /** Resolves when the step under way has ended and the thread is gone. */
  stop(): Promise<void>;
}

export interface BackgroundThreadOptions<M> {
  /** The thread's file. It says something every second or so, and ends when it is sent `stop`. */
  readonly entry: URL;
  readonly data: unknown;
  readonly onMessage: (message: M) => void;
  readonly clock: Clock;
  readonly log: Log;
}

export function startBackgroundThread<M>(options: BackgroundThreadOptions<M>): BackgroundThread {
  const { entry, data, onMessage, clock, log } = options;
  let deaths = 0;
  let isStopping = false;
  let cancelRestart = (): void => undefined;
  /** Checks since it said something. */
  let silent = 0;
  let cancelCheck = clock.after(CHECK_MS, check);
  const gone = Promise.withResolvers<void>();
  let worker = start();

  function start(): Worker {
    const started = new Worker(entry, { workerData: data });
    // A step that does not end must not keep a server from ending that has waited long enough.
    started.unref();
    started.on('message', (message: M) => {
      silent = 0;
      onMessage(message);
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
        silent = 0;
        worker = start();
      });
    });
    return started;
  }

  function check(): void {
    silent = worker.threadId === -1 ? 0 : silent + 1;
    if (silent >= SILENT_CHECKS) {
      silent = 0;
      log.error('the thread of background work hangs and is ended', {});
      void worker.terminate();
    }
    cancelCheck = clock.after(CHECK_MS, check);
  }

  return {
    get deaths() {
      return deaths;
    },
    tell(message) {
      if (worker.threadId !== -1) worker.postMessage(message, []);
    },
    stop() {
      isStopping = true;
      cancelRestart();
      cancelCheck();
      // A thread that is gone already, or waits to be started again, has nothing to end.
      if (worker.threadId === -1) gone.resolve();
      else worker.postMessage('stop', []);
      return gone.promise;
    },
  };
}
