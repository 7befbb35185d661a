/** Owns the proof of signs, orders and gimbal handling of joint angles, on rotations that are made of known angles. */

import { expect, test } from 'vitest';

import {
  joints,
  relativeOrientation,
  segmentPitch,
  writeJointAngles,
  writePelvisAngles,
  type Joint,
  type JointName,
} from '#motion/joints/joint-angles.ts';
import { fromAxisAngle, multiply } from '#motion/quaternion.ts';

type Turn = readonly ['x' | 'y' | 'z', number];

/** Turns in degrees about the axes x forward, y left, z up, the first one outermost. */
function turned(...turns: readonly Turn[]): Float64Array {
  const out = Float64Array.of(1, 0, 0, 0);
  const one = new Float64Array(4);
  for (const [axis, deg] of turns) {
    fromAxisAngle(
      Float64Array.of(Number(axis === 'x'), Number(axis === 'y'), Number(axis === 'z')),
      (deg * Math.PI) / 180,
      one,
    );
    multiply(out, one, out);
  }
  return out;
}

function jointOf(name: JointName, side: 'left' | 'right' | null): Joint {
  return joints.find((joint) => joint.name === name && joint.side === side)!;
}

function anglesOf(joint: Joint, relative: Float64Array, planeBefore = Number.NaN): number[] {
  const out = Float64Array.of(planeBefore, 0, 0);
  writeJointAngles(joint, relative, out);
  return rounded(out);
}

/** To 1e-6 degrees: an arc sine next to 90 degrees knows no more. */
function rounded(values: Float64Array): number[] {
  return [...values].map((value) => Math.round(value * 1e6) / 1e6 + 0);
}

const legs: readonly [JointName, 1 | -1][] = [
  ['hip', -1],
  ['knee', 1],
  ['ankle', -1],
];

test.each(legs)(
  'the %s turns by flexion, adduction and internal rotation, on both sides alike',
  (name, sign) => {
    // Of the right leg, adduction moves the lower end to the left (+x), and internal rotation turns the toes to the left (+z).
    expect(anglesOf(jointOf(name, 'right'), turned(['y', 40 * sign], ['x', 7], ['z', -11]))).toEqual([
      40, 7, -11,
    ]);
    expect(anglesOf(jointOf(name, 'left'), turned(['y', 40 * sign], ['x', -7], ['z', 11]))).toEqual([
      40, 7, -11,
    ]);
  },
);

test('a thigh that swings forward flexes the hip, a shank that swings back flexes the knee', () => {
  // A negative turn about the axis to the left moves what hangs down forward.
  const thigh = turned(['y', -30]);
  const shank = turned(['y', 25]);
  const relative = new Float64Array(4);
  relativeOrientation(turned(['z', 70]), turned(['z', 70], ['y', -30]), relative);
  expect(anglesOf(jointOf('hip', 'right'), relative)).toEqual([30, 0, 0]);
  relativeOrientation(thigh, shank, relative);
  expect(anglesOf(jointOf('knee', 'left'), relative)).toEqual([55, 0, 0]);
  expect(segmentPitch(thigh)).toBeCloseTo(30, 9);
  expect(segmentPitch(turned(['z', 120], ['x', 5], ['y', -20]))).toBeCloseTo(20, 9);
});

test('at a frontal angle of 90 degrees the rest of the turn is flexion', () => {
  for (const frontal of [90, -90]) {
    const found = anglesOf(jointOf('knee', 'right'), turned(['y', 20], ['x', frontal]));
    expect(found[0]).toBeCloseTo(20, 5);
    expect(found[1]).toBeCloseTo(frontal, 5);
    expect(found[2]).toBeCloseTo(0, 5);
  }
});

test('the trunk flexes forward, to the right and turns to the left', () => {
  expect(anglesOf(jointOf('trunk', null), turned(['y', 12], ['x', 6], ['z', 20]))).toEqual([12, 6, 20]);
});

test('the elbow flexes forward and pronates inward, and its carrying angle leads outward', () => {
  expect(anglesOf(jointOf('elbow', 'right'), turned(['y', -80], ['x', -9], ['z', 30]))).toEqual([80, 9, 30]);
  expect(anglesOf(jointOf('elbow', 'left'), turned(['y', -80], ['x', 9], ['z', -30]))).toEqual([80, 9, 30]);
});

test('the shoulder has plane of elevation, elevation and rotation, on both sides alike', () => {
  const right = turned(['z', 60], ['x', -75], ['z', -20]);
  const left = turned(['z', -60], ['x', 75], ['z', 20]);
  expect(anglesOf(jointOf('shoulder', 'right'), right)).toEqual([60, 75, -20]);
  expect(anglesOf(jointOf('shoulder', 'left'), left)).toEqual([60, 75, -20]);
  // Abduction of the right arm moves its lower end to the right; forward flexion is plane 90.
  expect(anglesOf(jointOf('shoulder', 'right'), turned(['x', -40]))).toEqual([0, 40, 0]);
  expect(anglesOf(jointOf('shoulder', 'right'), turned(['y', -50])).slice(0, 2)).toEqual([90, 50]);
});

test('an arm that hangs or points straight up keeps its plane, and turns about itself', () => {
  const shoulder = jointOf('shoulder', 'right');
  expect(anglesOf(shoulder, turned(['z', 25]))).toEqual([0, 0, 25]);
  expect(anglesOf(shoulder, turned(['z', 25]), 70)).toEqual([70, 0, -45]);
  const up = anglesOf(shoulder, turned(['z', 60], ['x', -180], ['z', -20]), 60);
  expect([up[0]!, up[2]!]).toEqual([60, -20]);
  expect(up[1]).toBeCloseTo(180, 5);
});

test('the pelvis tilts forward, lifts its left side and turns to the left', () => {
  const out = new Float64Array(3);
  writePelvisAngles(turned(['z', 33], ['x', 4], ['y', 11]), out);
  expect(rounded(out)).toEqual([11, 4, 33]);
});
