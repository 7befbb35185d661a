/**
 * Owns the sums over what one worn sensor measured from which its alignment follows (from-movement.ts): gravity at rest and while
 * walking, moments of the angular velocity, how acceleration goes with upward velocity, where a foot goes between two moments on the
 * ground. One array, nothing allocated per reading.
 */

import { rotate, rotateInverse, type Values } from '#motion/quaternion.ts';

const GRAVITY_M_S2 = 9.81;

/** Standing sways by less than this (Winter 2009: quiet stance below 2 degrees/s; the rest is bias and noise of the gyroscope). */
const REST_GYR_RAD_S = 0.12;
const REST_ACC_M_S2 = 0.7;
const REST_LEAST_S = 1;
/** A rest counts at most this much, so that a long wait does not outvote the other one. */
const REST_MOST_S = 5;
/** A rest is standing when walking begins within this after it, or ended within this before it. */
const REST_TO_WALK_S = 4;
/** ... and when the segment stands as it walks in the mean, which rules sitting and lying out. */
const STANDING_COS = Math.cos((35 * Math.PI) / 180);
/** Turning slower than this says nothing of the axis that a leg turns about. */
const MOVING_GYR_RAD_S = 0.5;
/** A foot stays on the ground that long at least, below this turning (Skog et al. 2010, doi:10.1109/TBME.2010.2060723). */
const FLAT_GYR_RAD_S = 0.8;
const FLAT_ACC_M_S2 = 1.5;
const FLAT_LEAST_S = 0.06;
/** A swing lasts 0.2 to 1.5 s and carries a foot by 0.25 m at least: shuffling says no direction. */
const SWING_LEAST_S = 0.2;
const SWING_MOST_S = 1.5;
const SWING_LEAST_M = 0.25;
/** Vertical velocity forgets its drift within this. */
const VELOCITY_TIME_S = 0.5;

/** Beyond this yaw within that time the wearer turns: a pelvis rotates by some 5 to 10 degrees in walking. */
const STRAIGHT_RAD = 0.35;

/** Where what is in the state. */
const REST_COUNT = 0;
const REST_ACC = 1; // 3
const LAST_REST_S = 4; // length of the last rest that waits for walking
const LAST_REST_ACC = 5; // 3
const SINCE_REST_S = 8;
export const STANDING_S = 9;
export const STANDING_ACC = 10; // 3
export const WALKING_S = 13;
export const GRAVITY_SUM = 14; // 3
export const SQUARES = 17; // 6: xx yy zz xy xz yz
export const CUBES = 23; // 10: xxx yyy zzz xxy xxz yyx yyz zzx zzy xyz
const UP_VELOCITY = 33;
export const FORWARD_SUM = 34; // 4: acceleration times upward velocity, and squares of that
export const ACC_SQUARES = 38; // 3
const FLAT_S = 41;
export const FLAT_ACC = 42; // 3
const SWING_S = 45;
const SWING_V = 46; // 3
const SWING_P = 49; // 3
export const SWINGS = 52;
export const SWING_DIRECTION = 53; // 3
export const TURNING_S = 56;
const STANDING_ADDED_S = 57;
/** Horizontal acceleration times a signal (3), and the signal's squares: of upward acceleration, yaw rate and yaw. */
export const UP_ACC_SUM = 58; // 4
export const YAW_RATE_SUM = 62; // 4
export const YAW_SUM = 66; // 4
const YAW = 70;
export const MOVEMENT_STATE = 71;

const EARTH = new Float64Array(3);
const LINEAR = new Float64Array(3);
const UP = new Float64Array(3);
const SENSOR = new Float64Array(3);
const UP_EARTH = Float64Array.of(0, 0, 1);

/** One reading (acc 3 m/s2, gyr 3 rad/s at `at`) and the sensor's orientation with it. `state` has MOVEMENT_STATE values, 0 at first. */
export function observeMovement(
  state: Values,
  reading: { readonly values: Values; readonly at: number; readonly quaternion: Values },
  periodS: number,
): void {
  const { values, at, quaternion } = reading;
  const ax = values[at]!;
  const ay = values[at + 1]!;
  const az = values[at + 2]!;
  const gx = values[at + 3]!;
  const gy = values[at + 4]!;
  const gz = values[at + 5]!;
  if (!Number.isFinite(ax + ay + az + gx + gy + gz + quaternion[0]!)) return;
  const turning = Math.sqrt(gx * gx + gy * gy + gz * gz);
  const push = Math.abs(Math.sqrt(ax * ax + ay * ay + az * az) - GRAVITY_M_S2);
  SENSOR[0] = ax;
  SENSOR[1] = ay;
  SENSOR[2] = az;
  rotate(quaternion, SENSOR, EARTH);
  EARTH[2] = EARTH[2]! - GRAVITY_M_S2;
  if (turning < REST_GYR_RAD_S && push < REST_ACC_M_S2) addRest(state, periodS);
  else endRest(state, periodS);
  const restS = state[REST_COUNT]! * periodS;
  if (restS < 0.3) addWalking(state, values, at + 3, { quaternion, periodS });
  if (restS < 0.3 && turning > MOVING_GYR_RAD_S) addTurning(state, values, at + 3, periodS);
  addFoot(state, quaternion, { periodS, isFlat: turning < FLAT_GYR_RAD_S && push < FLAT_ACC_M_S2 });
}

