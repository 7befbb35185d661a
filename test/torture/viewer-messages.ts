/** Owns the words between a torture run and the process that watches its sessions live, one JSON object a line. */

import type { HistogramSnapshot } from '#bench/support/latency-histogram.ts';

export interface WatchPlan {
  readonly type: 'plan';
  readonly clockBaseUs: number;
  readonly seed: number;
  readonly accessKey: string;
  readonly sessions: readonly {
    readonly device: number;
    readonly session: string;
    readonly port: number;
  }[];
}

export interface WatchSample {
  readonly device: number;
  readonly frames: number;
  /** Frames whose readings are not those that were made, or of another session. */
  readonly wrong: number;
  /** From the due time of the oldest reading of a frame to its arrival here, since the last sample. */
  readonly latencies: HistogramSnapshot;
}

export type ViewerMessage =
  | { readonly type: 'subscribed' }
  | { readonly type: 'sample'; readonly sessions: readonly WatchSample[] }
  | { readonly type: 'trouble'; readonly text: string };
