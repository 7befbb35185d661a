/**
 * Owns what turns the readings of one placement into contacts and strides: an algorithm that counts readings, the clock
 * that gives its indices times, and what a missing reading and a gap mean to it.
 */

import type { Contact, Turn } from '#motion/results.ts';
import type { Algorithm } from '#motion/algorithm.ts';
import { createIndexClock } from '#motion/session/index-clock.ts';
import { READING_VALUES } from '#motion/session/reading-queue.ts';
import { LONGEST_STRIDE_S, type FootStride } from '#motion/session/stride-assembly.ts';
import { partOf, type StatePart } from '#motion/session/state.ts';

/** A longer hole ends what was recognised so far: nothing is known of the steps in it. */
export const RESET_GAP_US = 1_000_000;

export interface GaitSink {
  contact(contact: Contact): void;
  stride(stride: FootStride): void;
  turn(turn: Turn): void;
}

/** Reads one row of the algorithm's output; `timeUsOf` turns its seconds into device time. */
export type RowReader = (
  row: Float64Array,
  at: number,
  context: { timeUsOf(seconds: number): number; readonly sink: GaitSink },
) => void;

export interface GaitSource {
  readonly parts: readonly StatePart[];
  readonly latencyS: number;
  /** The next reading, with how many periods are missing before it. */
  take(timeUs: number, values: Float64Array, at: number): void;
  /** Readings that never came, spread over the hole. */
  skip(count: number, fromUs: number, toUs: number): void;
  reset(): void;
}

export function createGaitSource(
  algorithm: Algorithm,
  { rateHz, sink, readRow }: { rateHz: number; sink: GaitSink; readRow: RowReader },
): GaitSource {
  const { outputs, maxRows, latencyS, inputs } = algorithm.definition;
  const out = new Float64Array(maxRows * outputs.length);
  const missing = new Float64Array(READING_VALUES).fill(Number.NaN);
  const clock = createIndexClock(rateHz, latencyS + LONGEST_STRIDE_S);
  const context = { timeUsOf: (seconds: number) => clock.timeUsOf(seconds * rateHz), sink };
  if (inputs.length > READING_VALUES) throw new RangeError('a gait algorithm takes acc, gyr and mag');

  const update = (timeUs: number, values: Float64Array, at: number): void => {
    clock.add(timeUs);
    const rows = algorithm.update(values, at, out);
    for (let i = 0; i < rows; i++) readRow(out, i * outputs.length, context);
  };
  return {
    parts: [partOf(algorithm), clock],
    latencyS,
    take: update,
    skip(count, fromUs, toUs) {
      for (let i = 1; i <= count; i++) update(fromUs + ((toUs - fromUs) * i) / (count + 1), missing, 0);
    },
    reset() {
      algorithm.reset();
      clock.reset();
    },
  };
}
