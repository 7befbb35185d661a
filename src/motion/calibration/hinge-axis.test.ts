/** Owns the proof that the axis of a hinge is found from either kind of signal, and that what is no hinge is told from one. */

import { expect, test } from 'vitest';

import { normal, seededRandom, type Random } from '#base/random.ts';
import { fitHingeAxis, hingeAngles, hingeOfOrientations } from '#motion/calibration/hinge-axis.ts';
import {
  conjugate,
  fromAxisAngle,
  fromRotationVector,
  multiply,
  normalise,
  rotateInverse,
} from '#motion/quaternion.ts';

const RATE_HZ = 100;

interface Hinge {
  readonly proximalAxis: Float64Array;
  readonly distalAxis: Float64Array;
  /** Of both sensors: acc 3 (gravity alone) and gyr 3. */
  readonly proximal: Float64Array;
  readonly distal: Float64Array;
  readonly angles: Float64Array;
  /** Distal orientation in the proximal sensor's frame. */
  readonly relative: Float64Array;
}

/** A segment that tumbles and a second one on a hinge at it, both sensors mounted anyhow; `noise` in rad/s and m/s2. */
function moveHinge({ count, noise, extra }: { count: number; noise: number; extra: number }): Hinge {
  const random = seededRandom(5);
  const axis = direction(random);
  const mounting = rotationOf(random);
  const proximal = new Float64Array(6 * count);
  const distal = new Float64Array(6 * count);
  const relative = new Float64Array(4 * count);
  const angles = new Float64Array(count);
  const q = rotationOf(random);
  const r = new Float64Array(4);
  const step = new Float64Array(4);
  const extraTurn = new Float64Array(4);
  const sway = [1.1, 0.8, 0.5].map((size, k) => ({ size, rate: 1.3 + 0.7 * k, phase: k }));
  const before = new Float64Array(4);
  const gyr = new Float64Array(3);
  const acc = new Float64Array(3);
  for (let i = 0; i < count; i++) {
    const t = i / RATE_HZ;
    for (let k = 0; k < 3; k++) gyr[k] = sway[k]!.size * Math.sin(sway[k]!.rate * t + sway[k]!.phase);
    fromRotationVector(
      gyr.map((v) => v / RATE_HZ),
      step,
    );
    multiply(q, step, q);
    angles[i] = 0.8 * Math.sin(2.1 * t) + 0.4 * Math.sin(5 * t);
    fromAxisAngle(axis, angles[i]!, r);
    fromAxisAngle(Float64Array.of(0, 0, 1), extra * Math.sin(3 * t), extraTurn);
    multiply(r, extraTurn, r);
    multiply(r, mounting, r);
    const whole = new Float64Array(4);
    multiply(q, r, whole);
    if (i > 0) {
      conjugate(before, step);
      multiply(step, whole, step);
      write(
        distal,
        6 * i + 3,
        Float64Array.of(step[1]!, step[2]!, step[3]!).map((v) => 2 * v * RATE_HZ),
      );
    }
    before.set(whole);
    write(proximal, 6 * i + 3, gyr);
    rotateInverse(q, Float64Array.of(0, 0, 9.81), acc);
    write(proximal, 6 * i, acc);
    rotateInverse(whole, Float64Array.of(0, 0, 9.81), acc);
    write(distal, 6 * i, acc);
    relative.set(r, 4 * i);
  }
  for (const values of [proximal, distal])
    for (let i = 0; i < values.length; i++) values[i] = values[i]! + noise * normal(random);
  const distalAxis = new Float64Array(3);
  rotateInverse(mounting, axis, distalAxis);
  return { proximalAxis: axis, distalAxis, proximal, distal, angles, relative };
}

function direction(random: Random): Float64Array {
  const v = Float64Array.from({ length: 3 }, () => normal(random));
  const length = Math.hypot(...v);
  return v.map((x) => x / length);
}

function rotationOf(random: Random): Float64Array {
  const q = Float64Array.from({ length: 4 }, () => normal(random));
  normalise(q, q);
  return q;
}

function write(values: Float64Array, at: number, vector: Float64Array): void {
  values.set(vector, at);
}

/** Degrees between two lines. */
function apart(a: Float64Array, b: Float64Array): number {
  const dot = Math.abs(a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]!);
  return (Math.acos(Math.min(1, dot)) * 180) / Math.PI;
}

test('the axis is found in both frames from angular velocity and acceleration, with one sense', () => {
  const hinge = moveHinge({ count: 3000, noise: 0.02, extra: 0 });
  const found = fitHingeAxis(hinge);
  expect(apart(found.proximal, hinge.proximalAxis)).toBeLessThan(1);
  expect(apart(found.distal, hinge.distalAxis)).toBeLessThan(1);
  expect(found.hasCommonSense).toBe(true);
  const sense = (axis: Float64Array, truth: Float64Array): number => Math.sign(axis[0]! * truth[0]!);
  expect(sense(found.proximal, hinge.proximalAxis)).toBe(sense(found.distal, hinge.distalAxis));
  expect(found.quality).toBeGreaterThan(0.8);
  expect(found.reason).toBeNull();
});

test('a joint that turns about other axes too, and one that hardly moves, have a low quality and a reason', () => {
  const loose = fitHingeAxis(moveHinge({ count: 3000, noise: 0.02, extra: 1 }));
  expect(loose.quality).toBeLessThan(0.5);
  expect(loose.reason).toContain('hinge');
  const still = fitHingeAxis({ proximal: new Float64Array(6000), distal: new Float64Array(6000) });
  expect(still.quality).toBe(0);
  expect(still.reason).toContain('hardly moved');
});

test('the axis and the angles are found from orientations', () => {
  const hinge = moveHinge({ count: 2000, noise: 0, extra: 0 });
  const found = hingeOfOrientations(hinge.relative);
  expect(apart(found.axis, hinge.proximalAxis)).toBeLessThan(1e-4);
  expect(found.quality).toBeGreaterThan(0.99);
  const sign = Math.sign(found.axis[0]! * hinge.proximalAxis[0]!);
  const angles = hingeAngles(hinge.relative, found.axis);
  for (let i = 0; i < angles.length; i += 50)
    expect(sign * angles[i]!).toBeCloseTo(hinge.angles[i]! - hinge.angles[0]!, 9);
  expect(hingeOfOrientations(hinge.relative.subarray(0, 8)).reason).toContain('hardly moved');
  expect(hingeOfOrientations(moveHinge({ count: 2000, noise: 0, extra: 1.2 }).relative).reason).toContain(
    'other axes',
  );
});
