/**
 * Owns the orientation of a whole recording for review: VQF run forwards and backwards for bias, rest and disturbances, then
 * integration with the bias that both runs agree on, and the corrections filtered both ways, so that nothing lags and the
 * beginning is as good as the rest. Not causal. After D. Laidig, T. Seel, Information Fusion 91 (2023) 187-204,
 * doi:10.1016/j.inffus.2022.10.014, and the offline variant of their implementation (github.com/dlaidig/vqf, MIT licence).
 */

import { assert } from '#base/assert.ts';
import { parametersOf } from '#motion/algorithm.ts';
import { cutoffOfTimeConstant, lowPassBothWays } from '#motion/filters/butterworth.ts';
import {
  vqfCoefficients,
  type VqfCoefficients,
  type VqfParameters,
} from '#motion/orientation/vqf-coefficients.ts';
import { createHeadingState, updateHeading, writeHeading } from '#motion/orientation/vqf-heading.ts';
import {
  biasOf,
  createVqfState,
  isInclined,
  orientationOf,
  turningOf,
  updateAcc,
  updateGyr,
  writeBias,
} from '#motion/orientation/vqf-kernel.ts';
import { smoothHeading } from '#motion/orientation/vqf-offline-heading.ts';
import { vqfParameterSpecs } from '#motion/orientation/vqf-parameters.ts';
import {
  fromRotationVector,
  fromTwoVectors,
  multiply,
  normalise,
  rotate,
  setIdentity,
} from '#motion/quaternion.ts';

export interface OfflineReadings {
  readonly rateHz: number;
  /** Row by row, three values a reading; NaN where missing. */
  readonly accMS2: Float64Array;
  readonly gyrRadS: Float64Array;
  /** In any unit; null without a magnetometer. */
  readonly mag: Float64Array | null;
}

export interface OfflineOrientation {
  /** [w, x, y, z] a reading, sensor to earth with z up: east, north, up with a magnetometer. NaN in gaps. */
  readonly quaternions: Float64Array;
  /** Three values a reading, rad/s. */
  readonly biasRadS: Float64Array;
  /** Upper bound of the standard deviation, rad/s. */
  readonly biasSigmaRadS: Float64Array;
  readonly isRest: Uint8Array;
  /** All 0 without a magnetometer. */
  readonly isMagDisturbed: Uint8Array;
}

const UP = Float64Array.of(0, 0, 1);

export function vqfOffline(
  readings: OfflineReadings,
  given: Partial<VqfParameters> = {},
): OfflineOrientation {
  const count = readings.accMS2.length / 3;
  assert(
    readings.gyrRadS.length === 3 * count && (readings.mag ?? readings.accMS2).length === 3 * count,
    'every sensor has three values for each reading',
  );
  const parameters = parametersOf(vqfParameterSpecs, given);
  const c = vqfCoefficients(readings.rateHz, parameters);
  const learned = learnBothWays(readings, c);
  const quaternions = new Float64Array(4 * count).fill(Number.NaN);
  for (const [from, to] of piecesWithoutGaps(readings, c)) {
    const piece = { readings, from, to, holdReadings: c.holdReadings, biasRadS: learned.biasRadS };
    const accDrifting = integrate(piece, quaternions);
    if (accDrifting === null) {
      quaternions.fill(Number.NaN, 4 * from, 4 * to);
      continue;
    }
    lowPassBothWays(accDrifting, 3, {
      cutoffHz: cutoffOfTimeConstant(parameters.tauAcc),
      rateHz: readings.rateHz,
      settleS: parameters.tauAcc,
    });
    correctInclination(accDrifting, quaternions.subarray(4 * from, 4 * to));
    if (readings.mag !== null)
      smoothHeading(c, {
        quaternions: quaternions.subarray(4 * from, 4 * to),
        mag: readings.mag.subarray(3 * from, 3 * to),
        isDisturbed: learned.isMagDisturbed.subarray(from, to),
      });
  }
  return { quaternions, ...learned };
}

type Learned = Omit<OfflineOrientation, 'quaternions'>;

