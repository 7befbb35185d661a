/**
 * Owns the alignment of one sensor to its segment from what the wearer does anyway: standing still says where up is, walking says the
 * medio-lateral axis (legs turn about it; Seel et al. 2014, doi:10.3390/s140406891, section 3), and the physics of gait says front and
 * back. Sums only, in one array, nothing allocated per reading; never a reference, never the way the sensor was meant to be worn.
 *
 * Front and back: thigh and shank turn faster forward (swing) than backward (stance); the foot moves forward between two moments on the
 * ground (double integration, zero velocity at both ends); pelvis and trunk trade height for speed, an inverted pendulum, so that
 * forward acceleration is opposed to upward velocity (Cavagna et al. 1976, doi:10.1152/ajplegacy.1977.233.5.R243).
 */

import {
  ACC_SQUARES,
  CUBES,
  FLAT_ACC,
  FORWARD_SUM,
  GRAVITY_SUM,
  SQUARES,
  STANDING_ACC,
  STANDING_S,
  SWINGS,
  SWING_DIRECTION,
  TURNING_S,
  UP_ACC_SUM,
  WALKING_S,
  YAW_RATE_SUM,
  YAW_SUM,
} from '#motion/calibration/movement-sums.ts';
import { kindOf, standingLean, walkingLean } from '#motion/calibration/posture.ts';
import type { Segment } from '#motion/body-model.ts';
import { fromMatrix, type Values } from '#motion/quaternion.ts';

export interface MovementAlignment {
  /** Sensor to segment. */
  readonly quaternion: Float64Array;
  quality: number;
  reason: string | null;
  /** Whether the wearer stood still next to walking, which gives the neutral pose. */
  hasStood: boolean;
  /** Seconds of movement behind it. */
  movementS: number;
}

export function createMovementAlignment(): MovementAlignment {
  return {
    quaternion: Float64Array.of(1, 0, 0, 0),
    quality: 0,
    reason: 'not moved yet',
    hasStood: false,
    movementS: 0,
  };
}

const UP = new Float64Array(3);

/** Seconds of movement that say something of this segment. */
export function movementSeconds(state: Values, segment: Segment): number {
  return state[isTrunk(segment) ? WALKING_S : TURNING_S]!;
}

function isTrunk(segment: Segment): boolean {
  return segment === 'pelvis' || segment === 'lower-back' || segment === 'thorax' || segment === 'head';
}

const MATRIX = new Float64Array(9);
const Y_AXIS = new Float64Array(3);

/**
 * What the movement so far says. Bad ones have a low quality and a reason, and are still the best guess. `sense` is what the lower
 * neighbour says of the axis to the left (neighbour-sense.ts); zero: nothing.
 */
export function alignFromMovement(
  state: Values,
  { segment, sense }: { readonly segment: Segment; readonly sense: Values },
  into: MovementAlignment,
): void {
  const kind = kindOf(segment);
  const hasStood = state[STANDING_S]! > 0;
  const hasFlat = kind === 'foot' && Math.hypot(...state.subarray(FLAT_ACC, FLAT_ACC + 3)) > 0;
  const upAt = hasStood ? STANDING_ACC : hasFlat ? FLAT_ACC : GRAVITY_SUM;
  const upLength = Math.hypot(state[upAt]!, state[upAt + 1]!, state[upAt + 2]!);
  into.hasStood = hasStood;
  into.movementS = movementSeconds(state, segment);
  if (!(upLength > 0) || into.movementS === 0) {
    into.quality = 0;
    into.reason = 'it did not move yet';
    return;
  }
  for (let i = 0; i < 3; i++) UP[i] = state[upAt + i]! / upLength;
  const found = isTrunk(segment) ? trunkAxis(state) : limbAxis(state, kind, sense);
  into.quality = found.quality * (hasStood || hasFlat ? 1 : 0.6) * Math.min(1, into.movementS / 4);
  into.reason =
    found.reason ??
    (hasStood || hasFlat ? null : 'it never stood still, so the neutral pose is that of average walking');
  if (into.reason === null && into.quality < 0.5) into.reason = 'there was little movement';
  writeAlignment(hasStood || hasFlat ? standingLean(segment) : walkingLean(segment), into.quaternion);
}

