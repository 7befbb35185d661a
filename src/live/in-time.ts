/** Owns the time-out of what the hub waits for: what is asked of others ends for the asker, whatever they do. */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';

/** The promise's outcome, or `timed-out` (temporary) after `timeoutMs`. */
export function inTime<T>(clock: Pick<Clock, 'after'>, timeoutMs: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () =>
      reject(new AppError('timed-out', `not done within ${timeoutMs} ms`, { temporary: true })),
    );
    promise.then(resolve, reject).finally(cancel);
  });
}