/** Bias weighted by what each direction knows of it; rest when either says so, disturbed when both do. */
function learnBothWays(readings: OfflineReadings, c: VqfCoefficients): Learned {
  const count = readings.accMS2.length / 3;
  const learned = {
    biasRadS: new Float64Array(3 * count),
    biasSigmaRadS: new Float64Array(count),
    isRest: new Uint8Array(count),
    isMagDisturbed: new Uint8Array(count),
  };
  const forwards = new Float64Array(9 * count);
  runOneWay(readings, c, 1, (i, bias, row) => {
    forwards.set(bias, 9 * i);
    learned.isRest[i] = row[8]!;
    learned.isMagDisturbed[i] = row[10]!;
  });
  const combined = new Float64Array(10);
  runOneWay(readings, c, -1, (i, bias, row) => {
    learned.isRest[i] = Math.max(learned.isRest[i]!, row[8]!);
    learned.isMagDisturbed[i] = Math.min(learned.isMagDisturbed[i]!, row[10]!);
    combine(forwards.subarray(9 * i, 9 * i + 9), bias, combined);
    learned.biasRadS.set(combined.subarray(0, 3), 3 * i);
    const variance = Math.min(combined[9]!, c.varianceStart);
    learned.biasSigmaRadS[i] = Math.sqrt(variance) * (Math.PI / 18_000);
  });
  return learned;
}

/** Calls `seen` with the bias and its covariance (biasOf) and the row that `vqf9` gives, after each reading. */
function runOneWay(
  readings: OfflineReadings,
  c: VqfCoefficients,
  direction: 1 | -1,
  seen: (i: number, bias: Float64Array, row: Float64Array) => void,
): void {
  const { accMS2, gyrRadS, mag } = readings;
  const count = accMS2.length / 3;
  const s = createVqfState(c);
  const h = createHeadingState(c);
  const q = orientationOf(s);
  const turning = turningOf(s);
  const bias = biasOf(s);
  const gyr = new Float64Array(3);
  const row = new Float64Array(11);
  for (let k = 0; k < count; k++) {
    const i = direction === 1 ? k : count - 1 - k;
    for (let axis = 0; axis < 3; axis++) gyr[axis] = direction * gyrRadS[3 * i + axis]!;
    const isFollowed = updateGyr(s, c, gyr, 0);
    if (isFollowed) updateAcc(s, c, accMS2, 3 * i);
    if (mag !== null) {
      if (isFollowed && isInclined(s)) updateHeading(h, c, q, turning, mag, 3 * i);
      writeHeading(h, q, row, 0, 9);
    }
    writeBias(s, c, row, 4);
    seen(i, bias, row);
  }
}

/**
 * Two estimates with covariances (as biasOf gives them), the second of the sign-reversed bias, weighted by the inverses of
 * these: `out` gets the bias, its covariance, and the largest absolute row sum of that.
 */
function combine(forwards: Float64Array, backwards: Float64Array, out: Float64Array): void {
  const a = inverseOf(forwards, 3);
  const b = inverseOf(backwards, 3);
  const sum = Float64Array.from(a, (value, i) => value + b[i]!);
  const covariance = inverseOf(sum, 0);
  const weighted = [0, 1, 2].map(
    (row) => times(a, forwards, row) - times(b, backwards, row),
  ) as unknown as Float64Array;
  for (let row = 0; row < 3; row++) out[row] = times(covariance, weighted, row);
  out.set(covariance, 3);
  const [xx, xy, xz, yy, yz, zz] = covariance.map(Math.abs) as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  out[9] = Math.max(xx + xy + xz, xy + yy + yz, xz + yz + zz);
}

/** Places of the six values of a symmetric matrix in its rows. */
const ROWS = [
  [0, 1, 2],
  [1, 3, 4],
  [2, 4, 5],
] as const;

function times(m: Float64Array, v: Float64Array, row: number): number {
  const [x, y, z] = ROWS[row]!;
  return m[x]! * v[0]! + m[y]! * v[1]! + m[z]! * v[2]!;
}