function addRest(state: Values, periodS: number): void {
  state[REST_COUNT] = state[REST_COUNT]! + 1;
  for (let i = 0; i < 3; i++) state[REST_ACC + i] = state[REST_ACC + i]! + SENSOR[i]!;
  const restS = state[REST_COUNT] * periodS;
  // Standing still after walking counts as it lasts, up to the most.
  const isAfterWalking = state[SINCE_REST_S]! > 2 && state[WALKING_S]! > 2;
  if (isAfterWalking && restS >= REST_LEAST_S && state[STANDING_ADDED_S] === 0) {
    if (isUpright(state, REST_ACC)) {
      addStanding(state, REST_ACC, restS);
      state[STANDING_ADDED_S] = restS;
    }
  }
}

function endRest(state: Values, periodS: number): void {
  const restS = state[REST_COUNT]! * periodS;
  if (restS >= REST_LEAST_S && state[STANDING_ADDED_S] === 0) {
    state[LAST_REST_S] = restS;
    for (let i = 0; i < 3; i++) state[LAST_REST_ACC + i] = state[REST_ACC + i]!;
  }
  // Feet rest in every stance; only a long rest begins a new count.
  if (restS >= REST_LEAST_S) state[SINCE_REST_S] = 0;
  state[SINCE_REST_S] = state[SINCE_REST_S]! + periodS;
  for (let i = 0; i < 4; i++) state[REST_COUNT + i] = 0;
  state[STANDING_ADDED_S] = 0;
  const waitingS = state[LAST_REST_S]!;
  if (waitingS > 0 && state[SINCE_REST_S] > REST_TO_WALK_S / 2) {
    if (state[WALKING_S]! > 1 && isUpright(state, LAST_REST_ACC)) addStanding(state, LAST_REST_ACC, waitingS);
    state[LAST_REST_S] = 0;
  }
}

function isUpright(state: Values, restAt: number): boolean {
  let dot = 0;
  let rest = 0;
  let walking = 0;
  for (let i = 0; i < 3; i++) {
    dot += state[restAt + i]! * state[GRAVITY_SUM + i]!;
    rest += state[restAt + i]! ** 2;
    walking += state[GRAVITY_SUM + i]! ** 2;
  }
  return dot > STANDING_COS * Math.sqrt(rest * walking);
}

function addStanding(state: Values, restAt: number, restS: number): void {
  const length = Math.hypot(state[restAt]!, state[restAt + 1]!, state[restAt + 2]!);
  const weight = Math.min(restS, REST_MOST_S);
  for (let i = 0; i < 3; i++)
    state[STANDING_ACC + i] = state[STANDING_ACC + i]! + (weight * state[restAt + i]!) / length;
  state[STANDING_S] = state[STANDING_S]! + weight;
}

