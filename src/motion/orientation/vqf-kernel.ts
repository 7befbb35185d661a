/**
 * Owns the steps of VQF and the array that they keep their state in: integration of the gyroscope, rest, inclination, bias,
 * heading. Follows D. Laidig, T. Seel, Information Fusion 91 (2023) 187-204, doi:10.1016/j.inffus.2022.10.014, and gives the
 * numbers of its authors' implementation (github.com/dlaidig/vqf, MIT licence), which settles what the paper leaves open.
 * Numbers pass between the steps through the array, never as arguments, which the engine would put on the heap; the places
 * are constants of this file alone, since imported ones are looked up at every use.
 */

import { clearLowPass, stepLowPass } from '#motion/filters/butterworth.ts';
import type { VqfCoefficients } from '#motion/orientation/vqf-coefficients.ts';

/** Sensor to the frame that drifts as the gyroscope does. */
const Q_GYR = 0;
/** From there to the frame with z up. */
const Q_ACC = 4;
/** Gyroscope bias in rad/s. */
const BIAS = 8;
/** Its covariance in (0.01 deg/s)^2: xx, xy, xz, yy, yz, zz. */
const P = 11;
const REST_TIME = 17;
const IS_REST = 18;
/** Low-passed angular rate: the reference of rest. */
const REST_GYR = 19;
/** Newest angular rate that was not missing. */
const HELD_GYR = 22;
/** Readings without an angular rate since. */
const MISSING = 25;
/** Low-pass banks: 1 + 2 values a channel. */
const ACC_BANK = 26;
const REST_GYR_BANK = 33;
const REST_ACC_BANK = 40;
/** The rotation matrix and the horizontal part of the rotated bias. */
const MOTION_BANK = 47;
/** Sensor to the frame with z up. */
const Q_6D = 70;
export const VQF_STATE_LENGTH = 74;

/** Behind the state, places that live within one reading. Acceleration in the drifting frame, low-passed: */
const ACC_DRIFTING = 74;
/** Its direction in the frame with z up, before the correction. */
const ACC_EARTH = 77;
const REST_ACC = 80;
/** Row-major; behind it the horizontal part of the rotated bias. */
const MATRIX = 83;
const BIAS_EARTH = 92;
/** What a measurement says beyond the estimate, and the estimate before it. */
const INNOVATION = 94;
const BIAS_BEFORE = 97;
const PLACES = 100;

export function createVqfState(c: VqfCoefficients): Float64Array {
  const s = new Float64Array(PLACES);
  clearVqfState(s, c);
  return s;
}

/** Nothing is known yet. */
export function clearVqfState(s: Float64Array, c: VqfCoefficients): void {
  s.fill(0);
  s[Q_GYR] = 1;
  s[Q_ACC] = 1;
  s[Q_6D] = 1;
  s[P] = c.varianceStart;
  s[P + 3] = c.varianceStart;
  s[P + 5] = c.varianceStart;
}

/** A view of the orientation without heading, sensor to the frame with z up. */
export function orientationOf(s: Float64Array): Float64Array {
  return s.subarray(Q_6D, Q_6D + 4);
}

/** A view of the low-passed angular rate, in rad/s. */
export function turningOf(s: Float64Array): Float64Array {
  return s.subarray(REST_GYR, REST_GYR + 3);
}

/** A view of the bias in rad/s (3 values) and its covariance in (0.01 deg/s)^2: xx, xy, xz, yy, yz, zz. */
export function biasOf(s: Float64Array): Float64Array {
  return s.subarray(BIAS, P + 6);
}

/** The sensor may have been turned unseen: the inclination is found anew; the bias is still what it was. */
function forgetOrientation(s: Float64Array): void {
  clearLowPass(s, ACC_BANK, 3);
  clearLowPass(s, MOTION_BANK, 11);
  clearLowPass(s, REST_GYR_BANK, 3);
  clearLowPass(s, REST_ACC_BANK, 3);
}

/** False before the first reading of the accelerometer, and after a gap until the next. */
export function isInclined(s: Float64Array): boolean {
  return s[ACC_BANK] !== 0;
}