/** Rows x, y, z of the upright segment's axes in the sensor's frame, leant back by how far the segment leans there. */
function writeAlignment(lean: number, out: Values): void {
  const [ux, uy, uz] = UP as unknown as [number, number, number];
  const [yx, yy, yz] = Y_AXIS as unknown as [number, number, number];
  const xx = yy * uz - yz * uy;
  const xy = yz * ux - yx * uz;
  const xz = yx * uy - yy * ux;
  const cos = Math.cos(lean);
  const sin = Math.sin(lean);
  // Ry(-lean) of those rows.
  MATRIX[0] = cos * xx - sin * ux;
  MATRIX[1] = cos * xy - sin * uy;
  MATRIX[2] = cos * xz - sin * uz;
  MATRIX[3] = yx;
  MATRIX[4] = yy;
  MATRIX[5] = yz;
  MATRIX[6] = sin * xx + cos * ux;
  MATRIX[7] = sin * xy + cos * uy;
  MATRIX[8] = sin * xz + cos * uz;
  fromMatrix(MATRIX, out);
}

interface Found {
  readonly quality: number;
  readonly reason: string | null;
}

const U = new Float64Array(3);
const V = new Float64Array(3);

/** Into Y_AXIS: the horizontal axis about which a limb turns most, to the left. */
function limbAxis(state: Values, kind: string, sense: Values): Found {
  horizontalAxes();
  const square = (a: Values, b: Values): number =>
    state[SQUARES]! * a[0]! * b[0]! +
    state[SQUARES + 1]! * a[1]! * b[1]! +
    state[SQUARES + 2]! * a[2]! * b[2]! +
    state[SQUARES + 3]! * (a[0]! * b[1]! + a[1]! * b[0]!) +
    state[SQUARES + 4]! * (a[0]! * b[2]! + a[2]! * b[0]!) +
    state[SQUARES + 5]! * (a[1]! * b[2]! + a[2]! * b[1]!);
  const uu = square(U, U);
  const vv = square(V, V);
  const uv = square(U, V);
  const angle = Math.atan2(2 * uv, uu - vv) / 2;
  const spread = Math.hypot((uu - vv) / 2, uv);
  const larger = (uu + vv) / 2 + spread;
  const smaller = Math.max(0, (uu + vv) / 2 - spread);
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  for (let i = 0; i < 3; i++) Y_AXIS[i] = cos * U[i]! + sin * V[i]!;
  // 0 when both axes are alike, 1 when the larger has four times the energy of the other.
  const clearness = larger > 0 ? Math.min(1, (larger / Math.max(smaller, 1e-12) - 1) / 3) : 0;
  const sign = kind === 'foot' ? footSign(state) : swingSign(state, larger, sense);
  if (sign.value < 0) for (let i = 0; i < 3; i++) Y_AXIS[i] = -Y_AXIS[i]!;
  const quality = Math.sqrt(clearness * sign.certainty);
  if (clearness < 0.3) return { quality, reason: 'it turned about no clear axis' };
  if (sign.certainty < 0.3) return { quality, reason: 'front and back could not be told apart' };
  return { quality, reason: null };
}

/** A neighbour's word is full at this correlation: that of thigh and shank is 0.3 to 0.5, of shank and foot 0.8. */
const FULL_SENSE = 0.2;

/** Turning forward is negative about the axis to the left, and swing is faster than stance; a neighbour that knows outvotes that. */
function swingSign(state: Values, energy: number, sense: Values): { value: number; certainty: number } {
  const x = Y_AXIS[0]!;
  const y = Y_AXIS[1]!;
  const z = Y_AXIS[2]!;
  const c = (i: number): number => state[CUBES + i]!;
  const cube =
    c(0) * x * x * x +
    c(1) * y * y * y +
    c(2) * z * z * z +
    3 * (c(3) * x * x * y + c(4) * x * x * z + c(5) * y * y * x) +
    3 * (c(6) * y * y * z + c(7) * z * z * x + c(8) * z * z * y) +
    6 * c(9) * x * y * z;
  const time = state[TURNING_S]!;
  const skewness = cube / time / Math.max((energy / time) ** 1.5, 1e-12);
  const told = (x * sense[0]! + y * sense[1]! + z * sense[2]!) / FULL_SENSE;
  const value = Math.max(-1, Math.min(1, -skewness / 0.5)) + 2 * Math.max(-1, Math.min(1, told));
  return { value, certainty: Math.min(1, Math.abs(value)) };
}

