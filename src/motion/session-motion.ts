/**
 * Owns the types of the whole chain for one session: readings of all streams in, orientation, joint angles, contacts, strides,
 * cycles and summaries out. The chain takes readings in the order of (time, stream), whatever the order and the pieces in
 * which they came, so that live, re-analysis and a continued checkpoint give the same bits.
 */

import type { BodyModel } from '#motion/body-model.ts';
import type { Contact, Cycle, MetricValue, MotionNotice, Stride, Turn } from '#motion/results.ts';

/** Angles on the chain's own grid of time, for every joint that the worn segments allow. */
export interface AngleBlock {
  readonly firstUs: number;
  readonly stepUs: number;
  readonly count: number;
  /** Row by row, a value for each of `angleNames`, in degrees; NaN where unknown. */
  readonly rows: Float32Array;
}

/** What came out since the last `take`. */
export interface MotionBatch {
  readonly angles: readonly AngleBlock[];
  readonly contacts: readonly Contact[];
  readonly strides: readonly Stride[];
  readonly cycles: readonly Cycle[];
  readonly turns: readonly Turn[];
  readonly notices: readonly MotionNotice[];
}

export interface SessionMotion {
  readonly model: BodyModel;
  /** Columns of angle rows: `left-knee-flexion`, ... */
  readonly angleNames: readonly string[];
  /**
   * Readings of `model.placements[placement]`, in order of seq: `values` row by row with all axes of the stream. A jump of
   * time is a gap. Readings of a time that was passed by `advance` are left out and counted.
   */
  push(
    placement: number,
    readings: {
      readonly timesUs: Float64Array;
      readonly values: Float32Array;
      readonly axes: number;
      readonly count: number;
    },
  ): void;
  /** Processes all readings before this time. Nothing earlier will come any more. */
  advance(untilUs: number): void;
  /** No reading will come any more: what waits for the future is decided without it. */
  finish(): void;
  /** Results since the last call, oldest first. Bounded: who does not take loses the oldest, counted. */
  take(): MotionBatch;
  /** Figures over everything up to now, or over strides that end in [fromUs, toUs). */
  summary(range?: { readonly fromUs: number; readonly toUs: number }): readonly MetricValue[];
  readonly counters: {
    readonly readings: number;
    readonly late: number;
    readonly dropped: number;
    readonly gaps: number;
  };
  /** The whole state, results that were not taken excluded. */
  save(): Uint8Array;
}

/** Throws AppError `invalid-field` with the field of the body model that is wrong. */
export type CreateSessionMotion = (model: BodyModel, saved?: Uint8Array) => SessionMotion;
