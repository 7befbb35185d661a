/**
 * Owns a histogram of durations with bounded memory and bounded error: logarithmic buckets with 128 steps an octave, so
 * a quantile is at most 0.8 % too high. Values are whole microseconds from 0 to 2^32 - 1 (71 minutes); larger ones count
 * as the largest. Histograms of several processes or rounds merge by adding their buckets.
 */

import { assert } from '#base/assert.ts';

/** Buckets below 128 us are exact; each octave above has 128. */
const STEPS = 128;
const STEP_BITS = 7;
const BUCKETS = STEPS + (32 - STEP_BITS) * STEPS;
const MAX_US = 2 ** 32 - 1;

/** What travels between processes: [bucket, count] for the buckets in use, and the exact sum and maximum. */
export interface HistogramSnapshot {
  readonly buckets: readonly (readonly [number, number])[];
  readonly sumUs: number;
  readonly maxUs: number;
}

export interface LatencyHistogram {
  readonly count: number;
  record(durationUs: number): void;
  /** The duration in milliseconds below which the share `quantile` (0 to 1) lies; NaN when nothing was recorded. */
  quantileMs(quantile: number): number;
  meanMs(): number;
  maxMs(): number;
  reset(): void;
  add(snapshot: HistogramSnapshot): void;
  snapshot(): HistogramSnapshot;
}

export function createLatencyHistogram(): LatencyHistogram {
  const counts = new Float64Array(BUCKETS);
  let count = 0;
  let sumUs = 0;
  let maxUs = 0;
  return {
    get count() {
      return count;
    },
    record(durationUs) {
      // Two clocks of one machine may disagree by a microsecond: that is no negative duration.
      const us = Math.min(Math.max(Math.round(durationUs), 0), MAX_US);
      counts[bucketOf(us)]! += 1;
      count++;
      sumUs += us;
      if (us > maxUs) maxUs = us;
    },
    quantileMs(quantile) {
      if (count === 0) return Number.NaN;
      const rank = Math.max(1, Math.ceil(quantile * count));
      let seen = 0;
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        seen += counts[bucket]!;
        if (seen >= rank) return Math.min(upperBoundUs(bucket), maxUs) / 1000;
      }
      return maxUs / 1000;
    },
    meanMs: () => (count === 0 ? Number.NaN : sumUs / count / 1000),
    maxMs: () => (count === 0 ? Number.NaN : maxUs / 1000),
    reset() {
      counts.fill(0);
      count = 0;
      sumUs = 0;
      maxUs = 0;
    },
    add(snapshot) {
      for (const [bucket, n] of snapshot.buckets) {
        assert(bucket >= 0 && bucket < BUCKETS && n >= 0, 'a snapshot holds buckets of this histogram');
        counts[bucket]! += n;
        count += n;
      }
      sumUs += snapshot.sumUs;
      maxUs = Math.max(maxUs, snapshot.maxUs);
    },
    snapshot() {
      const buckets: [number, number][] = [];
      for (let bucket = 0; bucket < BUCKETS; bucket++)
        if (counts[bucket]! > 0) buckets.push([bucket, counts[bucket]!]);
      return { buckets, sumUs, maxUs };
    },
  };
}

function bucketOf(us: number): number {
  if (us < STEPS) return us;
  const octave = 31 - Math.clz32(us);
  return STEPS + (octave - STEP_BITS) * STEPS + ((us >>> (octave - STEP_BITS)) - STEPS);
}

/** The largest whole number of microseconds that falls into the bucket. */
function upperBoundUs(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const octave = STEP_BITS + Math.floor((bucket - STEPS) / STEPS);
  const step = (bucket - STEPS) % STEPS;
  return (STEPS + step + 1) * 2 ** (octave - STEP_BITS) - 1;
}