/**
 * One reading of the gyroscope, `input[at .. at + 3)` in rad/s. False where it is missing for too long: the orientation is
 * then not followed, and the other sensors of this reading have nothing to correct.
 */
export function updateGyr(s: Float64Array, c: VqfCoefficients, input: Float64Array, at: number): boolean {
  const sum = input[at]! + input[at + 1]! + input[at + 2]!;
  if (sum - sum === 0) {
    s[MISSING] = 0;
    s[HELD_GYR] = input[at]!;
    s[HELD_GYR + 1] = input[at + 1]!;
    s[HELD_GYR + 2] = input[at + 2]!;
  } else {
    const missing = s[MISSING]! + 1;
    s[MISSING] = missing;
    if (missing === c.gapReadings) forgetOrientation(s);
    if (missing > c.holdReadings) {
      s[REST_TIME] = 0;
      s[IS_REST] = 0;
      if (c.hasMotionBias || c.hasRestBias) growUncertainty(s, c);
      return false;
    }
  }
  if (c.hasRestBias || c.hasMagRejection) judgeRestByGyr(s, c);
  integrate(s, c);
  return true;
}

function judgeRestByGyr(s: Float64Array, c: VqfCoefficients): void {
  const x = s[HELD_GYR]!;
  const y = s[HELD_GYR + 1]!;
  const z = s[HELD_GYR + 2]!;
  s[REST_GYR] = x;
  s[REST_GYR + 1] = y;
  s[REST_GYR + 2] = z;
  stepLowPass(s, REST_GYR_BANK, 3, s, REST_GYR, c.lowPassRest, 0);
  const dx = x - s[REST_GYR];
  const dy = y - s[REST_GYR + 1]!;
  const dz = z - s[REST_GYR + 2]!;
  const most = Math.max(Math.abs(s[REST_GYR]), Math.abs(s[REST_GYR + 1]!), Math.abs(s[REST_GYR + 2]!));
  if (dx * dx + dy * dy + dz * dz >= c.restGyrSquared || most > c.biasClipRadS) {
    s[REST_TIME] = 0;
    s[IS_REST] = 0;
  }
}

function integrate(s: Float64Array, c: VqfCoefficients): void {
  const half = 0.5 * c.periodS;
  const hx = (s[HELD_GYR]! - s[BIAS]!) * half;
  const hy = (s[HELD_GYR + 1]! - s[BIAS + 1]!) * half;
  const hz = (s[HELD_GYR + 2]! - s[BIAS + 2]!) * half;
  const h2 = hx * hx + hy * hy + hz * hz;
  let cosine: number;
  let sinc: number;
  if (h2 < 0.01) {
    // Taylor: below 0.1 rad the next terms are under the last bit of a double, and it takes a third of the time.
    cosine = 1 - h2 * (1 / 2 - h2 * (1 / 24 - h2 * (1 / 720 - h2 * (1 / 40_320 - h2 / 3_628_800))));
    sinc = 1 - h2 * (1 / 6 - h2 * (1 / 120 - h2 * (1 / 5040 - h2 / 362_880)));
  } else {
    const h = Math.sqrt(h2);
    cosine = Math.cos(h);
    sinc = Math.sin(h) / h;
  }
  const x = sinc * hx;
  const y = sinc * hy;
  const z = sinc * hz;
  const qw = s[Q_GYR]!;
  const qx = s[Q_GYR + 1]!;
  const qy = s[Q_GYR + 2]!;
  const qz = s[Q_GYR + 3]!;
  const nw = qw * cosine - qx * x - qy * y - qz * z;
  const nx = qw * x + qx * cosine + qy * z - qz * y;
  const ny = qw * y - qx * z + qy * cosine + qz * x;
  const nz = qw * z + qx * y - qy * x + qz * cosine;
  const scale = 1 / Math.sqrt(nw * nw + nx * nx + ny * ny + nz * nz);
  s[Q_GYR] = nw * scale;
  s[Q_GYR + 1] = nx * scale;
  s[Q_GYR + 2] = ny * scale;
  s[Q_GYR + 3] = nz * scale;
}

