/**
 * Owns the order of starting and stopping: parts are added as they come up and stopped in the opposite order, each with
 * a time limit, so that user-facing parts go first and the database last. A part that comes up while all is being
 * stopped (a signal during the start) is stopped too.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';

interface Part {
  readonly name: string;
  readonly stop: () => Promise<void> | void;
  readonly limitMs: number;
}

export interface Lifecycle {
  /** `stop` runs when everything added later has stopped; while stopping, as soon as its turn can come. */
  add(name: string, stop: () => Promise<void> | void, limitMs?: number): void;
  /** Stops everything once; later calls wait for the same end, and for what was added since. */
  stop(): Promise<void>;
  readonly isStopping: boolean;
}

const DEFAULT_LIMIT_MS = 10_000;

export function createLifecycle(clock: Clock, log: Log): Lifecycle {
  const parts: Part[] = [];
  let stopping: Promise<void> | null = null;

  async function stopAll(): Promise<void> {
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const { name, stop, limitMs } = part;
      log.debug('stopping', { part: name });
      let cancel = (): void => undefined;
      const limit = new Promise<'late'>((resolve) => {
        cancel = clock.after(limitMs, () => resolve('late'));
      });
      try {
        if ((await Promise.race([stop(), limit])) === 'late')
          log.warn('a part did not stop in time', { part: name, limitMs });
      } catch (error) {
        log.error('a part failed to stop', { part: name, error: messageOf(error) });
      } finally {
        cancel();
      }
    }
  }

  return {
    add(name, stop, limitMs = DEFAULT_LIMIT_MS) {
      parts.push({ name, stop, limitMs });
      // If the loop is still running it takes this part next; if it has ended, this one is the first of another.
      if (stopping !== null) stopping = stopping.then(stopAll);
    },
    stop: () => (stopping ??= stopAll()),
    get isStopping() {
      return stopping !== null;
    },
  };
}
