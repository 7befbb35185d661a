/**
 * Owns what an analysis of motion gives: contacts, strides, cycles of joint angles, turns and summaries, as plain records with
 * times in microseconds of device time. A value that is not known is null, never zero.
 */

import type { Side } from '#motion/body-model.ts';

export interface Contact {
  readonly side: Side;
  readonly kind: 'initial' | 'final';
  readonly timeUs: number;
}

export type Terrain = 'level' | 'up' | 'down';

/** From one initial contact of a foot to its next. */
export interface Stride {
  readonly side: Side;
  readonly startUs: number;
  readonly endUs: number;
  /** Final contact of this foot between. */
  readonly finalContactUs: number | null;
  readonly strideTimeS: number;
  readonly stanceTimeS: number | null;
  readonly swingTimeS: number | null;
  /** Share of the stride in which both feet are on the ground; needs both. */
  readonly doubleSupportPercent: number | null;
  readonly strideLengthM: number | null;
  readonly speedMS: number | null;
  /** Steps per minute: two steps a stride. */
  readonly cadenceStepsPerMin: number;
  /** Largest height of the foot's sensor over where it stood. */
  readonly clearanceM: number | null;
  /** Change of direction over the stride, to the left positive. */
  readonly turnDeg: number | null;
  readonly heightChangeM: number | null;
  readonly terrain: Terrain | null;
  /** Bout of walking it belongs to, counted from 0 in the session. */
  readonly bout: number;
}

export const CYCLE_POINTS = 101;

/** Angles over one stride: CYCLE_POINTS values in degrees from 0 to 100 % of it. */
export interface Cycle {
  readonly side: Side;
  readonly startUs: number;
  readonly endUs: number;
  /** By the names of `angleNames` without the side: `knee-flexion`. */
  readonly curves: Readonly<Record<string, Float32Array>>;
}

export interface Turn {
  readonly startUs: number;
  readonly endUs: number;
  /** To the left positive. */
  readonly angleDeg: number;
}

/** What became unknown or doubtful, for people to read. */
export interface MotionNotice {
  readonly timeUs: number;
  /** Stable: `gap`, `saturated`, `swapped-sides`, `weak-calibration`, `no-movement`, ... */
  readonly code: string;
  readonly segment: string | null;
  readonly text: string;
}

/** Gait is recognised at the feet or, where none wears a sensor, at the lower back. */
export type GaitSensors = 'feet' | 'lower-back';

/** One figure of a summary. `value` null: not enough behind it, `reason` says what is missing. */
export interface MetricValue {
  /** Of the metric catalogue (metric-catalogue.ts), which has its unit, digits, known error and latency. */
  readonly metric: string;
  readonly side: Side | null;
  readonly value: number | null;
  /** Standard deviation over the strides. */
  readonly spread: number | null;
  readonly count: number;
  readonly reason: string | null;
  /** Where the sensors sat that it is from: the known error depends on it. */
  readonly sensors?: GaitSensors;
}
