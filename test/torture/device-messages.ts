/** Owns the words between a torture run and its device processes, one JSON object a line. Times are the shared clock's. */

import type { HistogramSnapshot } from '#bench/support/latency-histogram.ts';
import type { NewlyAcknowledged } from '#test/torture/acknowledgement-audit.ts';

export interface DeviceProcessPlan {
  readonly type: 'plan';
  readonly clockBaseUs: number;
  readonly seed: number;
  /** Counts the processes that had these devices, from 0. */
  readonly life: number;
  readonly streams: number;
  /** A stream ends after this many seconds, drawn between the two, and another begins. */
  readonly streamSeconds: readonly [number, number];
  readonly devices: readonly DevicePlan[];
}

export interface DevicePlan {
  /** Its number in the run. */
  readonly device: number;
  readonly url: string;
  readonly key: string;
  readonly session: string;
  readonly storeDirectory: string;
  readonly journalFile: string;
}

/** To the device process: end all streams and deliver everything. */
export interface EndCommand {
  readonly type: 'end';
  readonly timeoutMs: number;
}

export interface DeviceSample {
  readonly device: number;
  readonly pushed: number;
  readonly phase: string;
  readonly reconnects: number;
  readonly buffered: number;
  /** Age of the oldest reading of this life that is not acknowledged; 0 without one. */
  readonly oldestMs: number;
  /** From the due time of the oldest reading of a stored frame to its acknowledgement, since the last sample. */
  readonly lags: HistogramSnapshot;
  readonly acknowledged: number;
}

export type DeviceProcessMessage =
  | { readonly type: 'recording' }
  /** The server settled more than before. */
  | {
      readonly type: 'acknowledged';
      readonly device: number;
      readonly atUs: number;
      readonly settled: readonly NewlyAcknowledged[];
    }
  | { readonly type: 'sample'; readonly devices: readonly DeviceSample[] }
  | { readonly type: 'trouble'; readonly device: number; readonly text: string }
  | { readonly type: 'ended'; readonly isDrained: boolean; readonly left: readonly string[] };
