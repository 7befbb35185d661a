/**
 * Owns what one step of a foot gives, from stance to stance: path, turn, contacts, terrain; and the frame of the foot, which
 * is found from the steps themselves: up is where gravity was while it stood, forward is where straight steps went.
 */

import type { Parameters, ParameterSpec } from '#motion/algorithm.ts';
import { findContacts, type FootFrame, type SwingContacts } from '#motion/gait/foot-contacts.ts';
import {
  gravityAt,
  gravity,
  integrateSpan,
  type FootSegment,
  type Span,
} from '#motion/gait/foot-strapdown.ts';

export const stepParameters = {
  stairM: {
    default: 0.1,
    min: 0.03,
    max: 0.3,
    unit: 'm',
    summary:
      'change of height from which a stride is up or down if it is steep and straight, or twice that in any case',
    source:
      'less than the lowest usual riser (0.14 m) and more than twice the usual error of height (0.04 m)',
  },
  stairSlope: {
    default: 0.18,
    min: 0,
    max: 1,
    unit: '1',
    summary: 'change of height over length from which a stride is up or down',
    source: 'half of the flattest stairs (20 degrees, ISO 14122-3), since a stride may be half on them',
  },
} as const satisfies Readonly<Record<string, ParameterSpec>>;

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
  /** -1 down, 0 level, 1 up. */
  terrain: number;
}

export interface StepFinder {
  readonly step: FootStep;
  readonly frame: FootFrame;
  /** Measures the step in the span of the segment, with the sums of the frame. False: the foot did not stand at both ends. */
  measure(span: Span, sums: Float64Array, offset: number): boolean;
}

/** `given`: the frame of the foot; null: found from the steps. */
export function createStepFinder(
  segment: FootSegment,
  { given, parameters }: { given: FootFrame | null; parameters: Parameters<typeof stepParameters> },
): StepFinder {
  const frame = given ?? emptyFrame();
  const step: FootStep = {
    finalContact: Number.NaN,
    initialContact: Number.NaN,
    pitchFinal: 0,
    pitchInitial: 0,
    lengthM: 0,
    heightChangeM: 0,
    clearanceM: 0,
    turnDeg: 0,
    terrain: 0,
  };
  const into = { frame, out: step };
  return {
    step,
    frame,
    measure(span, sums, offset) {
      integrateSpan(segment, span);
      if (segment.drift > Math.max(DRIFT_M_S, DRIFT_SHARE * segment.highestSpeed)) return false;
      measurePath(segment, span, { step, parameters });
      if (given === null) {
        learnFrame(segment, span, { step, sums, offset });
        writeFrame(segment, span, { sums, offset, frame });
      }
      findContacts(segment, span, into);
      return true;
    },
  };
}

function emptyFrame(): FootFrame {
  return { forward: new Float64Array(3), left: new Float64Array(3), up: new Float64Array(3) };
}

/** Of the quaternion that turns vectors of the sensor into the foot's frame; null when it is all 0. */
export function frameOfAlignment(w: number, x: number, y: number, z: number): FootFrame | null {
  const norm = Math.hypot(w, x, y, z);
  if (norm === 0) return null;
  const [a, b, c, d] = [w / norm, x / norm, y / norm, z / norm];
  // Rows of the rotation matrix: the foot's axes in the sensor's frame.
  return {
    forward: Float64Array.of(1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)),
    left: Float64Array.of(2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)),
    up: Float64Array.of(2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)),
  };
}

/** Of the sums over steps; null when no straight step was among them. */
export function frameOfSums(sums: Float64Array): FootFrame | null {
  if (!hasSteps(sums)) return null;
  const frame = emptyFrame();
  writeAxes(sums, frame);
  return frame;
}

function hasSteps(sums: Float64Array): boolean {
  return sums[3] !== 0 || sums[4] !== 0 || sums[5] !== 0;
}

