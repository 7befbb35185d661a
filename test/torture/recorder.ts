/**
 * Owns what a torture run measures: twice a second the load, the wait for acknowledgements and the live latency, and for
 * every fault its times and the latencies of the sessions it did not hit. Bound: some 100 bytes a device and half second.
 */

import {
  createLatencyHistogram,
  type HistogramSnapshot,
  type LatencyHistogram,
} from '#bench/support/latency-histogram.ts';
import type { FaultGroup } from '#test/torture/fault.ts';

/** One point of the picture. Milliseconds; null where nothing was measured. */
export interface Point {
  readonly atS: number;
  readonly acknowledgedPerS: number;
  /** Longest time since an acknowledgement, of all devices and of those that no fault aims at. */
  readonly waitMs: number;
  readonly calmWaitMs: number;
  readonly liveP50Ms: number | null;
  readonly liveP99Ms: number | null;
}

export interface FaultRecord {
  readonly kind: string;
  readonly group: FaultGroup;
  readonly target: string;
  /** True when it came while another was at work. */
  readonly isCompanion: boolean;
  readonly struckS: number;
  readonly healedS: number;
  /** From the heal to the first acknowledgement of any device that was hit, and of the last of them; null: never. */
  readonly firstAckMs: number | null;
  readonly allAckMs: number | null;
  /** Of sessions that it did not hit, from strike to recovery; null without such a session. */
  readonly undisturbed: Undisturbed | null;
  readonly failure: string | null;
}

export interface Undisturbed {
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  readonly liveP50Ms: number;
  readonly liveP99Ms: number;
}

interface Heard {
  readonly device: number;
  readonly atS: number;
  readonly lags: HistogramSnapshot | null;
  readonly latencies: HistogramSnapshot | null;
}

export interface Recorder {
  readonly points: Point[];
  readonly faults: FaultRecord[];
  lags(device: number, snapshot: HistogramSnapshot): void;
  latencies(device: number, snapshot: HistogramSnapshot): void;
  /** Closes a half second. */
  point(values: Omit<Point, 'atS' | 'liveP50Ms' | 'liveP99Ms'>): void;
  /** Of the devices for which `isCounted`, between two times; null when none said anything. */
  between(fromS: number, toS: number, isCounted: (device: number) => boolean): Undisturbed | null;
}

export function createRecorder(nowS: () => number): Recorder {
  const points: Point[] = [];
  const heard: Heard[] = [];
  let live = createLatencyHistogram();
  return {
    points,
    faults: [],
    lags: (device, lags) => void heard.push({ device, atS: nowS(), lags, latencies: null }),
    latencies(device, latencies) {
      heard.push({ device, atS: nowS(), lags: null, latencies });
      live.add(latencies);
    },
    point(values) {
      const [p50, p99] = [live.quantileMs(0.5), live.quantileMs(0.99)];
      points.push({ ...values, atS: nowS(), liveP50Ms: finite(p50), liveP99Ms: finite(p99) });
      live = createLatencyHistogram();
    },
    between(fromS, toS, isCounted) {
      const [lags, latencies] = [createLatencyHistogram(), createLatencyHistogram()];
      for (const sample of heard) {
        if (sample.atS < fromS || sample.atS > toS || !isCounted(sample.device)) continue;
        if (sample.lags !== null) lags.add(sample.lags);
        if (sample.latencies !== null) latencies.add(sample.latencies);
      }
      if (lags.count === 0 && latencies.count === 0) return null;
      return {
        lagP50Ms: quantile(lags, 0.5),
        lagP99Ms: quantile(lags, 0.99),
        liveP50Ms: quantile(latencies, 0.5),
        liveP99Ms: quantile(latencies, 0.99),
      };
    },
  };
}

function quantile(histogram: LatencyHistogram, share: number): number {
  return Math.round(histogram.quantileMs(share) * 10) / 10;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : null;
}
