/**
 * Owns what a segment's lower neighbour says of its front and back, when only the neighbour's is known. The foot turns with the shank;
 * and the thigh leads the shank, which swings from it: while the thigh turns forward, the shank's turning forward grows (the double
 * pendulum of Mochon and McMahon 1980, doi:10.1016/0021-9290(80)90007-X). Both hold in slow and limping gait too, where the
 * swing of a leg is no faster than its stance. Sums only, nothing allocated per reading.
 */

import { kindOf } from '#motion/calibration/posture.ts';
import type { Segment } from '#motion/body-model.ts';
import { rotateInverse, type Values } from '#motion/quaternion.ts';

/** Products (9, upper by lower), energies (2), the lower one's last angular velocity (3), whether there is one. */
const PRODUCTS = 0;
const UPPER_ENERGY = 9;
const LOWER_ENERGY = 10;
const LAST = 11;
const HAS_LAST = 14;
export const SENSE_STATE = 15;

/** Turning slower than this says nothing. */
const MOVING_RAD_S = 0.5;

/** Which segment tells another one's sense; null when none does. */
export function tellingNeighbour(segment: Segment): Segment | null {
  const kind = kindOf(segment);
  if (kind === 'thigh') return segment.replace('thigh', 'shank') as Segment;
  return kind === 'shank' ? (segment.replace('shank', 'foot') as Segment) : null;
}

/** With each reading of the lower sensor: the latest angular velocities of both, three values at their places. */
export function observeSense(
  state: Values,
  readings: { readonly upper: Values; readonly lower: Values; readonly isLeading: boolean },
): void {
  const { upper, lower, isLeading } = readings;
  let upperSquare = 0;
  let lowerSquare = 0;
  for (let i = 0; i < 3; i++) {
    SIGNAL[i] = isLeading ? lower[i]! - state[LAST + i]! : lower[i]!;
    upperSquare += upper[i]! * upper[i]!;
    lowerSquare += lower[i]! * lower[i]!;
  }
  const isUsable =
    (state[HAS_LAST] === 1 || !isLeading) && upperSquare + lowerSquare > MOVING_RAD_S * MOVING_RAD_S;
  state[HAS_LAST] = 1;
  for (let i = 0; i < 3; i++) state[LAST + i] = lower[i]!;
  if (!isUsable) return;
  for (let i = 0; i < 3; i++) {
    state[UPPER_ENERGY] = state[UPPER_ENERGY]! + upper[i]! * upper[i]!;
    state[LOWER_ENERGY] = state[LOWER_ENERGY]! + SIGNAL[i]! * SIGNAL[i]!;
    for (let k = 0; k < 3; k++) {
      const at = PRODUCTS + 3 * i + k;
      state[at] = state[at]! + upper[i]! * SIGNAL[k]!;
    }
  }
}
const SIGNAL = new Float64Array(3);

const LEFT = Float64Array.of(0, 1, 0);
const LOWER_LEFT = new Float64Array(3);

/**
 * Into `out`, in the upper sensor's frame: the direction in which its axis to the left has to point, as long as the correlation is
 * high (0 to 1). `lowerAlignment` is sensor to segment of the lower one.
 */
export function writeSense(state: Values, lowerAlignment: Values, out: Values): void {
  rotateInverse(lowerAlignment, LEFT, LOWER_LEFT);
  const scale = 1 / Math.sqrt(Math.max(1e-12, state[UPPER_ENERGY]! * state[LOWER_ENERGY]!));
  for (let i = 0; i < 3; i++) {
    out[i] = 0;
    for (let k = 0; k < 3; k++) out[i] = out[i]! + state[PRODUCTS + 3 * i + k]! * LOWER_LEFT[k]! * scale;
  }
}
