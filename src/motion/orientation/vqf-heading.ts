/**
 * Owns the heading of VQF: the angle about the vertical that brings y to magnetic north, corrected slowly by the
 * magnetometer, and whether the magnetic field can be believed. D. Laidig, T. Seel, Information Fusion 91 (2023) 187-204,
 * doi:10.1016/j.inffus.2022.10.014; constants as in its authors' implementation (github.com/dlaidig/vqf, MIT licence).
 */

import { clearLowPass, stepLowPass } from '#motion/filters/butterworth.ts';
import type { VqfCoefficients } from '#motion/orientation/vqf-coefficients.ts';

/** About z, in rad: from the frame with z up to that with y north too. */
const DELTA = 0;
/** Least gain while the heading converges: 1, 1/2, 1/3, ...; 0 afterwards. */
const K_INIT = 1;
/** The field that is believed, and one that might become it: norm in the magnetometer's unit, dip in rad. */
const REF_NORM = 2;
const REF_DIP = 3;
const UNDISTURBED_TIME = 4;
const REJECT_TIME = 5;
const CANDIDATE_NORM = 6;
const CANDIDATE_DIP = 7;
const CANDIDATE_TIME = 8;
const IS_DISTURBED = 9;
/** 1 + 2 values a channel. */
const BANK = 10;
export const HEADING_STATE_LENGTH = 15;

/** Behind the state, places that live within one reading. */
const FIELD = 15;
const NORM_DIP = 18;
const PLACES = 20;

export function createHeadingState(c: VqfCoefficients): Float64Array {
  const h = new Float64Array(PLACES);
  clearHeadingState(h, c);
  return h;
}

/** Nothing is known yet. */
export function clearHeadingState(h: Float64Array, c: VqfCoefficients): void {
  h.fill(0);
  h[K_INIT] = 1;
  h[REJECT_TIME] = c.magMaxRejectionTimeS;
  h[CANDIDATE_NORM] = -1;
  h[IS_DISTURBED] = 1;
}

/** The sensor may have been turned unseen: the heading converges as at the start; the reference field is still known. */
export function forgetHeading(h: Float64Array): void {
  clearLowPass(h, BANK, 2);
  h[K_INIT] = 1;
  h[UNDISTURBED_TIME] = 0;
}

/**
 * One reading of the magnetometer, `input[at .. at + 3)` in any unit; one that is missing or all zero changes nothing.
 * `q` is the orientation without heading and `turning` the low-passed angular rate of the same reading.
 */
export function updateHeading(
  h: Float64Array,
  c: VqfCoefficients,
  q: Float64Array,
  turning: Float64Array,
  input: Float64Array,
  at: number,
): void {
  const x = input[at]!;
  const y = input[at + 1]!;
  const z = input[at + 2]!;
  const sum = x + y + z;
  if (sum - sum !== 0 || (x === 0 && y === 0 && z === 0)) return;
  const qw = q[0]!;
  const qx = q[1]!;
  const qy = q[2]!;
  const qz = q[3]!;
  const tx = 2 * (qy * z - qz * y);
  const ty = 2 * (qz * x - qx * z);
  const tz = 2 * (qx * y - qy * x);
  h[FIELD] = x + qw * tx + qy * tz - qz * ty;
  h[FIELD + 1] = y + qw * ty + qz * tx - qx * tz;
  h[FIELD + 2] = z + qw * tz + qx * ty - qy * tx;
  if (c.hasMagRejection) {
    judgeField(h, c);
    judgeCandidate(h, c, turning);
  }
  correctHeading(h, c);
}

/** Is the field the one that is believed? Its norm and dip do not change with the way the sensor lies. */
function judgeField(h: Float64Array, c: VqfCoefficients): void {
  const x = h[FIELD]!;
  const y = h[FIELD + 1]!;
  const z = h[FIELD + 2]!;
  const length = Math.sqrt(x * x + y * y + z * z);
  h[NORM_DIP] = length;
  h[NORM_DIP + 1] = -Math.asin(z / length);
  stepLowPass(h, BANK, 2, h, NORM_DIP, c.lowPassMag, 0);
  const overNorm = h[NORM_DIP] - h[REF_NORM]!;
  const overDip = h[NORM_DIP + 1]! - h[REF_DIP]!;
  if (Math.abs(overNorm) < c.magNormShare * h[REF_NORM]! && Math.abs(overDip) < c.magDipRangeRad) {
    h[UNDISTURBED_TIME] = h[UNDISTURBED_TIME]! + c.periodS;
    if (h[UNDISTURBED_TIME] >= c.magMinUndisturbedTimeS) {
      h[IS_DISTURBED] = 0;
      h[REF_NORM] = h[REF_NORM]! + c.kMagRef * overNorm;
      h[REF_DIP] = h[REF_DIP]! + c.kMagRef * overDip;
    }
  } else {
    h[UNDISTURBED_TIME] = 0;
    h[IS_DISTURBED] = 1;
  }
}

