/**
 * Owns how the pelvis of a synthetic walker moves but for its height, which the legs decide (walker-trajectory.ts), and
 * where it carries the hip joints. Simple harmonics of stride and step.
 */

import type { WalkerBody } from '#simulator/walker-body.ts';

/** What the pelvis needs to know of the walk. */
export interface PelvisWalk {
  readonly body: WalkerBody;
  readonly strideLengthM: number;
}

export interface PelvisMotion {
  /** Ahead of uniform motion, and to the left, m. */
  readonly aheadM: number;
  readonly leftM: number;
  readonly yawRad: number;
  readonly pitchRad: number;
  readonly rollRad: number;
}

/**
 * Pelvis of adults at their own pace, as half of the ranges that Perry and Burnfield 2010, chapter 7, give: 10 degrees of
 * rotation, 8 of obliquity, little tilting about a mean of 10 to 12.
 */
const PELVIS_TILT_DEG = 11;
const PELVIS_TILT_AMPLITUDE_DEG = 1;
const PELVIS_ROTATION_DEG = 5;
const PELVIS_OBLIQUITY_DEG = 4;
/** 2 cm to each side, and 1 cm ahead of its mean in double support. */
const PELVIS_SWAY_OF_STEP_WIDTH = 0.22;
const PELVIS_AHEAD_OF_STRIDE = 0.007;

const DEG = Math.PI / 180;

/** `phase` is the gait phase: 1 a stride, 0 at an initial contact of the left foot. */
export function pelvisMotion(walk: PelvisWalk, phase: number): PelvisMotion {
  const turn = 2 * Math.PI * phase;
  const { body, strideLengthM } = walk;
  return {
    aheadM: PELVIS_AHEAD_OF_STRIDE * strideLengthM * Math.sin(2 * turn - 0.6),
    // Over the standing foot in the middle of its stance.
    leftM: PELVIS_SWAY_OF_STEP_WIDTH * body.stepWidthM * Math.cos(turn - 0.6 * Math.PI),
    // The side of the foot that is being placed is ahead.
    yawRad: -PELVIS_ROTATION_DEG * DEG * Math.cos(turn),
    pitchRad: (PELVIS_TILT_DEG + PELVIS_TILT_AMPLITUDE_DEG * Math.cos(2 * turn)) * DEG,
    // The side that takes the load is high, the other one drops.
    rollRad: PELVIS_OBLIQUITY_DEG * DEG * Math.cos(turn - 0.26 * Math.PI),
  };
}

/** A hip joint from the middle between both: Rz(yaw) Ry(pitch) Rx(roll) of (0, sign * width / 2, 0). */
export function hipOffset(
  body: WalkerBody,
  pelvis: PelvisMotion,
  sign: number,
): { x: number; y: number; z: number } {
  const half = (sign * body.hipWidthM) / 2;
  const y = half * Math.cos(pelvis.rollRad);
  const z = half * Math.sin(pelvis.rollRad);
  const x = z * Math.sin(pelvis.pitchRad);
  return {
    x: x * Math.cos(pelvis.yawRad) - y * Math.sin(pelvis.yawRad),
    y: x * Math.sin(pelvis.yawRad) + y * Math.cos(pelvis.yawRad),
    z: z * Math.cos(pelvis.pitchRad),
  };
}
