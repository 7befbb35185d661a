/**
 * Owns the calibration that a clinician guides: the wearer stands still, then makes one movement about a known axis of the body.
 * Standing says where up is on each sensor, the movement where the left is (Cutti et al. 2010, doi:10.1007/s11517-009-0545-6;
 * Favre et al. 2009, doi:10.1016/j.jbiomech.2009.06.006). Each result has a quality and, when it is bad, a reason that says what to
 * do. Pure; readings are acc x, y, z (m/s2) and gyr x, y, z (rad/s), six values a reading.
 */

import type { Alignment, Segment } from '#motion/body-model.ts';
import { standingLean } from '#motion/calibration/posture.ts';
import { fromMatrix } from '#motion/quaternion.ts';

export interface CalibrationResult {
  /** Sensor to segment. */
  readonly quaternion: readonly [number, number, number, number];
  readonly method: string;
  /** 0 useless to 1. */
  readonly quality: number;
  readonly reason: string | null;
}

export interface HeldPose {
  /** Unit vector that points up, in the sensor's frame. */
  readonly up: readonly [number, number, number];
  /** What the gyroscope says while nothing turns, rad/s. */
  readonly bias: readonly [number, number, number];
  readonly quality: number;
  readonly reason: string | null;
}

export interface FunctionalMovement {
  readonly name: 'bow' | 'left-leg-lift' | 'right-leg-lift' | 'left-arm-lift' | 'right-arm-lift';
  /** What to say to the wearer. */
  readonly instruction: string;
  readonly segments: readonly Segment[];
  /** Sense of the first turn about the axis to the left: leaning forward is positive, lifting what hangs forward negative. */
  readonly firstTurn: 1 | -1;
}

export const functionalMovements: readonly FunctionalMovement[] = [
  {
    name: 'bow',
    instruction: 'Bow forward from the hips and come up again, three times, with a straight back.',
    segments: ['pelvis', 'lower-back', 'thorax', 'head'],
    firstTurn: 1,
  },
  ...(['left', 'right'] as const).flatMap((side): FunctionalMovement[] => [
    {
      name: `${side}-leg-lift`,
      instruction: `Lift the straight ${side} leg forward and let it down again, three times. Hold on to something.`,
      segments: [`${side}-thigh`, `${side}-shank`, `${side}-foot`],
      firstTurn: -1,
    },
    {
      name: `${side}-arm-lift`,
      instruction: `Lift the straight ${side} arm forward and let it down again, three times, thumb ahead.`,
      segments: [`${side}-upper-arm`, `${side}-forearm`, `${side}-hand`],
      firstTurn: -1,
    },
  ]),
];

/** Sway while standing: quiet stance below 2 deg/s, Winter 2009; a sensor's bias of up to 3 deg/s comes off with the mean. */
const STILL_GYR_RAD_S = 0.06;
const STILL_ACC_M_S2 = 0.4;
const LEAST_POSE_S = 2;
/** Mean acceleration of something at rest, with the offset of cheap sensors. */
const GRAVITY_M_S2 = { min: 9.3, max: 10.3 };
/** A movement turns the segment by this much at least: 20 degrees. */
const LEAST_TURN_RAD = (20 * Math.PI) / 180;
/** Of the turning's energy across the main axis: a third is a movement in no plane. */
const MOST_ACROSS = 1 / 3;
/** The axis is level while standing, so up and axis are at right angles; 30 degrees off is another movement. */
const MOST_TILT_RAD = Math.PI / 6;

/** The longest of the pose's readings in which the sensor lay still is all of them: whoever asks cuts them (guide.ts). */
export function measurePose(readings: Float64Array, rateHz: number): HeldPose {
  const count = Math.floor(readings.length / 6);
  const mean = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < count; i++)
    for (let k = 0; k < 6; k++) mean[k] = mean[k]! + readings[6 * i + k]! / count;
  let accSpread = 0;
  let gyrSpread = 0;
  for (let i = 0; i < count; i++)
    for (let k = 0; k < 3; k++) {
      accSpread += (readings[6 * i + k]! - mean[k]!) ** 2 / count;
      gyrSpread += (readings[6 * i + 3 + k]! - mean[3 + k]!) ** 2 / count;
    }
  const size = Math.hypot(mean[0]!, mean[1]!, mean[2]!);
  const sway = Math.max(Math.sqrt(gyrSpread) / STILL_GYR_RAD_S, Math.sqrt(accSpread) / STILL_ACC_M_S2);
  const isLong = count >= LEAST_POSE_S * rateHz;
  const isGravity = size >= GRAVITY_M_S2.min && size <= GRAVITY_M_S2.max;
  const quality = isLong && isGravity ? Math.max(0, Math.min(1, 2 - sway)) : 0;
  return {
    up: [mean[0]! / size, mean[1]! / size, mean[2]! / size],
    bias: [mean[3]!, mean[4]!, mean[5]!],
    quality: Number.isFinite(quality) ? quality : 0,
    reason: !isLong
      ? `stand still for ${LEAST_POSE_S} seconds`
      : !isGravity
        ? 'the accelerometer does not show gravity: check its unit and range'
        : quality < 0.5
          ? 'it moved: stand still'
          : null,
  };
}

/** Largest turn away from the pose, rad: what a guide shows while the wearer moves. */
export function turnOf(readings: Float64Array, pose: HeldPose, rateHz: number): number {
  const { axis } = mainAxis(readings, pose);
  return largestTurn(readings, pose, axis, rateHz).size;
}

