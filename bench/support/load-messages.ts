/** Owns what a benchmark and its load generators and viewers say to each other over the control channel. */

import type { HistogramSnapshot } from '#bench/support/latency-histogram.ts';

/** What a load generator is asked to be. Sessions [firstSession, firstSession + keys.length) of `totalSessions`. */
export interface LoadPlan {
  readonly type: 'plan';
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** One device key a session. */
  readonly keys: readonly string[];
  readonly firstSession: number;
  readonly totalSessions: number;
  /** Streams a session; their frames of one moment travel in one message. */
  readonly sensors: number;
  readonly rateHz: number;
  readonly readingsPerFrame: number;
  readonly seed: number;
  readonly clockBaseUs: number;
  /** As fast as the sockets take it, instead of at the rate. Only for servers that acknowledge nothing. */
  readonly flood: boolean;
}

export type LoadCommand =
  | LoadPlan
  /** All sessions begin to sample at this moment of the shared clock, spread evenly over one frame. */
  | { readonly type: 'start'; readonly startUs: number }
  /** What was measured so far was warm-up. */
  | { readonly type: 'measure' }
  /** No more readings. Waits for what is not acknowledged, at most `drainMs`, then ends the streams and closes. */
  | { readonly type: 'stop'; readonly drainMs: number };

/** Every session is connected and its streams are open. */
export interface LoadReady {
  readonly type: 'ready';
  readonly sessions: readonly string[];
}

/** Between `measure` and `stop`. */
export interface LoadWindow {
  readonly type: 'window';
  readonly durationMs: number;
  readonly cpuS: number;
  readonly sentFrames: number;
  readonly sentMessages: number;
  readonly sentReadings: number;
  readonly acknowledgedReadings: number;
  /** From sending a frame to the acknowledgement that covers it. */
  readonly ack: HistogramSnapshot;
  /** From the moment a frame was complete to its sending: the generator's own delay, and waiting for credit. */
  readonly lag: HistogramSnapshot;
  /** From the sampling of a frame's oldest reading to its sending. */
  readonly batch: HistogramSnapshot;
  /** Readings sampled but not sent, and sent but not acknowledged, when the window ended. */
  readonly unsentReadings: number;
  readonly unacknowledgedReadings: number;
}

export interface LoadStream {
  readonly streamId: string;
  readonly epoch: string;
  /** Argument of streamSeed. */
  readonly stream: number;
  readonly startUs: number;
  /** Readings [0, sentTo) were sent. */
  readonly sentTo: number;
  /** Readings [0, next) and `ranges` were acknowledged. */
  readonly next: number;
  readonly ranges: readonly (readonly [number, number])[];
}

export interface LoadResult {
  readonly type: 'result';
  readonly streams: readonly LoadStream[];
  readonly reconnects: number;
  readonly resentReadings: number;
  /** Frames whose acknowledgement was not timed, because too many were on their way. */
  readonly unmeasuredFrames: number;
  /** Times that a session had to wait for credit. */
  readonly creditWaits: number;
  /** Error messages of the server by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** False when `drainMs` passed first. */
  readonly drained: boolean;
}

/** What a viewer process is asked to be: one connection a session. */
export interface ViewerPlan {
  readonly type: 'plan';
  readonly url: string;
  readonly subprotocol: string;
  readonly key: string;
  readonly sessions: readonly string[];
  readonly clockBaseUs: number;
  /** `live`: protocol/live-codec.ts. `data`: the devices' own messages, passed on as they came. */
  readonly format: 'live' | 'data';
}

export interface ViewerWindow {
  readonly type: 'window';
  readonly messages: number;
  readonly frames: number;
  /** Live messages that the server left out for a slow viewer. */
  readonly skipped: number;
  readonly cpuS: number;
  readonly fromSending: HistogramSnapshot;
  readonly fromSampling: HistogramSnapshot;
}