/** Another field that stays the same while the sensor moves about in it becomes the one that is believed. */
function judgeCandidate(h: Float64Array, c: VqfCoefficients, turning: Float64Array): void {
  const overNorm = h[NORM_DIP]! - h[CANDIDATE_NORM]!;
  const overDip = h[NORM_DIP + 1]! - h[CANDIDATE_DIP]!;
  if (!(Math.abs(overNorm) < c.magNormShare * h[CANDIDATE_NORM]! && Math.abs(overDip) < c.magDipRangeRad)) {
    h[CANDIDATE_TIME] = 0;
    h[CANDIDATE_NORM] = h[NORM_DIP]!;
    h[CANDIDATE_DIP] = h[NORM_DIP + 1]!;
    return;
  }
  const x = turning[0]!;
  const y = turning[1]!;
  const z = turning[2]!;
  if (x * x + y * y + z * z >= c.magNewMinGyrSquared) h[CANDIDATE_TIME] = h[CANDIDATE_TIME]! + c.periodS;
  h[CANDIDATE_NORM] = h[CANDIDATE_NORM]! + c.kMagRef * overNorm;
  h[CANDIDATE_DIP] = h[CANDIDATE_DIP]! + c.kMagRef * overDip;
  const neededS = h[REF_NORM] === 0 ? Math.min(c.magNewFirstTimeS, c.magNewTimeS) : c.magNewTimeS;
  if (h[IS_DISTURBED] === 1 && h[CANDIDATE_TIME]! >= neededS) {
    h[REF_NORM] = h[CANDIDATE_NORM]!;
    h[REF_DIP] = h[CANDIDATE_DIP]!;
    h[IS_DISTURBED] = 0;
    h[UNDISTURBED_TIME] = c.magMinUndisturbedTimeS;
  }
}

function correctHeading(h: Float64Array, c: VqfCoefficients): void {
  const delta = h[DELTA]!;
  let off = Math.atan2(h[FIELD]!, h[FIELD + 1]!) - delta;
  if (off > Math.PI) off -= 2 * Math.PI;
  else if (off < -Math.PI) off += 2 * Math.PI;
  let gain = c.kMag;
  if (c.hasMagRejection) {
    if (h[IS_DISTURBED] === 0) {
      h[REJECT_TIME] = Math.max(h[REJECT_TIME]! - c.magRejectionFactor * c.periodS, 0);
    } else if (h[REJECT_TIME]! <= c.magMaxRejectionTimeS) {
      h[REJECT_TIME] = h[REJECT_TIME]! + c.periodS;
      gain = 0;
    } else gain /= c.magRejectionFactor;
  }
  const least = h[K_INIT]!;
  if (least !== 0) {
    if (gain < least) gain = least;
    const next = least / (least + 1);
    h[K_INIT] = next * c.tauMagS < c.periodS ? 0 : next;
  }
  const turned = delta + gain * off;
  h[DELTA] = turned > Math.PI ? turned - 2 * Math.PI : turned < -Math.PI ? turned + 2 * Math.PI : turned;
}

/** The orientation with heading at `out[at]`, then delta in rad and 1 while the field is disturbed at `out[more]`. */
export function writeHeading(
  h: Float64Array,
  q: Float64Array,
  out: Float64Array,
  at: number,
  more: number,
): void {
  const half = h[DELTA]! / 2;
  const c = Math.cos(half);
  const s = Math.sin(half);
  out[at] = c * q[0]! - s * q[3]!;
  out[at + 1] = c * q[1]! - s * q[2]!;
  out[at + 2] = c * q[2]! + s * q[1]!;
  out[at + 3] = c * q[3]! + s * q[0]!;
  out[more] = h[DELTA]!;
  out[more + 1] = h[IS_DISTURBED]!;
}
