/** Owns what the API benchmark and its load generator say to each other (support/control-channel.ts). */

import type { HistogramSnapshot } from '#bench/support/latency-histogram.ts';
import type { Scenario } from '#bench/api/scenario.ts';

export interface Plan {
  readonly type: 'plan';
  readonly host: string;
  readonly port: number;
  readonly scenario: Scenario;
  /** Header lines of each clinician, each ended: cookie or key. */
  readonly credentials: readonly string[];
  readonly seed: number;
}

/** One measurement: `warmUpS` of a few requests at a time, which is not looked at, then arrivals at `ratePerS` for `seconds`. */
export interface Run {
  readonly type: 'run';
  readonly ratePerS: number;
  readonly warmUpS: number;
  readonly seconds: number;
}

export type LoadCommand = Plan | Run;

/** The warm-up is over; all requests of the measurement have arrived. */
export interface Moment {
  readonly type: 'warm' | 'arrived';
}

/** The arrivals are over; answers may be missing. */
export interface Measured {
  readonly type: 'measured';
  readonly seconds: number;
  readonly sent: number;
  readonly answered: number;
  /** By status, or `lost`. */
  readonly errors: Readonly<Record<string, number>>;
  /** Answers that did not come in time after the end; they count with the time that they have taken. */
  readonly unanswered: number;
  /** From the moment at which a request was due, whenever it could be sent. */
  readonly latency: HistogramSnapshot;
  readonly byOperation: readonly HistogramSnapshot[];
  /** How late the generator itself was. */
  readonly lag: HistogramSnapshot;
  readonly cpuS: number;
}