/** How the sensor sits on the segment, from the pose and the movement. */
export function calibrate(
  pose: HeldPose,
  movement: { readonly readings: Float64Array; readonly rateHz: number; readonly kind: FunctionalMovement },
  segment: Segment,
): CalibrationResult {
  const { readings, rateHz, kind } = movement;
  const { axis, across } = mainAxis(readings, pose);
  const turn = largestTurn(readings, pose, axis, rateHz);
  // The first turn away from the pose has a known sense; what comes after it goes back.
  const sense = Math.sign(turn.first) * kind.firstTurn || 1;
  const tilt = Math.abs(Math.asin(Math.min(1, Math.abs(dot(axis, pose.up)))));
  const quality =
    pose.quality *
    Math.min(1, turn.size / (2 * LEAST_TURN_RAD)) *
    Math.max(0, 1 - across / MOST_ACROSS) *
    Math.max(0, 1 - tilt / MOST_TILT_RAD);
  return {
    quaternion: alignmentOf(pose.up, axis.map((v) => v * sense) as Vector, standingLean(segment)),
    method: `pose-and-${kind.name}`,
    quality: Number.isFinite(quality) ? quality : 0,
    reason: reasonOf({ pose, turn: turn.size, across, tilt, quality }, kind),
  };
}

/** As a body model keeps it. */
export function alignmentFrom({ quaternion, method, quality, reason }: CalibrationResult): Alignment {
  return { kind: 'calibrated', quaternion, method, quality, reason };
}

function reasonOf(
  found: { pose: HeldPose; turn: number; across: number; tilt: number; quality: number },
  kind: FunctionalMovement,
): string | null {
  if (found.pose.reason !== null) return found.pose.reason;
  if (!(found.turn >= LEAST_TURN_RAD)) return `it hardly turned: ${kind.instruction.toLowerCase()}`;
  if (!(found.across <= MOST_ACROSS / 2)) return 'it turned sideways too: move straight forward and back';
  if (!(found.tilt <= MOST_TILT_RAD / 2))
    return 'it turned about an axis that is not level: move straight forward and back';
  return found.quality < 0.5 ? 'move farther, and in one plane' : null;
}

type Vector = [number, number, number];

/** The axis that the sensor turned about most, of either sense, and the share of the energy across it. */
function mainAxis(readings: Float64Array, { bias }: HeldPose): { axis: Vector; across: number } {
  const square = new Float64Array(9);
  for (let at = 3; at + 2 < readings.length; at += 6)
    for (let i = 0; i < 3; i++)
      for (let k = 0; k < 3; k++)
        square[3 * i + k] =
          square[3 * i + k]! + (readings[at + i]! - bias[i]!) * (readings[at + k]! - bias[k]!);
  let axis: Vector = [0.3, 0.9, 0.32];
  for (let n = 0; n < 100; n++) {
    const next = [0, 1, 2].map(
      (i) => square[3 * i]! * axis[0] + square[3 * i + 1]! * axis[1] + square[3 * i + 2]! * axis[2],
    ) as Vector;
    const size = Math.hypot(...next);
    if (!(size > 0)) break;
    axis = next.map((v) => v / size) as Vector;
  }
  const all = square[0]! + square[4]! + square[8]!;
  let along = 0;
  for (let i = 0; i < 3; i++) for (let k = 0; k < 3; k++) along += axis[i]! * square[3 * i + k]! * axis[k]!;
  return { axis, across: all > 0 ? Math.sqrt(Math.max(0, 1 - along / all)) : 1 };
}

/** Largest angle about the axis since the beginning, and the signed first one that exceeds half of it. */
function largestTurn(
  readings: Float64Array,
  { bias }: HeldPose,
  axis: Vector,
  rateHz: number,
): { size: number; first: number } {
  const angles = new Float64Array(Math.floor(readings.length / 6));
  let angle = 0;
  let size = 0;
  for (let i = 0; i < angles.length; i++) {
    for (let k = 0; k < 3; k++) angle += ((readings[6 * i + 3 + k]! - bias[k]!) * axis[k]!) / rateHz;
    angles[i] = angle;
    size = Math.max(size, Math.abs(angle));
  }
  return { size, first: angles.find((one) => Math.abs(one) > size / 2) ?? 0 };
}

/** Rows x, y, z of the segment's axes in the sensor's frame: y along the axis, z up but leant as the segment leans. */
function alignmentOf(
  up: readonly [number, number, number],
  left: Vector,
  lean: number,
): [number, number, number, number] {
  const along = dot(left, up);
  const level = left.map((v, i) => v - along * up[i]!) as Vector;
  const size = Math.hypot(...level) || 1;
  const y = level.map((v) => v / size) as Vector;
  const x: Vector = [y[1] * up[2] - y[2] * up[1], y[2] * up[0] - y[0] * up[2], y[0] * up[1] - y[1] * up[0]];
  const [cos, sin] = [Math.cos(lean), Math.sin(lean)];
  const matrix = Float64Array.of(
    ...x.map((v, i) => cos * v - sin * up[i]!),
    ...y,
    ...x.map((v, i) => sin * v + cos * up[i]!),
  );
  const out = new Float64Array(4);
  fromMatrix(matrix, out);
  return [out[0]!, out[1]!, out[2]!, out[3]!];
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]!;
}
