/** Owns a Clock that moves only when a test moves it, and runs what falls due in order of time, then of asking. */

import type { Clock } from '#base/clock.ts';

export interface ManualClock extends Clock {
  /** Moves on by `ms`, running every timer that falls due on the way at its own time. */
  advance(ms: number): void;
  /** Moves on without running timers, as a busy event loop does. */
  burn(ms: number): void;
  /** Moves the wall clock alone. */
  jumpWallUs(us: number): void;
  readonly timerCount: number;
}

export function createManualClock(startUs = 1_700_000_000_000_000): ManualClock {
  let nowMs = 0;
  let wallStartUs = startUs;
  let asked = 0;
  const timers = new Map<number, { readonly dueMs: number; readonly callback: () => void }>();

  const takeDue = (untilMs: number): { dueMs: number; callback: () => void } | undefined => {
    let first: number | undefined;
    for (const [id, timer] of timers)
      if (timer.dueMs <= untilMs && (first === undefined || timer.dueMs < timers.get(first)!.dueMs))
        first = id;
    if (first === undefined) return undefined;
    const timer = timers.get(first)!;
    timers.delete(first);
    return timer;
  };
  return {
    nowUs: () => wallStartUs + Math.round(nowMs * 1000),
    monotonicMs: () => nowMs,
    after(delayMs, callback) {
      const id = asked++;
      timers.set(id, { dueMs: nowMs + delayMs, callback });
      return () => void timers.delete(id);
    },
    advance(ms) {
      const untilMs = nowMs + ms;
      for (let timer = takeDue(untilMs); timer !== undefined; timer = takeDue(untilMs)) {
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.callback();
      }
      nowMs = Math.max(nowMs, untilMs);
    },
    burn(ms) {
      nowMs += ms;
    },
    jumpWallUs(us) {
      wallStartUs += us;
    },
    get timerCount() {
      return timers.size;
    },
  };
}
