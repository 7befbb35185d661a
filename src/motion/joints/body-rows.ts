/**
 * Owns one row of angles from the orientations of all placements at one moment: segments into one earth by the headings of the joints,
 * then angles. Its state (headings, planes of elevation, mean heading of the pelvis) is in one array; nothing is allocated per row.
 */

import {
  addHeading,
  HEADING_STATE,
  headingOf,
  resetHeading,
  type HeadingSums,
} from '#motion/calibration/heading-alignment.ts';
import {
  relativeOrientation,
  segmentPitch,
  writeJointAngles,
  writePelvisAngles,
} from '#motion/joints/joint-angles.ts';
import type { TrackedBody, TrackedJoint } from '#motion/joints/tracked-body.ts';
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
   * The row at a moment from `segments` (one quaternion a placement, segment to its sensor's own earth; NaN where unknown), `stepS` after
   * the last one. `headings`, when given, are those of the joints (rad) and are not learnt.
   */
  write(segments: readonly Values[], stepS: number, out: Float32Array, headings?: Values): void;
  /** The placement's earth or alignment became another one: what its joints learnt is void. */
  forget(placement: number): void;
  readonly stateLength: number;
  readonly state: Values;
}

export function createBodyRows(body: TrackedBody): BodyRows {
  const state = new Float64Array(body.joints.length * JOINT_STATE + 2);
  const sums: HeadingSums[] = body.joints.map((_, i) => ({ state, at: i * JOINT_STATE }));
  const meanAt = body.joints.length * JOINT_STATE;
  const proximalLine = new Float64Array(3);
  const distalLine = new Float64Array(3);
  const lines = { proximal: proximalLine, distal: distalLine };
  const turn = new Float64Array(4);
  const turned = new Float64Array(4);
  const relative = new Float64Array(4);
  const angles = new Float64Array(3);

  const writeJoint = (
    i: number,
    pair: { tracked: TrackedJoint; proximal: Values; distal: Values; heading: number },
    out: Float32Array,
  ): void => {
    const { tracked, proximal, distal, heading } = pair;
    turn[0] = Math.cos(heading / 2);
    turn[3] = Math.sin(heading / 2);
    multiply(turn, distal, turned);
    relativeOrientation(proximal, turned, relative);
    const planeAt = i * JOINT_STATE + HEADING_STATE;
    angles[0] = state[planeAt]!;
    writeJointAngles(tracked.joint, relative, angles);
    if (tracked.joint.name === 'shoulder' && !Number.isNaN(angles[0])) state[planeAt] = angles[0];
    for (let k = 0; k < 3; k++) out[tracked.column + k] = angles[k]!;
  };

  const writePelvis = (pelvis: Values, column: number, out: Float32Array): void => {
    writePelvisAngles(pelvis, angles);
    out[column] = angles[0]!;
    out[column + 1] = angles[1]!;
    const rotation = angles[2]! - Math.atan2(state[meanAt + 1]!, state[meanAt]!) / DEG;
    const near = rotation - 360 * Math.round(rotation / 360);
    out[column + 2] = Math.abs(near) > PELVIS_MOST_DEG ? Number.NaN : near;
  };

  const followPelvis = (pelvis: Values, stepS: number): void => {
    writePelvisAngles(pelvis, angles);
    if (Number.isNaN(angles[2])) return;
    const hasMean = state[meanAt] !== 0 || state[meanAt + 1] !== 0;
    const share = hasMean ? Math.min(1, stepS / PELVIS_HEADING_S) : 1;
    state[meanAt] = (1 - share) * state[meanAt]! + share * Math.cos(angles[2]! * DEG);
    state[meanAt + 1] = (1 - share) * state[meanAt + 1]! + share * Math.sin(angles[2]! * DEG);
  };

  return {
    state,
    stateLength: state.length,
    forget(placement) {
      for (const [i, tracked] of body.joints.entries())
        if (tracked.proximal === placement || tracked.distal === placement) resetHeading(sums[i]!);
      if (body.pelvis?.placement === placement) state.fill(0, meanAt, meanAt + 2);
    },
    write(segments, stepS, out, headings) {
      for (let i = 0; i < body.joints.length; i++) {
        const tracked = body.joints[i]!;
        const proximal = segments[tracked.proximal]!;
        const distal = segments[tracked.distal]!;
        let heading = headings?.[i] ?? Number.NaN;
        if (headings === undefined) {
          rotate(proximal, LEFT, proximalLine);
          rotate(distal, LEFT, distalLine);
          addHeading(sums[i]!, lines, stepS);
          heading = headingOf(sums[i]!);
        }
        writeJoint(i, { tracked, proximal, distal, heading }, out);
      }
      if (body.pelvis !== null) {
        const pelvis = segments[body.pelvis.placement]!;
        followPelvis(pelvis, stepS);
        writePelvis(pelvis, body.pelvis.column, out);
      }
      for (let i = 0; i < body.pitches.length; i++) {
        const { placement, column } = body.pitches[i]!;
        out[column] = segmentPitch(segments[placement]!);
      }
    },
  };
}
