/**
 * Owns the waiting for windows: many may wait, and each organisation that somebody waits for is looked at twice a second, once
 * for all of them. At most FOLLOWERS wait; one more is sent away.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { WindowQueries } from '#store/window-queries.ts';

const LOOK_MS = 500;
/** A processor each; what a page of them costs is far more than waiting. */
const FOLLOWERS = 256;

export interface WindowFollower {
  /** Resolves when something changed after `newest`, or in time, or when the server stops. Throws AppError `overloaded`. */
  wait(orgId: string, newest: number, waitMs: number): Promise<void>;
  /** Lets all go. */
  stop(): void;
  readonly isStopped: boolean;
}

interface Waiter {
  readonly orgId: string;
  readonly newest: number;
  readonly leave: () => void;
}

export function createWindowFollower(
  windows: Pick<WindowQueries, 'newest'>,
  clock: Pick<Clock, 'after'>,
): WindowFollower {
  const waiters = new Set<Waiter>();
  let isLooking = false;
  let isStopped = false;

  async function look(): Promise<void> {
    for (const [orgId, of] of Map.groupBy(waiters, (waiter) => waiter.orgId)) {
      // Who waits asks again, and hears then that the database is away.
      const newest = await windows.newest(orgId).catch(() => 0);
      // After a restore the numbers are smaller.
      for (const waiter of of) if (newest !== waiter.newest) waiter.leave();
    }
  }

  function lookLater(): void {
    if (isLooking || waiters.size === 0) return;
    isLooking = true;
    clock.after(LOOK_MS, () => {
      void look().finally(() => {
        isLooking = false;
        lookLater();
      });
    });
  }

  return {
    wait(orgId, newest, waitMs) {
      if (isStopped) return Promise.resolve();
      if (waiters.size >= FOLLOWERS)
        throw new AppError('overloaded', 'too many wait for windows already', { temporary: true });
      return new Promise((resolve) => {
        const waiter: Waiter = {
          orgId,
          newest,
          leave() {
            cancel();
            waiters.delete(waiter);
            resolve();
          },
        };
        const cancel = clock.after(waitMs, waiter.leave);
        waiters.add(waiter);
        lookLater();
      });
    },
    stop() {
      isStopped = true;
      for (const waiter of waiters) waiter.leave();
    },
    get isStopped() {
      return isStopped;
    },
  };
}