/** Of the symmetric positive definite matrix whose six values begin at `at`. */
function inverseOf(values: Float64Array, at: number): Float64Array {
  const [xx, xy, xz, yy, yz, zz] = values.subarray(at, at + 6) as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const a = yy * zz - yz * yz;
  const b = xz * yz - xy * zz;
  const c = xy * yz - xz * yy;
  const scale = 1 / (xx * a + xy * b + xz * c);
  return Float64Array.of(
    a * scale,
    b * scale,
    c * scale,
    (xx * zz - xz * xz) * scale,
    (xy * xz - xx * yz) * scale,
    (xx * yy - xy * xy) * scale,
  );
}

/** [from, to) of the readings between which the gyroscope never misses for as long as a gap. */
function piecesWithoutGaps({ gyrRadS }: OfflineReadings, c: VqfCoefficients): [number, number][] {
  const pieces: [number, number][] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < gyrRadS.length / 3; i++) {
    if (!isFiniteAt(gyrRadS, i)) continue;
    if (i - last > c.gapReadings) pieces.push([i, i + 1]);
    else pieces.at(-1)![1] = i + 1;
    last = i;
  }
  return pieces;
}

function isFiniteAt(values: Float64Array, row: number): boolean {
  const sum = values[3 * row]! + values[3 * row + 1]! + values[3 * row + 2]!;
  return sum - sum === 0;
}

interface Piece {
  readonly readings: OfflineReadings;
  readonly from: number;
  readonly to: number;
  readonly holdReadings: number;
  readonly biasRadS: Float64Array;
}

/**
 * Follows the gyroscope from the identity into `quaternions` and gives the acceleration in the frame that this drifts with,
 * a missing one as the one before. Null when there is no acceleration at all.
 */
function integrate(piece: Piece, quaternions: Float64Array): Float64Array | null {
  const { from, to, biasRadS } = piece;
  const { accMS2, gyrRadS, rateHz } = piece.readings;
  const accDrifting = new Float64Array(3 * (to - from));
  const q = Float64Array.of(1, 0, 0, 0);
  const step = Float64Array.of(1, 0, 0, 0);
  const turn = new Float64Array(3);
  const acc = new Float64Array(3);
  let firstAcc = -1;
  let missing = 0;
  for (let i = from; i < to; i++) {
    // A reading lost between others: the turn goes on as it was, for as long as it does live.
    if (!isFiniteAt(gyrRadS, i)) {
      if (++missing > piece.holdReadings) setIdentity(step);
    } else {
      missing = 0;
      for (let axis = 0; axis < 3; axis++)
        turn[axis] = (gyrRadS[3 * i + axis]! - biasRadS[3 * i + axis]!) / rateHz;
      fromRotationVector(turn, step);
    }
    multiply(q, step, q);
    normalise(q, q);
    quaternions.set(q, 4 * i);
    if (isFiniteAt(accMS2, i)) {
      acc.set(accMS2.subarray(3 * i, 3 * i + 3));
      rotate(q, acc, acc);
      if (firstAcc < 0) firstAcc = i - from;
    }
    accDrifting.set(acc, 3 * (i - from));
  }
  if (firstAcc < 0) return null;
  const first = accDrifting.slice(3 * firstAcc, 3 * firstAcc + 3);
  for (let i = 0; i < firstAcc; i++) accDrifting.set(first, 3 * i);
  return accDrifting;
}

/** Turns every orientation so that the filtered acceleration points up, each by the shortest way from the one before. */
function correctInclination(accDrifting: Float64Array, quaternions: Float64Array): void {
  const correction = new Float64Array(4);
  const step = new Float64Array(4);
  const acc = new Float64Array(3);
  const q = new Float64Array(4);
  setIdentity(correction);
  for (let i = 0; i < quaternions.length / 4; i++) {
    acc.set(accDrifting.subarray(3 * i, 3 * i + 3));
    rotate(correction, acc, acc);
    fromTwoVectors(acc, UP, step);
    multiply(step, correction, correction);
    normalise(correction, correction);
    q.set(quaternions.subarray(4 * i, 4 * i + 4));
    multiply(correction, q, q);
    quaternions.set(q, 4 * i);
  }
}