/** One reading of the accelerometer after that of the gyroscope, `input[at .. at + 3)` in m/s2. */
export function updateAcc(s: Float64Array, c: VqfCoefficients, input: Float64Array, at: number): void {
  const x = input[at]!;
  const y = input[at + 1]!;
  const z = input[at + 2]!;
  const sum = x + y + z;
  // All zero is what a sensor gives that has no reading; no sensor that is not falling measures it.
  if (sum - sum !== 0 || (x === 0 && y === 0 && z === 0)) {
    writeQuat6D(s);
    return;
  }
  if (c.hasRestBias) judgeRestByAcc(s, c, input, at);
  const qw = s[Q_GYR]!;
  const qx = s[Q_GYR + 1]!;
  const qy = s[Q_GYR + 2]!;
  const qz = s[Q_GYR + 3]!;
  const tx = 2 * (qy * z - qz * y);
  const ty = 2 * (qz * x - qx * z);
  const tz = 2 * (qx * y - qy * x);
  s[ACC_DRIFTING] = x + qw * tx + qy * tz - qz * ty;
  s[ACC_DRIFTING + 1] = y + qw * ty + qz * tx - qx * tz;
  s[ACC_DRIFTING + 2] = z + qw * tz + qx * ty - qy * tx;
  stepLowPass(s, ACC_BANK, 3, s, ACC_DRIFTING, c.lowPassAcc, 0);
  correctInclination(s);
  writeQuat6D(s);
  if (c.hasMotionBias || c.hasRestBias) estimateBias(s, c);
}

function judgeRestByAcc(s: Float64Array, c: VqfCoefficients, input: Float64Array, at: number): void {
  const x = input[at]!;
  const y = input[at + 1]!;
  const z = input[at + 2]!;
  s[REST_ACC] = x;
  s[REST_ACC + 1] = y;
  s[REST_ACC + 2] = z;
  stepLowPass(s, REST_ACC_BANK, 3, s, REST_ACC, c.lowPassRest, 0);
  const dx = x - s[REST_ACC];
  const dy = y - s[REST_ACC + 1]!;
  const dz = z - s[REST_ACC + 2]!;
  if (dx * dx + dy * dy + dz * dz >= c.restAccSquared) {
    s[REST_TIME] = 0;
    s[IS_REST] = 0;
  } else {
    s[REST_TIME] = s[REST_TIME]! + c.periodS;
    if (s[REST_TIME] >= c.restMinTimeS) s[IS_REST] = 1;
  }
}

/** Turns Q_ACC by the shortest way so that the low-passed acceleration points up. */
function correctInclination(s: Float64Array): void {
  const vx = s[ACC_DRIFTING]!;
  const vy = s[ACC_DRIFTING + 1]!;
  const vz = s[ACC_DRIFTING + 2]!;
  const qw = s[Q_ACC]!;
  const qx = s[Q_ACC + 1]!;
  const qy = s[Q_ACC + 2]!;
  const qz = s[Q_ACC + 3]!;
  const tx = 2 * (qy * vz - qz * vy);
  const ty = 2 * (qz * vx - qx * vz);
  const tz = 2 * (qx * vy - qy * vx);
  let ax = vx + qw * tx + qy * tz - qz * ty;
  let ay = vy + qw * ty + qz * tx - qx * tz;
  let az = vz + qw * tz + qx * ty - qy * tx;
  const length = Math.sqrt(ax * ax + ay * ay + az * az);
  if (length >= Number.EPSILON) {
    const scale = 1 / length;
    ax *= scale;
    ay *= scale;
    az *= scale;
  }
  s[ACC_EARTH] = ax;
  s[ACC_EARTH + 1] = ay;
  s[ACC_EARTH + 2] = az;
  let cw = Math.sqrt(Math.max(0, (az + 1) / 2));
  let cx = 1;
  let cy = 0;
  // Upside down within 2e-6 rad there is no shortest way; about x is as good as any.
  if (cw > 1e-6) {
    cx = (0.5 * ay) / cw;
    cy = (-0.5 * ax) / cw;
  } else cw = 0;
  const nw = cw * qw - cx * qx - cy * qy;
  const nx = cw * qx + cx * qw + cy * qz;
  const ny = cw * qy - cx * qz + cy * qw;
  const nz = cw * qz + cx * qy - cy * qx;
  const scale = 1 / Math.sqrt(nw * nw + nx * nx + ny * ny + nz * nz);
  s[Q_ACC] = nw * scale;
  s[Q_ACC + 1] = nx * scale;
  s[Q_ACC + 2] = ny * scale;
  s[Q_ACC + 3] = nz * scale;
}

