/**
 * Owns the pose of a synthetic walker at a gait phase: position and orientation of the seven sensors, with hip and knee
 * found from the ends of each leg in closed form (a two-link chain in a plane that leans with the hip's sway). The knee
 * is a hinge; the feet stay in the sagittal plane.
 */

import { assert } from '#base/assert.ts';
import { writeMatrix, writeRollPitch, writeYawPitchRoll } from '#simulator/rotation.ts';
import type { PeriodicSpline } from '#simulator/periodic-spline.ts';
import { kneeFor, thighFor, walkerSegments, type Vector } from '#simulator/walker-body.ts';
import { hipOffset, pelvisMotion, type PelvisMotion } from '#simulator/walker-pelvis.ts';
import {
  channel,
  CHANNELS,
  createTrajectories,
  parameterOf,
  type WalkerGeometry,
} from '#simulator/walker-trajectory.ts';

/** Of each segment in the order of walkerSegments: sensor position x, y, z in m, then the quaternion w, x, y, z. */
export const POSE_STRIDE = 7;
export const POSE_LENGTH = walkerSegments.length * POSE_STRIDE;

export interface WalkerPoser {
  /** Writes the pose at a gait phase in [0, strides) and a little around; x grows with the phase. */
  pose(phase: number, out: Float64Array): void;
  /** Knee flexion at the phase, radians. */
  knee(phase: number, side: 'left' | 'right'): number;
}

/**
 * The trajectory keeps every knee bent by 4 degrees but for what its smoothing does; the rest is made up here, since a
 * leg that is over-stretched would come apart at the ankle.
 */
const LEAST_KNEE_DEG = 2;
const LOWER_BY_M = 0.001;
const MOST_LOWERINGS = 20;

/** Lowers the pelvis, a millimetre at a time, until no leg is over-stretched anywhere in the loop. */
export function createPoser(geometry: WalkerGeometry): WalkerPoser {
  const trajectories = createTrajectories(geometry);
  let poser = poserOf(geometry, trajectories(0));
  for (let i = 1; leastKnee(poser, geometry.strides) < (LEAST_KNEE_DEG * Math.PI) / 180; i++) {
    assert(i <= MOST_LOWERINGS, 'the steps are too long for the legs');
    poser = poserOf(geometry, trajectories(i * LOWER_BY_M));
  }
  return poser;
}

function leastKnee(poser: WalkerPoser, strides: number): number {
  let least = Math.PI;
  for (let phase = 0; phase < strides; phase += 1 / 64) {
    for (const side of ['left', 'right'] as const) least = Math.min(least, poser.knee(phase, side));
  }
  return least;
}

/** A leg between its two ends: lean of its plane, thigh against the vertical, knee, and where the ends are. */
interface Leg {
  roll: number;
  thigh: number;
  knee: number;
  hipX: number;
  hipY: number;
  hipZ: number;
  ankleX: number;
  ankleY: number;
  ankleZ: number;
}

/** Writes the leg of the side. `curve` holds the trajectory's channels at the phase. */
function solveLeg(
  geometry: WalkerGeometry,
  at: { phase: number; side: 'left' | 'right'; pelvis: PelvisMotion; curve: Float64Array },
  leg: Leg,
): void {
  const { body, strideLengthM, distanceAt } = geometry;
  const { phase, side, pelvis, curve } = at;
  const sign = side === 'left' ? 1 : -1;
  const uniform = phase * strideLengthM;
  const offset = hipOffset(body, pelvis, sign);
  leg.hipX = distanceAt(uniform + pelvis.aheadM) + offset.x;
  leg.hipY = pelvis.leftM + offset.y;
  leg.hipZ = curve[channel.pelvisZ]! + offset.z;
  leg.ankleX = uniform + curve[channel[`${side}X`]]!;
  leg.ankleY = (sign * body.stepWidthM) / 2;
  leg.ankleZ = curve[channel[`${side}Z`]]!;
  const dx = leg.ankleX - leg.hipX;
  const dy = leg.ankleY - leg.hipY;
  const dz = leg.ankleZ - leg.hipZ;
  const down = Math.hypot(dy, dz);
  leg.roll = Math.atan2(dy, -dz);
  leg.knee = kneeFor(body, dx, down);
  leg.thigh = thighFor(body, { forwardM: dx, downM: down }, leg.knee);
}

function poserOf(geometry: WalkerGeometry, trajectory: PeriodicSpline): WalkerPoser {
  const { body, strideLengthM, distanceAt } = geometry;
  const offsets = walkerSegments.map((segment) => body.sensorOffsets[segment]);
  const curve = new Float64Array(CHANNELS);
  const matrix = new Float64Array(9);
  const leg: Leg = { roll: 0, thigh: 0, knee: 0, hipX: 0, hipY: 0, hipZ: 0, ankleX: 0, ankleY: 0, ankleZ: 0 };

  /** Writes where the sensor is whose segment hangs at `joint`; its orientation must have been written. */
  const place = (segment: number, joint: Vector, out: Float64Array): void => {
    const at = segment * POSE_STRIDE;
    const o = offsets[segment]!;
    writeMatrix(out, at + 3, matrix);
    out[at] = joint.x + matrix[0]! * o.x + matrix[1]! * o.y + matrix[2]! * o.z;
    out[at + 1] = joint.y + matrix[3]! * o.x + matrix[4]! * o.y + matrix[5]! * o.z;
    out[at + 2] = joint.z + matrix[6]! * o.x + matrix[7]! * o.y + matrix[8]! * o.z;
  };
  const placeLeg = (side: 'left' | 'right', out: Float64Array): void => {
    const first = side === 'left' ? 1 : 4;
    const at = first * POSE_STRIDE + 3;
    const { roll, thigh, knee } = leg;
    // Flexion moves the knee forward, which is a negative turn about the y axis.
    writeRollPitch(roll, -thigh, { out, at });
    writeRollPitch(roll, knee - thigh, { out, at: at + POSE_STRIDE });
    writeRollPitch(0, curve[channel[`${side}Pitch`]]!, { out, at: at + 2 * POSE_STRIDE });
    const forward = body.thighM * Math.sin(thigh);
    const down = body.thighM * Math.cos(thigh);
    const kneeY = leg.hipY + down * Math.sin(roll);
    const kneeZ = leg.hipZ - down * Math.cos(roll);
    place(first, { x: leg.hipX, y: leg.hipY, z: leg.hipZ }, out);
    place(first + 1, { x: leg.hipX + forward, y: kneeY, z: kneeZ }, out);
    place(first + 2, { x: leg.ankleX, y: leg.ankleY, z: leg.ankleZ }, out);
  };

  return {
    pose(phase, out) {
      trajectory.evaluate(parameterOf(phase), curve);
      const pelvis = pelvisMotion(geometry, phase);
      writeYawPitchRoll({ yaw: pelvis.yawRad, pitch: pelvis.pitchRad, roll: pelvis.rollRad }, { out, at: 3 });
      const x = distanceAt(phase * strideLengthM + pelvis.aheadM);
      place(0, { x, y: pelvis.leftM, z: curve[channel.pelvisZ]! }, out);
      for (const side of ['left', 'right'] as const) {
        solveLeg(geometry, { phase, side, pelvis, curve }, leg);
        placeLeg(side, out);
      }
    },
    knee(phase, side) {
      trajectory.evaluate(parameterOf(phase), curve);
      solveLeg(geometry, { phase, side, pelvis: pelvisMotion(geometry, phase), curve }, leg);
      return leg.knee;
    },
  };
}
