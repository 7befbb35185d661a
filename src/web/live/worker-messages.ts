/** Owns the messages between the page and its live worker. The page sends wishes; the worker sends reports. */

import type { StreamDetail } from '#contract/rest.ts';
import type { LatencySummary, RecentLatency } from '#web/live/latency-window.ts';
import type { CanvasSize } from '#web/live/trace-layout.ts';

export type ToWorker =
  /** First message: where to connect, as whom, and what to follow. */
  | { readonly type: 'start'; readonly origin: string; readonly key: string | null; readonly session: string }
  | { readonly type: 'streams'; readonly streams: readonly StreamDetail[] }
  | {
      readonly type: 'canvas';
      readonly stream: string;
      readonly canvas: OffscreenCanvas;
      readonly size: CanvasSize;
    }
  | { readonly type: 'resize'; readonly stream: string; readonly size: CanvasSize }
  /** A canvas out of sight is not drawn. */
  | { readonly type: 'visible'; readonly stream: string; readonly visible: boolean }
  | { readonly type: 'removeCanvas'; readonly stream: string }
  | {
      readonly type: 'view';
      readonly windowMs: number;
      readonly scheme: 'dark' | 'light';
      readonly frozen: boolean;
    }
  | { readonly type: 'inspect'; readonly id: number }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'report'; readonly report: LiveReport }
  /** Readings of a stream came that the page has not told of. */
  | { readonly type: 'unknownStream' }
  | { readonly type: 'inspected'; readonly id: number; readonly inspection: LiveInspection };

/** What is said of the connection. */
export interface ConnectionReport {
  readonly name: 'connecting' | 'open' | 'waiting' | 'closed';
  /** How long it has been so, and until the next attempt. */
  readonly sinceMs: number;
  readonly retryInMs: number | null;
  /** What ended the last connection. */
  readonly code: string | number | null;
  /** False when the channel itself was refused. */
  readonly isSubscribed: boolean;
}

export interface StreamReport {
  readonly stream: string;
  /** Readings a second as they arrive at the server. */
  readonly rate: number | null;
  readonly jitterMs: number | null;
  /** Declared lost, and missing but not declared, as far as the live channel has told; null before it has. */
  readonly lost: number | null;
  readonly pending: number | null;
  readonly latency: LatencySummary;
  /** Since the newest reading was sampled; null before the first. */
  readonly lastReadingAgeMs: number | null;
  readonly isSilent: boolean;
  /** Newest value per axis; null for none, and while the sensor is silent. */
  readonly latest: readonly (number | null)[];
  readonly isClockMeasured: boolean;
  readonly clockJumps: number;
}

export interface LiveReport {
  readonly connection: ConnectionReport;
  /** Frames drawn in the last second, the longest wait between two, and the longest drawing. */
  readonly fps: number;
  readonly longestFrameMs: number;
  readonly longestDrawMs: number;
  /** How far the sweep runs behind the present. */
  readonly delayMs: number;
  /** Ticks that the server left out for this viewer. */
  readonly skippedTicks: number;
  /** Age of the oldest reading shown that is not stored yet, over the streams that send; null when not known. */
  readonly storedAgeMs: number | null;
  readonly streams: readonly StreamReport[];
}

/** What `window.kymoInspect()` gives: the readings behind the picture, so that it can be compared with a recording. */
export interface LiveInspection {
  readonly fps: number;
  readonly delayMs: number;
  readonly connection: ConnectionReport['name'];
  readonly streams: readonly {
    readonly stream: string;
    readonly epoch: string | null;
    readonly segment: string;
    /** Sequence number of the newest reading that is drawn; null before the first. */
    readonly lastSeq: number | null;
    readonly axes: readonly { readonly name: string; readonly unit: string }[];
    /** The newest unbroken run of drawn readings, at most INSPECTED_READINGS, oldest first, axes in order. */
    readonly drawn: { readonly firstSeq: number; readonly values: readonly (readonly number[])[] } | null;
    readonly latency: LatencySummary;
    /** The frames behind these figures, those that were drawn. */
    readonly recentLatency: readonly RecentLatency[];
    /** Frames that did not fit the stream's definition. */
    readonly malformedFrames: number;
  }[];
}

/** About a second at 200 Hz: enough to find the place in a recording without doubt. */
export const INSPECTED_READINGS = 256;