function writeQuat6D(s: Float64Array): void {
  const aw = s[Q_ACC]!;
  const ax = s[Q_ACC + 1]!;
  const ay = s[Q_ACC + 2]!;
  const az = s[Q_ACC + 3]!;
  const bw = s[Q_GYR]!;
  const bx = s[Q_GYR + 1]!;
  const by = s[Q_GYR + 2]!;
  const bz = s[Q_GYR + 3]!;
  s[Q_6D] = aw * bw - ax * bx - ay * by - az * bz;
  s[Q_6D + 1] = aw * bx + ax * bw + ay * bz - az * by;
  s[Q_6D + 2] = aw * by - ax * bz + ay * bw + az * bx;
  s[Q_6D + 3] = aw * bz + ax * by - ay * bx + az * bw;
}

function growUncertainty(s: Float64Array, c: VqfCoefficients): void {
  const most = c.varianceStart;
  const step = c.varianceStep;
  if (s[P]! < most) s[P] = s[P]! + step;
  if (s[P + 3]! < most) s[P + 3] = s[P + 3]! + step;
  if (s[P + 5]! < most) s[P + 5] = s[P + 5]! + step;
}

/** Kalman filter of the gyroscope bias: at rest the low-passed rate is it, while moving the inclination correction tells. */
function estimateBias(s: Float64Array, c: VqfCoefficients): void {
  writeMatrix(s);
  const m = MATRIX;
  const bx = s[BIAS]!;
  const by = s[BIAS + 1]!;
  const bz = s[BIAS + 2]!;
  s[BIAS_EARTH] = s[m]! * bx + s[m + 1]! * by + s[m + 2]! * bz;
  s[BIAS_EARTH + 1] = s[m + 3]! * bx + s[m + 4]! * by + s[m + 5]! * bz;
  // The bias behind the matrix goes through the same filter.
  stepLowPass(s, MOTION_BANK, 11, s, MATRIX, c.lowPassAcc, 0);
  growUncertainty(s, c);
  const isRest = s[IS_REST] === 1 && c.hasRestBias;
  if (isRest) {
    s.fill(0, m, m + 9);
    s[m] = 1;
    s[m + 4] = 1;
    s[m + 8] = 1;
    s[INNOVATION] = s[REST_GYR]! - bx;
    s[INNOVATION + 1] = s[REST_GYR + 1]! - by;
    s[INNOVATION + 2] = s[REST_GYR + 2]! - bz;
  } else if (c.hasMotionBias) {
    const rateHz = 1 / c.periodS;
    s[INNOVATION] = s[BIAS_EARTH] - s[ACC_EARTH + 1]! * rateHz - s[m]! * bx - s[m + 1]! * by - s[m + 2]! * bz;
    s[INNOVATION + 1] =
      s[BIAS_EARTH + 1]! + s[ACC_EARTH]! * rateHz - s[m + 3]! * bx - s[m + 4]! * by - s[m + 5]! * bz;
    s[INNOVATION + 2] = -s[m + 6]! * bx - s[m + 7]! * by - s[m + 8]! * bz;
  } else return;
  clipThree(s, INNOVATION, c);
  s[BIAS_BEFORE] = bx;
  s[BIAS_BEFORE + 1] = by;
  s[BIAS_BEFORE + 2] = bz;
  for (let axis = 0; axis < 3; axis++) measure(s, c, axis, isRest);
  clipThree(s, BIAS, c);
}

