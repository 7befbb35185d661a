/**
 * Owns the latency of the last seconds by part, as quantiles. Samples older than the window do not count. Bound:
 * MAX_SAMPLES per window; past it the oldest go, which only shortens the window.
 */

/** The parts of the way of a frame's oldest reading, from sampling to screen; milliseconds; NaN for not known. */
export interface LatencySample {
  /** Sampling to sending: the device fills a frame. */
  readonly batching: number;
  /** Sending to arrival. Needs the device's clock. */
  readonly network: number;
  /** Arrival to publishing. */
  readonly server: number;
  /** Publishing to receipt in the browser. Needs the probed server clock. */
  readonly delivery: number;
  /** Receipt to the drawn frame: waiting for its turn in the sweep, and painting. */
  readonly paint: number;
}

export type LatencyPart = keyof LatencySample;

export const latencyParts: readonly LatencyPart[] = ['batching', 'network', 'server', 'delivery', 'paint'];

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

/**
 * Each part, and three sums: `total` of all parts (from sampling), `handler` from sending to receipt in the browser,
 * `pixel` from sending to the drawn frame. Null where no sample knows all of its parts.
 */
export type LatencySummary = Readonly<Record<LatencyPart | 'total' | 'handler' | 'pixel', Quantiles | null>>;

export interface LatencyWindow {
  /** Samples pushed out by newer ones before their time. */
  readonly dropped: number;
  add(atMs: number, sample: LatencySample): void;
  /** Of the last WINDOW_MS. */
  summarise(nowMs: number): LatencySummary;
  /** Each sample of the last WINDOW_MS, oldest first: when it was drawn, and the sums `handler` and `pixel` of it. */
  recent(nowMs: number): RecentLatency[];
}

export interface RecentLatency {
  readonly atMs: number;
  readonly handler: number;
  readonly pixel: number;
}

/** Long enough for a p99 of some meaning at 20 frames a second, short enough to show what is now. */
export const WINDOW_MS = 10_000;
/** 100 frames a second for the whole window. */
export const MAX_SAMPLES = 1024;

const FIELDS = 1 + latencyParts.length;
/** From and to, in latencyParts: network to delivery, and network to paint. */
const handlerParts = [1, 4] as const;
const pixelParts = [1, 5] as const;

export function createLatencyWindow(): LatencyWindow {
  const rows = new Float64Array(MAX_SAMPLES * FIELDS);
  const scratch = new Float64Array(MAX_SAMPLES);
  let head = 0;
  let size = 0;
  let dropped = 0;

  const expire = (nowMs: number): void => {
    while (size > 0 && rows[head * FIELDS]! < nowMs - WINDOW_MS) {
      head = (head + 1) % MAX_SAMPLES;
      size--;
    }
  };
  const quantiles = (read: (row: number) => number): Quantiles | null => {
    let count = 0;
    for (let i = 0; i < size; i++) {
      const value = read(((head + i) % MAX_SAMPLES) * FIELDS);
      if (!Number.isNaN(value)) scratch[count++] = value;
    }
    if (count === 0) return null;
    const sorted = scratch.subarray(0, count).sort();
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
  };
  // The place of a part in a row is its place in latencyParts, after the time.
  const sumOf = (row: number, from: number, to: number): number => {
    let total = 0;
    for (let i = from; i < to; i++) total += rows[row + 1 + i]!;
    return total;
  };
  return {
    get dropped() {
      return dropped;
    },
    add(atMs, sample) {
      expire(atMs);
      if (size === MAX_SAMPLES) {
        head = (head + 1) % MAX_SAMPLES;
        size--;
        dropped++;
      }
      const row = ((head + size) % MAX_SAMPLES) * FIELDS;
      rows[row] = atMs;
      latencyParts.forEach((part, i) => (rows[row + 1 + i] = sample[part]));
      size++;
    },
    summarise(nowMs) {
      expire(nowMs);
      const sum = (from: number, to: number): Quantiles | null => quantiles((row) => sumOf(row, from, to));
      return {
        batching: sum(0, 1),
        network: sum(1, 2),
        server: sum(2, 3),
        delivery: sum(3, 4),
        paint: sum(4, 5),
        handler: sum(...handlerParts),
        pixel: sum(...pixelParts),
        total: sum(0, 5),
      };
    },
    recent(nowMs) {
      expire(nowMs);
      return Array.from({ length: size }, (_, i) => {
        const row = ((head + i) % MAX_SAMPLES) * FIELDS;
        return {
          atMs: rows[row]!,
          handler: sumOf(row, ...handlerParts),
          pixel: sumOf(row, ...pixelParts),
        };
      });
    },
  };
}

/** The smallest value that at least `share` of the values do not exceed (nearest rank). */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]!;
}
