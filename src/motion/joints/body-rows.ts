/**
 * Owns one row of angles from the orientations of all placements at one moment: segments into one earth by the headings of the joints,
 * then angles. Its state (headings, planes of elevation, mean heading of the pelvis) is in one array; nothing is allocated per row.
 */

import {
  addHeading,
  HEADING_STATE,
  resetHeading,
  writeHeading,
  type HeadingSums,
} from '#motion/calibration/heading-alignment.ts';
import {
  relativeOrientation,
  segmentPitch,
  writeJointAngles,
  writePelvisAngles,
} from '#motion/joints/joint-angles.ts';
import type { TrackedBody } from '#motion/joints/tracked-body.ts';
import { multiply, rotate, type Values } from '#motion/quaternion.ts';

const LEFT = Float64Array.of(0, 1, 0);
const DEG = Math.PI / 180;

/** The pelvis turns about a heading that follows within this; a whole stride is short beside it. */
const PELVIS_HEADING_S = 3;
/** Beyond this the wearer is turning, and the mean is no direction of walking. */
const PELVIS_MOST_DEG = 30;

/** A joint's heading and the plane of elevation of a shoulder. */
const JOINT_STATE = HEADING_STATE + 1;

export interface BodyRows {
  /**
   * The row at the next moment from `segments` (one quaternion a placement, segment to its sensor's own earth; NaN where unknown).
   * `headings`, when given, are those of the joints (rad) and are not learnt.
   */
  write(segments: readonly Values[], out: Float32Array, headings?: Values): void;
  /** The placement's earth or alignment became another one: what its joints learnt is void. */
  forget(placement: number): void;
  readonly stateLength: number;
  readonly state: Values;
}

/** Rows `stepS` apart. */
export function createBodyRows(body: TrackedBody, stepS: number): BodyRows {
  const { length } = body.joints;
  const state = new Float64Array(length * JOINT_STATE + 2);
  const sums: HeadingSums[] = body.joints.map((_, i) => ({ state, at: i * JOINT_STATE, stepS }));
  const meanAt = length * JOINT_STATE;
  const learnt = new Float64Array(length);
  const lines = { proximal: new Float64Array(3), distal: new Float64Array(3) };
  const turned = new Float64Array(4);
  const relative = new Float64Array(4);
  const angles = new Float64Array(3);

  const learnHeading = (i: number, proximal: Values, distal: Values): void => {
    rotate(proximal, LEFT, lines.proximal);
    rotate(distal, LEFT, lines.distal);
    addHeading(sums[i]!, lines);
    writeHeading(sums[i]!, learnt, i);
  };

  const writeJoint = (i: number, segments: readonly Values[], out: Float32Array): void => {
    const { joint, proximal, distal, column } = body.joints[i]!;
    multiply(turned, segments[distal]!, turned);
    relativeOrientation(segments[proximal]!, turned, relative);
    const planeAt = i * JOINT_STATE + HEADING_STATE;
    angles[0] = state[planeAt]!;
    writeJointAngles(joint, relative, angles);
    if (joint.name === 'shoulder' && !Number.isNaN(angles[0])) state[planeAt] = angles[0];
    for (let k = 0; k < 3; k++) out[column + k] = angles[k]!;
  };

  const writePelvis = (pelvis: Values, column: number, out: Float32Array): void => {
    writePelvisAngles(pelvis, angles);
    out[column] = angles[0]!;
    out[column + 1] = angles[1]!;
    if (!Number.isNaN(angles[2])) {
      const hasMean = state[meanAt] !== 0 || state[meanAt + 1] !== 0;
      const share = hasMean ? Math.min(1, stepS / PELVIS_HEADING_S) : 1;
      state[meanAt] = (1 - share) * state[meanAt]! + share * Math.cos(angles[2]! * DEG);
      state[meanAt + 1] = (1 - share) * state[meanAt + 1]! + share * Math.sin(angles[2]! * DEG);
    }
    const rotation = angles[2]! - Math.atan2(state[meanAt + 1]!, state[meanAt]!) / DEG;
    const near = rotation - 360 * Math.round(rotation / 360);
    out[column + 2] = Math.abs(near) > PELVIS_MOST_DEG ? Number.NaN : near;
  };

  return {
    state,
    stateLength: state.length,
    forget(placement) {
      for (const [i, tracked] of body.joints.entries())
        if (tracked.proximal === placement || tracked.distal === placement) resetHeading(sums[i]!);
      if (body.pelvis?.placement === placement) state.fill(0, meanAt, meanAt + 2);
    },
    write(segments, out, headings) {
      const known = headings ?? learnt;
      for (let i = 0; i < length; i++) {
        const { proximal, distal } = body.joints[i]!;
        if (headings === undefined) learnHeading(i, segments[proximal]!, segments[distal]!);
        turned[0] = Math.cos(known[i]! / 2);
        turned[1] = 0;
        turned[2] = 0;
        turned[3] = Math.sin(known[i]! / 2);
        writeJoint(i, segments, out);
      }
      if (body.pelvis !== null) writePelvis(segments[body.pelvis.placement]!, body.pelvis.column, out);
      for (let i = 0; i < body.pitches.length; i++) {
        const { placement, column } = body.pitches[i]!;
        out[column] = segmentPitch(segments[placement]!);
      }
    },
  };
}
