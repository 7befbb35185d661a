/** Owns time: everything that needs the time or a timer takes a Clock, so that a simulation can be its own. */

export interface Clock {
  /** Wall-clock time in microseconds since 1970 (a safe integer until the year 2255). May jump. */
  nowUs(): number;
  /** Milliseconds that only ever grow, from an arbitrary start. For time-outs and durations. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

// Never changes, and its getter costs as much as reading the time: this is asked for every frame.
const timeOriginMs = performance.timeOrigin;

/** The machine's own clock. Wall time is read once and advanced by the monotonic clock's sub-millisecond part. */
export const systemClock: Clock = {
  nowUs() {
    const nowMs = performance.now();
    return Math.round((timeOriginMs + nowMs) * 1000) + driftUs(nowMs);
  },
  monotonicMs: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

// performance.timeOrigin + now() ignores later corrections of the wall clock (NTP, a suspended machine). Once a
// second the difference to Date.now() is looked at, and followed when it exceeds 2 ms, its own resolution.
let checkedAtMs = Number.NEGATIVE_INFINITY;
let correctionUs = 0;
function driftUs(nowMs: number): number {
  if (nowMs - checkedAtMs > 1000) {
    checkedAtMs = nowMs;
    const differenceMs = Date.now() - (timeOriginMs + nowMs);
    if (Math.abs(differenceMs - correctionUs / 1000) > 2) correctionUs = Math.round(differenceMs * 1000);
  }
  return correctionUs;
}
