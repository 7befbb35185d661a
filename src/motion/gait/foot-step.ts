/**
 * Owns what one step of a foot gives, from stance to stance: path, turn, contacts, terrain; and the frame of the foot, which
 * is found from the steps themselves: up is where gravity was while it stood, forward is where straight steps went.
 */

import { findContacts, type FootFrame, type SwingContacts } from '#motion/gait/foot-contacts.ts';
import {
  gravityAt,
  gravity,
  integrateSpan,
  type FootSegment,
  type Span,
} from '#motion/gait/foot-strapdown.ts';

const DEG = Math.PI / 180;

/** Of the sums behind the frame, how much is kept from step to step: a memory of 50 steps, should the sensor slip. */
const FRAME_KEPT = 0.98;

/**
 * Steps that tell the direction of walking: long enough that 0.05 m to the side is 7 degrees, and straight, so that the
 * foot points along its path at both ends.
 */
const STRAIGHT_LENGTH_M = 0.4;
const STRAIGHT_TURN_DEG = 20;

/**
 * What is left of the velocity at the end may be this share of the highest, or 0.3 m/s. A foot that swings still has most
 * of its speed; one that stands has what a second of tilt and shock errors leaves (0.1 to 0.5 of 4 m/s).
 */
const DRIFT_SHARE = 0.35;
const DRIFT_M_S = 0.3;

/** Six sums: forward and up in the sensor's frame, over straight steps. All zero: no such step yet. */
export const FRAME_LENGTH = 6;

export interface FootStep extends SwingContacts {
  lengthM: number;
  heightChangeM: number;
  clearanceM: number;
  turnDeg: number;
}

export interface StepFinder {
  readonly step: FootStep;
  readonly frame: FootFrame;
  /** Measures the step in the span of the segment, with the sums of the frame. False: the foot did not stand at both ends. */
  measure(span: Span, sums: Float64Array, offset: number): boolean;
}

/** `given`: turns vectors of the sensor into the foot's frame (w x y z); null: found from the steps. */
export function createStepFinder(
  segment: FootSegment,
  { given, levelM }: { given: readonly number[] | null; levelM: number },
): StepFinder {
  const frame = { forward: new Float64Array(3), left: new Float64Array(3), up: new Float64Array(3) };
  if (given !== null) writeGivenFrame(given, frame);
  const step: FootStep = {
    finalContact: Number.NaN,
    initialContact: Number.NaN,
    pitchFinal: 0,
    pitchInitial: 0,
    lengthM: 0,
    heightChangeM: 0,
    clearanceM: 0,
    turnDeg: 0,
  };
  const into = { frame, out: step };
  return {
    step,
    frame,
    measure(span, sums, offset) {
      integrateSpan(segment, span);
      if (segment.drift > Math.max(DRIFT_M_S, DRIFT_SHARE * segment.highestSpeed)) return false;
      measurePath(segment, span, { step, levelM });
      if (given === null) {
        learnFrame(segment, span, { step, sums, offset });
        writeFrame(segment, span, { sums, offset, frame });
      }
      findContacts(segment, span, into);
      return true;
    },
  };
}

function writeGivenFrame([w, x, y, z]: readonly number[], frame: FootFrame): void {
  const norm = Math.hypot(w!, x!, y!, z!);
  const [a, b, c, d] = [w! / norm, x! / norm, y! / norm, z! / norm];
  // Rows of the rotation matrix: the foot's axes in the sensor's frame.
  frame.forward.set([1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)]);
  frame.left.set([2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)]);
  frame.up.set([2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)]);
}

function measurePath(
  { position, quat }: FootSegment,
  { first, last }: Span,
  { step, levelM }: { step: FootStep; levelM: number },
): void {
  step.lengthM = Math.hypot(position[3 * last]!, position[3 * last + 1]!);
  const height = position[3 * last + 2]!;
  step.heightChangeM = height;
  // A change within what is level is an error, which came in evenly; a stair is real, and stays.
  const error = Math.abs(height) < levelM ? height / (last - first) : 0;
  let highest = 0;
  for (let i = first; i <= last; i++) highest = Math.max(highest, position[3 * i + 2]! - error * (i - first));
  step.clearanceM = highest;
  // Turn about the vertical between the two: the part about z of last * conjugate(first).
  const [w, x, y, z] = [quat[4 * first]!, quat[4 * first + 1]!, quat[4 * first + 2]!, quat[4 * first + 3]!];
  const [W, X, Y, Z] = [quat[4 * last]!, quat[4 * last + 1]!, quat[4 * last + 2]!, quat[4 * last + 3]!];
  const real = W * w + X * x + Y * y + Z * z;
  const about = -W * z + X * y - Y * x + Z * w;
  const turn = 2 * Math.atan2(about, real);
  step.turnDeg = (turn > Math.PI ? turn - 2 * Math.PI : turn < -Math.PI ? turn + 2 * Math.PI : turn) / DEG;
}

