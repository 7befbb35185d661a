/**
 * Owns when the fan-out runs: at the end of the current turn of the event loop, so that an idle server adds no delay.
 * Under load it rests three times as long as the last run took, at most `maxRestMs`: fan-out then takes about a
 * quarter of the loop, and what arrives meanwhile shares one write per viewer. Where nothing shares a write (many rooms that
 * say little each), a rest is only delay, and all but one in sixteen are left out. At most one run is scheduled.
 */

import type { Clock } from '#base/clock.ts';

const REST_PER_RUN = 3;
/** Below the resolution of timers a rest is not worth one. */
const SHORTEST_REST_MS = 1;
/** Rests that are left out after one that was of no use; then another one is tried. */
const RESTS_LEFT_OUT = 15;

export interface Ticker {
  /** Asks for a run. Idempotent until it starts. */
  request(): void;
  stop(): void;
}

export interface TickerOptions {
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** Calls back when the current turn of the event loop ends (setImmediate). */
  readonly endOfTurn: (callback: () => void) => void;
  readonly maxRestMs: number;
  /** True when what came since the last run has shared writes. */
  readonly run: () => boolean;
}

export function createTicker({ clock, endOfTurn, maxRestMs, run }: TickerOptions): Ticker {
  let isScheduled = false;
  let isStopped = false;
  let restUntilMs = Number.NEGATIVE_INFINITY;
  let cancel = (): void => {};
  let hasRested = false;
  let restsToLeaveOut = 0;

  const start = (): void => {
    if (isStopped) return;
    isScheduled = false;
    const startedMs = clock.monotonicMs();
    if (run()) restsToLeaveOut = 0;
    else if (hasRested) restsToLeaveOut = RESTS_LEFT_OUT;
    else if (restsToLeaveOut > 0) restsToLeaveOut--;
    hasRested = false;
    const endedMs = clock.monotonicMs();
    const restMs = Math.min(maxRestMs, (endedMs - startedMs) * REST_PER_RUN);
    restUntilMs = restsToLeaveOut > 0 ? endedMs : endedMs + restMs;
  };
  return {
    request() {
      if (isScheduled || isStopped) return;
      isScheduled = true;
      const restMs = restUntilMs - clock.monotonicMs();
      if (restMs < SHORTEST_REST_MS) return endOfTurn(start);
      hasRested = true;
      cancel = clock.after(restMs, start);
    },
    stop() {
      isStopped = true;
      cancel();
    },
  };
}