/** Gravity in the sensor's frame, and how acceleration goes with what a step does up and down and a stride left and right. */
function addWalking(state: Values, values: Values, at: number, now: Now): void {
  const { quaternion, periodS } = now;
  state[WALKING_S] = state[WALKING_S]! + periodS;
  const keep = Math.exp(-periodS / VELOCITY_TIME_S);
  state[UP_VELOCITY] = keep * (state[UP_VELOCITY]! + EARTH[2]! * periodS);
  rotateInverse(quaternion, EARTH, LINEAR);
  rotateInverse(quaternion, UP_EARTH, UP);
  const yawRate = values[at]! * UP[0]! + values[at + 1]! * UP[1]! + values[at + 2]! * UP[2]!;
  state[YAW] = keep * (state[YAW]! + yawRate * periodS);
  for (let i = 0; i < 3; i++) state[GRAVITY_SUM + i] = state[GRAVITY_SUM + i]! + UP[i]! * periodS;
  // Left and right mirror each other only straight ahead.
  if (Math.abs(state[YAW]) > STRAIGHT_RAD) return;
  SIGNALS[0] = state[UP_VELOCITY];
  SIGNALS[1] = EARTH[2]!;
  SIGNALS[2] = yawRate;
  SIGNALS[3] = state[YAW];
  for (let i = 0; i < 3; i++) state[ACC_SQUARES + i] = state[ACC_SQUARES + i]! + LINEAR[i]! ** 2 * periodS;
  for (let k = 0; k < 4; k++) {
    const sum = SIGNAL_SUMS[k]!;
    const signal = SIGNALS[k]! * periodS;
    for (let i = 0; i < 3; i++) state[sum + i] = state[sum + i]! + LINEAR[i]! * signal;
    state[sum + 3] = state[sum + 3]! + SIGNALS[k]! * signal;
  }
}
const SIGNALS = new Float64Array(4);
const SIGNAL_SUMS = Int32Array.of(FORWARD_SUM, UP_ACC_SUM, YAW_RATE_SUM, YAW_SUM);

interface Now {
  readonly quaternion: Values;
  readonly periodS: number;
}

function addTurning(state: Values, values: Values, at: number, periodS: number): void {
  const x = values[at]!;
  const y = values[at + 1]!;
  const z = values[at + 2]!;
  state[TURNING_S] = state[TURNING_S]! + periodS;
  state[SQUARES] = state[SQUARES]! + x * x * periodS;
  state[SQUARES + 1] = state[SQUARES + 1]! + y * y * periodS;
  state[SQUARES + 2] = state[SQUARES + 2]! + z * z * periodS;
  state[SQUARES + 3] = state[SQUARES + 3]! + x * y * periodS;
  state[SQUARES + 4] = state[SQUARES + 4]! + x * z * periodS;
  state[SQUARES + 5] = state[SQUARES + 5]! + y * z * periodS;
  state[CUBES] = state[CUBES]! + x * x * x * periodS;
  state[CUBES + 1] = state[CUBES + 1]! + y * y * y * periodS;
  state[CUBES + 2] = state[CUBES + 2]! + z * z * z * periodS;
  state[CUBES + 3] = state[CUBES + 3]! + x * x * y * periodS;
  state[CUBES + 4] = state[CUBES + 4]! + x * x * z * periodS;
  state[CUBES + 5] = state[CUBES + 5]! + y * y * x * periodS;
  state[CUBES + 6] = state[CUBES + 6]! + y * y * z * periodS;
  state[CUBES + 7] = state[CUBES + 7]! + z * z * x * periodS;
  state[CUBES + 8] = state[CUBES + 8]! + z * z * y * periodS;
  state[CUBES + 9] = state[CUBES + 9]! + x * y * z * periodS;
}

/** Where a foot goes between two moments on the ground, as seen from the sensor on the ground. */
function addFoot(state: Values, quaternion: Values, now: { periodS: number; isFlat: boolean }): void {
  const { periodS } = now;
  state[FLAT_S] = now.isFlat ? state[FLAT_S]! + periodS : 0;
  if (state[FLAT_S] < FLAT_LEAST_S) {
    state[SWING_S] = state[SWING_S]! + periodS;
    for (let i = 0; i < 3; i++) {
      const v = state[SWING_V + i]! + EARTH[i]! * periodS;
      state[SWING_P + i] = state[SWING_P + i]! + (state[SWING_V + i]! + v) * (periodS / 2);
      state[SWING_V + i] = v;
    }
    return;
  }
  for (let i = 0; i < 3; i++) state[FLAT_ACC + i] = state[FLAT_ACC + i]! + SENSOR[i]! * periodS;
  const swingS = state[SWING_S]!;
  if (swingS > SWING_LEAST_S && swingS < SWING_MOST_S) {
    // The velocity that is left is drift, which grew evenly.
    for (let i = 0; i < 3; i++) LINEAR[i] = state[SWING_P + i]! - (state[SWING_V + i]! * swingS) / 2;
    LINEAR[2] = 0;
    const distance = Math.hypot(LINEAR[0]!, LINEAR[1]!);
    if (distance > SWING_LEAST_M) {
      rotateInverse(quaternion, LINEAR, LINEAR);
      state[SWINGS] = state[SWINGS]! + 1;
      for (let i = 0; i < 3; i++)
        state[SWING_DIRECTION + i] = state[SWING_DIRECTION + i]! + LINEAR[i]! / distance;
    }
  }
  for (let i = SWING_S; i < SWINGS; i++) state[i] = 0;
}