function measurePath(
  segment: FootSegment,
  span: Span,
  { step, parameters }: { step: FootStep; parameters: Parameters<typeof stepParameters> },
): void {
  const { position, quat } = segment;
  const end = 3 * span.last;
  step.lengthM = Math.sqrt(position[end]! * position[end]! + position[end + 1]! * position[end + 1]!);
  const height = position[end + 2]!;
  step.heightChangeM = height;
  step.turnDeg = turnDegBetween(quat, 4 * span.first, 4 * span.last);
  const isLevel = isLevelStep(step, parameters);
  step.terrain = isLevel ? 0 : Math.sign(height);
  // A change on what is level is an error, which came in evenly; a stair is real, and stays.
  step.clearanceM = clearance(position, span, isLevel ? height : 0);
}

/** A small change of height is one on stairs when it is steep; a step that turns is short for another reason. */
function isLevelStep(
  { heightChangeM, lengthM, turnDeg }: FootStep,
  { stairM, stairSlope }: Parameters<typeof stepParameters>,
): boolean {
  const change = Math.abs(heightChangeM);
  if (change >= 2 * stairM) return false;
  return change < stairM || change < stairSlope * lengthM || Math.abs(turnDeg) > STRAIGHT_TURN_DEG;
}

/** Highest position less an error that grows evenly to its end. */
function clearance(position: Float64Array, { first, last }: Span, error: number): number {
  const step = error / (last - first);
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = first; i <= last; i++) {
    const height = position[3 * i + 2]! - step * (i - first);
    if (height > highest) highest = height;
  }
  return highest;
}

/** Turn about the vertical from the orientation at `a` to that at `b`: the part about z of b * conjugate(a). */
function turnDegBetween(quat: Float64Array, a: number, b: number): number {
  const real =
    quat[b]! * quat[a]! +
    quat[b + 1]! * quat[a + 1]! +
    quat[b + 2]! * quat[a + 2]! +
    quat[b + 3]! * quat[a + 3]!;
  const about =
    -quat[b]! * quat[a + 3]! -
    quat[b + 1]! * quat[a + 2]! +
    quat[b + 2]! * quat[a + 1]! +
    quat[b + 3]! * quat[a]!;
  const turn = 2 * Math.atan2(about, real);
  return (turn > Math.PI ? turn - 2 * Math.PI : turn < -Math.PI ? turn + 2 * Math.PI : turn) / DEG;
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
  gravityAt(segment, first, half);
  addUp(sums, offset);
  gravityAt(segment, last, half);
  addUp(sums, offset);
}

function addUp(sums: Float64Array, offset: number): void {
  for (let axis = 0; axis < 3; axis++) sums[offset + 3 + axis] = sums[offset + 3 + axis]! + gravity[axis]!;
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
  for (let i = 0; i < FRAME_LENGTH; i++) own[i] = sums[offset + i]!;
  if (!hasSteps(own)) {
    addForward(segment, { at: first, last, weight: 1 }, { sums: own, offset: 0 });
    gravityAt(segment, first, half);
    own.set(gravity, 3);
  }
  writeAxes(own, frame);
}

function writeAxes(sums: Float64Array, { forward, left, up }: FootFrame): void {
  const upLength = Math.hypot(sums[3]!, sums[4]!, sums[5]!);
  for (let axis = 0; axis < 3; axis++) up[axis] = sums[3 + axis]! / upLength;
  // Left is square to up and forward, and forward to both.
  left[0] = up[1]! * sums[2]! - up[2]! * sums[1]!;
  left[1] = up[2]! * sums[0]! - up[0]! * sums[2]!;
  left[2] = up[0]! * sums[1]! - up[1]! * sums[0]!;
  const leftLength = Math.hypot(left[0], left[1], left[2]) || 1;
  for (let axis = 0; axis < 3; axis++) left[axis] = left[axis]! / leftLength;
  forward[0] = left[1] * up[2]! - left[2] * up[1]!;
  forward[1] = left[2] * up[0]! - left[0] * up[2]!;
  forward[2] = left[0] * up[1]! - left[1] * up[0]!;
}
