/**
 * Owns the rate and the jitter of a stream's frames as they arrive at the server. Rate: readings over the last
 * RATE_MS. Jitter: RFC 3550 section 6.4.1, the smoothed difference between the spacing of arrivals and of sampling;
 * it needs no common clock. Bound: MAX_FRAMES remembered; past it the rate is over a shorter time.
 */

export interface ArrivalStats {
  /** Readings a second, null before two frames within RATE_MS. */
  rate(nowMs: number): number | null;
  /** Milliseconds, null before the second frame. */
  readonly jitterMs: number | null;
  add(frame: { arrivalUs: number; firstUs: number; count: number }, nowMs: number): void;
}

const RATE_MS = 5_000;
/** 200 frames a second for five seconds. */
const MAX_FRAMES = 1_024;
/** The gain of RFC 3550: noise is reduced, and the measure still follows. */
const GAIN = 1 / 16;
/** A longer pause is a break of the stream, not jitter. */
const BREAK_US = 2_000_000;

export function createArrivalStats(): ArrivalStats {
  const seenMs = new Float64Array(MAX_FRAMES);
  const arrivalsUs = new Float64Array(MAX_FRAMES);
  const counts = new Float64Array(MAX_FRAMES);
  let head = 0;
  let size = 0;
  let jitterUs: number | null = null;
  let lastTransitUs: number | null = null;
  let lastArrivalUs = 0;

  const expire = (nowMs: number): void => {
    while (size > 0 && seenMs[head]! < nowMs - RATE_MS) {
      head = (head + 1) % MAX_FRAMES;
      size--;
    }
  };
  return {
    get jitterMs() {
      return jitterUs === null ? null : jitterUs / 1000;
    },
    rate(nowMs) {
      expire(nowMs);
      if (size < 2) return null;
      const last = (head + size - 1) % MAX_FRAMES;
      const spanUs = arrivalsUs[last]! - arrivalsUs[head]!;
      if (spanUs <= 0) return null;
      // The first frame's readings were sampled before the span began.
      let readings = 0;
      for (let i = 1; i < size; i++) readings += counts[(head + i) % MAX_FRAMES]!;
      return (readings / spanUs) * 1e6;
    },
    add({ arrivalUs, firstUs, count }, nowMs) {
      expire(nowMs);
      if (size === MAX_FRAMES) {
        head = (head + 1) % MAX_FRAMES;
        size--;
      }
      const at = (head + size) % MAX_FRAMES;
      seenMs[at] = nowMs;
      arrivalsUs[at] = arrivalUs;
      counts[at] = count;
      size++;
      const transitUs = arrivalUs - firstUs;
      if (lastTransitUs !== null && arrivalUs - lastArrivalUs < BREAK_US) {
        const difference = Math.abs(transitUs - lastTransitUs);
        if (difference < BREAK_US) jitterUs = (jitterUs ?? 0) + (difference - (jitterUs ?? 0)) * GAIN;
      }
      lastTransitUs = transitUs;
      lastArrivalUs = arrivalUs;
    },
  };
}