/** The axis to the left is up x forward. */
function footSign(state: Values): { value: number; certainty: number } {
  const [fx, fy, fz] = state.subarray(SWING_DIRECTION, SWING_DIRECTION + 3) as unknown as [
    number,
    number,
    number,
  ];
  const left =
    Y_AXIS[0]! * (UP[1]! * fz - UP[2]! * fy) +
    Y_AXIS[1]! * (UP[2]! * fx - UP[0]! * fz) +
    Y_AXIS[2]! * (UP[0]! * fy - UP[1]! * fx);
  const swings = state[SWINGS]!;
  return { value: left, certainty: swings > 0 ? Math.min(1, Math.abs(left) / swings) : 0 };
}

/**
 * Into Y_AXIS: up x forward. Left and right steps mirror each other, so that acceleration goes with what is the same in both (up and down)
 * along forward, and with what changes its sign (yaw) across it: forward is the line that both say. Its sense is where the
 * acceleration points while the body sinks.
 */
function trunkAxis(state: Values): Found {
  horizontalAxes();
  let energy = 0;
  for (let i = 0; i < 3; i++) energy += state[ACC_SQUARES + i]! * (1 - UP[i]! ** 2);
  let cos = 0;
  let sin = 0;
  let total = 0;
  for (const [at, sign] of TRUNK_SIGNALS) {
    const u = along(state, at, U);
    const v = along(state, at, V);
    const scale = Math.max(1e-12, energy * state[at + 3]!);
    // Of the line's double angle.
    cos += (sign * (u * u - v * v)) / scale;
    sin += (sign * 2 * u * v) / scale;
    total += (u * u + v * v) / scale;
  }
  const angle = Math.atan2(sin, cos) / 2;
  const forward = (i: number): number => Math.cos(angle) * U[i]! + Math.sin(angle) * V[i]!;
  const sinking = -(
    along(state, FORWARD_SUM, U) * Math.cos(angle) +
    along(state, FORWARD_SUM, V) * Math.sin(angle)
  );
  const sign = sinking < 0 ? -1 : 1;
  const f = [sign * forward(0), sign * forward(1), sign * forward(2)] as const;
  Y_AXIS[0] = UP[1]! * f[2] - UP[2]! * f[1];
  Y_AXIS[1] = UP[2]! * f[0] - UP[0]! * f[2];
  Y_AXIS[2] = UP[0]! * f[1] - UP[1]! * f[0];
  const clearness = total > 0 ? Math.hypot(cos, sin) / total : 0;
  const correlation = Math.abs(sinking) / Math.sqrt(Math.max(1e-12, energy * state[FORWARD_SUM + 3]!));
  const quality = Math.sqrt(clearness * Math.min(1, correlation / 0.2)) * Math.min(1, total / 0.05);
  return { quality, reason: quality < 0.4 ? 'front and back could not be told apart' : null };
}
const TRUNK_SIGNALS = [
  [FORWARD_SUM, 1],
  [UP_ACC_SUM, 1],
  [YAW_RATE_SUM, -1],
  [YAW_SUM, -1],
] as const;

function along(state: Values, at: number, axis: Values): number {
  return state[at]! * axis[0]! + state[at + 1]! * axis[1]! + state[at + 2]! * axis[2]!;
}

/** Into U and V: two axes that are square to UP and to each other. */
function horizontalAxes(): void {
  const least = Math.abs(UP[0]!) < 0.7 ? 0 : 1;
  for (let i = 0; i < 3; i++) U[i] = (i === least ? 1 : 0) - UP[least]! * UP[i]!;
  const length = Math.hypot(U[0]!, U[1]!, U[2]!);
  for (let i = 0; i < 3; i++) U[i] = U[i]! / length;
  V[0] = UP[1]! * U[2]! - UP[2]! * U[1]!;
  V[1] = UP[2]! * U[0]! - UP[0]! * U[2]!;
  V[2] = UP[0]! * U[1]! - UP[1]! * U[0]!;
}