function writeMatrix(s: Float64Array): void {
  const w = s[Q_6D]!;
  const x = s[Q_6D + 1]!;
  const y = s[Q_6D + 2]!;
  const z = s[Q_6D + 3]!;
  s[MATRIX] = 1 - 2 * (y * y + z * z);
  s[MATRIX + 1] = 2 * (y * x - w * z);
  s[MATRIX + 2] = 2 * (w * y + z * x);
  s[MATRIX + 3] = 2 * (w * z + y * x);
  s[MATRIX + 4] = 1 - 2 * (x * x + z * z);
  s[MATRIX + 5] = 2 * (y * z - x * w);
  s[MATRIX + 6] = 2 * (z * x - w * y);
  s[MATRIX + 7] = 2 * (w * x + z * y);
  s[MATRIX + 8] = 1 - 2 * (x * x + y * y);
}

function clipThree(s: Float64Array, at: number, c: VqfCoefficients): void {
  const most = c.biasClipRadS;
  for (let i = at; i < at + 3; i++) {
    if (s[i]! > most) s[i] = most;
    else if (s[i]! < -most) s[i] = -most;
  }
}

/** One scalar measurement of the bias along a row of the matrix. */
function measure(s: Float64Array, c: VqfCoefficients, axis: number, isRest: boolean): void {
  const hx = s[MATRIX + 3 * axis]!;
  const hy = s[MATRIX + 3 * axis + 1]!;
  const hz = s[MATRIX + 3 * axis + 2]!;
  const ux = s[P]! * hx + s[P + 1]! * hy + s[P + 2]! * hz;
  const uy = s[P + 1]! * hx + s[P + 3]! * hy + s[P + 4]! * hz;
  const uz = s[P + 2]! * hx + s[P + 4]! * hy + s[P + 5]! * hz;
  const noise = isRest ? c.noiseRest : axis === 2 ? c.noiseVertical : c.noiseMotion;
  const gain = 1 / (hx * ux + hy * uy + hz * uz + noise);
  const kx = ux * gain;
  const ky = uy * gain;
  const kz = uz * gain;
  // The innovations are of the estimate before the first of the three; what they have changed since is taken off.
  const bx = s[BIAS]!;
  const by = s[BIAS + 1]!;
  const bz = s[BIAS + 2]!;
  const innovation =
    s[INNOVATION + axis]! -
    hx * (bx - s[BIAS_BEFORE]!) -
    hy * (by - s[BIAS_BEFORE + 1]!) -
    hz * (bz - s[BIAS_BEFORE + 2]!);
  s[BIAS] = bx + kx * innovation;
  s[BIAS + 1] = by + ky * innovation;
  s[BIAS + 2] = bz + kz * innovation;
  s[P] = s[P]! - kx * ux;
  s[P + 1] = s[P + 1]! - kx * uy;
  s[P + 2] = s[P + 2]! - kx * uz;
  s[P + 3] = s[P + 3]! - ky * uy;
  s[P + 4] = s[P + 4]! - ky * uz;
  s[P + 5] = s[P + 5]! - kz * uz;
}

/** Bias in rad/s, its standard deviation (upper bound, rad/s) and 1 at rest, behind one another. */
export function writeBias(s: Float64Array, c: VqfCoefficients, out: Float64Array, at: number): void {
  out[at] = s[BIAS]!;
  out[at + 1] = s[BIAS + 1]!;
  out[at + 2] = s[BIAS + 2]!;
  // The largest absolute row sum bounds the largest eigenvalue (Gershgorin).
  const xy = Math.abs(s[P + 1]!);
  const xz = Math.abs(s[P + 2]!);
  const yz = Math.abs(s[P + 4]!);
  const sum = Math.max(s[P]! + xy + xz, s[P + 3]! + xy + yz, s[P + 5]! + xz + yz);
  out[at + 3] = Math.sqrt(Math.min(sum, c.varianceStart)) * (Math.PI / 18_000);
  out[at + 4] = s[IS_REST]!;
}
