/**
 * Owns what the filters for comparison share: their inputs, the orientation that accelerometer and magnetometer alone give
 * at the start, what counts as missing, and the state. Inside, x of the earth is magnetic north; a row has east, north, up.
 */

import type { Algorithm, AlgorithmDefinition } from '#motion/algorithm.ts';
import { fromMatrix, fromTwoVectors, normalise } from '#motion/quaternion.ts';

/** Without a magnetometer its columns are NaN, and the heading drifts. */
export const COMPARISON_INPUTS = [
  'acc_x (m/s2)',
  'acc_y (m/s2)',
  'acc_z (m/s2)',
  'gyr_x (rad/s)',
  'gyr_y (rad/s)',
  'gyr_z (rad/s)',
  'mag_x (uT)',
  'mag_y (uT)',
  'mag_z (uT)',
];
export const COMPARISON_OUTPUTS = ['q_w (1)', 'q_x (1)', 'q_y (1)', 'q_z (1)'];

export interface ComparisonState {
  /** Sensor to north, west, up. */
  readonly q: Float64Array;
  /** What the filter keeps beside the orientation. */
  readonly own: Float64Array;
  /** Of this reading: directions of length 1 where there are any, and the angular rate. */
  readonly acc: Float64Array;
  readonly mag: Float64Array;
  readonly gyr: Float64Array;
  hasAcc: boolean;
  hasMag: boolean;
  /** Places to compute in. */
  readonly gradient: Float64Array;
  readonly error: Float64Array;
}

const UP = Float64Array.of(0, 0, 1);

/** `step` takes one reading whose parts are in the state; `ownLength` values are kept for it. */
export function createComparisonFilter(
  definition: AlgorithmDefinition,
  ownLength: number,
  step: (state: ComparisonState) => void,
): Algorithm {
  const state: ComparisonState = {
    q: new Float64Array(4),
    own: new Float64Array(ownLength),
    acc: new Float64Array(3),
    mag: new Float64Array(3),
    gyr: new Float64Array(3),
    hasAcc: false,
    hasMag: false,
    gradient: new Float64Array(4),
    error: new Float64Array(3),
  };
  const { q, own, acc, mag, gyr } = state;
  return {
    definition,
    update(input, at, out) {
      state.hasAcc = directionOf(input, at, acc);
      state.hasMag = directionOf(input, at + 6, mag);
      const sum = input[at + 3]! + input[at + 4]! + input[at + 5]!;
      const hasGyr = sum - sum === 0;
      for (let axis = 0; axis < 3; axis++) gyr[axis] = hasGyr ? input[at + 3 + axis]! : 0;
      // All zero until the first reading of the accelerometer.
      const isStarted = q[0] !== 0 || q[1] !== 0 || q[2] !== 0 || q[3] !== 0;
      if (!isStarted && state.hasAcc) start(state);
      if (isStarted) {
        step(state);
        normalise(q, q);
      }
      // A quarter turn about the vertical, from north, west to east, north.
      const isKnown = isStarted || state.hasAcc;
      out[0] = isKnown ? (q[0]! - q[3]!) * Math.SQRT1_2 : Number.NaN;
      out[1] = isKnown ? (q[1]! - q[2]!) * Math.SQRT1_2 : Number.NaN;
      out[2] = isKnown ? (q[2]! + q[1]!) * Math.SQRT1_2 : Number.NaN;
      out[3] = isKnown ? (q[3]! + q[0]!) * Math.SQRT1_2 : Number.NaN;
      return 1;
    },
    reset() {
      q.fill(0);
      own.fill(0);
    },
    stateLength: 4 + ownLength,
    save(into) {
      into.set(q);
      into.set(own, 4);
    },
    load(from) {
      q.set(from.subarray(0, 4));
      own.set(from.subarray(4, 4 + ownLength));
    },
  };
}

/** False where the reading is missing or has no direction. */
function directionOf(input: Float64Array, at: number, out: Float64Array): boolean {
  const x = input[at]!;
  const y = input[at + 1]!;
  const z = input[at + 2]!;
  const length = Math.sqrt(x * x + y * y + z * z);
  if (!(length > 0 && length < Number.POSITIVE_INFINITY)) return false;
  out[0] = x / length;
  out[1] = y / length;
  out[2] = z / length;
  return true;
}

/** From gravity and the field (TRIAD), or from gravity alone with any heading. Once: it may allocate. */
function start({ q, acc, mag, hasMag }: ComparisonState): void {
  const west = new Float64Array(3);
  if (hasMag) cross(acc, mag, west);
  if (!directionOf(west, 0, west)) {
    fromTwoVectors(acc, UP, q);
    return;
  }
  const north = new Float64Array(3);
  cross(west, acc, north);
  fromMatrix(Float64Array.of(...north, ...west, ...acc), q);
}

function cross(a: Float64Array, b: Float64Array, out: Float64Array): void {
  out[0] = a[1]! * b[2]! - a[2]! * b[1]!;
  out[1] = a[2]! * b[0]! - a[0]! * b[2]!;
  out[2] = a[0]! * b[1]! - a[1]! * b[0]!;
}