/** Adds direction and up of a straight step to the sums. */
function learnFrame(
  segment: FootSegment,
  { first, last, half }: Span,
  { step, sums, offset }: { step: FootStep; sums: Float64Array; offset: number },
): void {
  if (step.lengthM < STRAIGHT_LENGTH_M || Math.abs(step.turnDeg) > STRAIGHT_TURN_DEG) return;
  for (let i = offset; i < offset + FRAME_LENGTH; i++) sums[i] = sums[i]! * FRAME_KEPT;
  addForward(segment, { at: first, last, weight: 0.5 }, { sums, offset });
  addForward(segment, { at: last, last, weight: 0.5 }, { sums, offset });
  for (const at of [first, last]) {
    gravityAt(segment, at, half);
    for (let axis = 0; axis < 3; axis++) sums[offset + 3 + axis] = sums[offset + 3 + axis]! + gravity[axis]!;
  }
}

/** Adds the horizontal direction from the first stance to `last`, as the sensor sees it at reading `at`. */
function addForward(
  { position, quat }: FootSegment,
  { at, last, weight }: { at: number; last: number; weight: number },
  { sums, offset }: { sums: Float64Array; offset: number },
): void {
  const length = Math.hypot(position[3 * last]!, position[3 * last + 1]!);
  if (length === 0) return;
  const dx = (weight * position[3 * last]!) / length;
  const dy = (weight * position[3 * last + 1]!) / length;
  const w = quat[4 * at]!;
  const x = quat[4 * at + 1]!;
  const y = quat[4 * at + 2]!;
  const z = quat[4 * at + 3]!;
  sums[offset] = sums[offset]! + (1 - 2 * (y * y + z * z)) * dx + 2 * (x * y + w * z) * dy;
  sums[offset + 1] = sums[offset + 1]! + 2 * (x * y - w * z) * dx + (1 - 2 * (x * x + z * z)) * dy;
  sums[offset + 2] = sums[offset + 2]! + 2 * (x * z + w * y) * dx + 2 * (y * z - w * x) * dy;
}

const own = new Float64Array(FRAME_LENGTH);

/** The frame of the sums; before the first straight step, that of this step alone. */
function writeFrame(
  segment: FootSegment,
  { first, last, half }: Span,
  { sums, offset, frame }: { sums: Float64Array; offset: number; frame: FootFrame },
): void {
  own.set(sums.subarray(offset, offset + FRAME_LENGTH));
  if (own[3] === 0 && own[4] === 0 && own[5] === 0) {
    addForward(segment, { at: first, last, weight: 1 }, { sums: own, offset: 0 });
    gravityAt(segment, first, half);
    own.set(gravity, 3);
  }
  const { forward, left, up } = frame;
  const upLength = Math.hypot(own[3]!, own[4]!, own[5]!);
  for (let axis = 0; axis < 3; axis++) up[axis] = own[3 + axis]! / upLength;
  // Left is square to up and forward, and forward to both.
  left[0] = up[1]! * own[2]! - up[2]! * own[1]!;
  left[1] = up[2]! * own[0]! - up[0]! * own[2]!;
  left[2] = up[0]! * own[1]! - up[1]! * own[0]!;
  const leftLength = Math.hypot(left[0], left[1], left[2]) || 1;
  for (let axis = 0; axis < 3; axis++) left[axis] = left[axis]! / leftLength;
  forward[0] = left[1]! * up[2]! - left[2]! * up[1]!;
  forward[1] = left[2]! * up[0]! - left[0]! * up[2]!;
  forward[2] = left[0]! * up[1]! - left[1]! * up[0]!;
}
