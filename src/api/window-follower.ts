/**
 * Owns the waiting for windows: many may wait, and each organisation that somebody waits for is looked at twice a second, once
 * for all of them. At most FOLLOWERS wait, OF_ONE of an organisation, so that none takes the place of others; one more is
 * sent away. Who has gone waits no longer.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { WindowQueries } from '#store/window-queries.ts';

const LOOK_MS = 500;
/** A processor each; what a page of them costs is far more than waiting. */
const FOLLOWERS = 256;
/** A dozen processors with a few copies each. */
const OF_ONE = 64;

export interface WindowFollower {
  /**
   * Resolves when something changed after `newest`, or in time, or when the server stops or `gone` is aborted. Throws AppError
   * `overloaded`, or `limit-exceeded` when it is the organisation that has too many.
   */
  wait(orgId: string, newest: number, until: WaitEnd): Promise<void>;
  /** Lets all go. */
  stop(): void;
  readonly isStopped: boolean;
}

export interface WaitEnd {
  readonly waitMs: number;
  readonly gone: AbortSignal;
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
    wait(orgId, newest, { waitMs, gone }) {
      if (isStopped || gone.aborted) return Promise.resolve();
      let own = 0;
      for (const waiter of waiters) if (waiter.orgId === orgId) own++;
      if (own >= OF_ONE)
        throw new AppError('limit-exceeded', `at most ${OF_ONE} wait for windows of one organisation`, {
          temporary: true,
        });
      if (waiters.size >= FOLLOWERS)
        throw new AppError('overloaded', 'too many wait for windows already', { temporary: true });
      return new Promise((resolve) => {
        const waiter: Waiter = {
          orgId,
          newest,
          leave() {
            cancel();
            waiters.delete(waiter);
            gone.removeEventListener('abort', waiter.leave);
            resolve();
          },
        };
        const cancel = clock.after(waitMs, waiter.leave);
        gone.addEventListener('abort', waiter.leave);
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
