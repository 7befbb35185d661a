/**
 * Owns the pause before something is tried again: drawn from all of [0, cap), where the cap doubles from `baseMs` to `maxMs`
 * with each failure (full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS 2015), so that many never come at once.
 */

import type { Clock } from '#base/clock.ts';
import type { Random } from '#base/random.ts';

export interface BackOff {
  /** Resolves when it is time, or when `signal` aborts. At least `atLeastMs`. */
  pause(atLeastMs?: number): Promise<void>;
  /** It went well: the next pause is short again. */
  reset(): void;
}

export interface BackOffOptions {
  readonly clock: Pick<Clock, 'after'>;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly baseMs?: number;
  readonly maxMs?: number;
}

export function createBackOff(options: BackOffOptions): BackOff {
  const { clock, random, signal, baseMs = 500, maxMs = 30_000 } = options;
  let failures = 0;
  return {
    pause(atLeastMs = 0) {
      if (signal.aborted) return Promise.resolve();
      const capMs = Math.min(maxMs, baseMs * 2 ** Math.min(failures, 20));
      failures++;
      return new Promise((resolve) => {
        const end = (): void => {
          cancel();
          signal.removeEventListener('abort', end);
          resolve();
        };
        const cancel = clock.after(Math.max(atLeastMs, random.next() * capMs), end);
        signal.addEventListener('abort', end, { once: true });
      });
    },
    reset: () => {
      failures = 0;
    },
  };
}
