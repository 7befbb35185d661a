import { expect, test } from 'vitest';

import { normal, seededRandom } from '#base/random.ts';
import {
  angleBetween,
  conjugate,
  fromAxisAngle,
  fromMatrix,
  fromRotationVector,
  fromTwoVectors,
  multiply,
  nlerp,
  normalise,
  rotate,
  rotateInverse,
  setIdentity,
  slerp,
  toMatrix,
  toRotationVector,
  twistAngle,
} from '#motion/quaternion.ts';

const random = seededRandom(6);
const vector = (): Float64Array => Float64Array.from({ length: 3 }, () => normal(random));
const quaternion = (): Float64Array => {
  const q = Float64Array.from({ length: 4 }, () => normal(random));
  normalise(q, q);
  return q;
};
const four = (): Float64Array => new Float64Array(4);
/** Largest difference of two lists. */
const difference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

test('a quarter turn about z takes x to y', () => {
  const q = four();
  fromAxisAngle(Float64Array.of(0, 0, 2), Math.PI / 2, q);
  const v = Float64Array.of(1, 0, 0);
  rotate(q, v, v);
  expect(difference(v, [0, 1, 0])).toBeLessThan(1e-12);
  rotateInverse(q, v, v);
  expect(difference(v, [1, 0, 0])).toBeLessThan(1e-12);
});

test('a product turns as its factors do one after the other, also in place', () => {
  for (let i = 0; i < 50; i++) {
    const a = quaternion();
    const b = quaternion();
    const v = vector();
    const oneByOne = new Float64Array(3);
    rotate(b, v, oneByOne);
    rotate(a, oneByOne, oneByOne);
    multiply(a, b, b);
    rotate(b, v, v);
    expect(difference(v, oneByOne)).toBeLessThan(1e-12);
  }
});

test('matrices, rotation vectors and conjugates say the same turn', () => {
  for (let i = 0; i < 200; i++) {
    const q = quaternion();
    const m = new Float64Array(9);
    toMatrix(q, m);
    const again = four();
    fromMatrix(m, again);
    expect(angleBetween(q, again)).toBeLessThan(1e-10);
    const v = new Float64Array(3);
    toRotationVector(q, v);
    expect(Math.hypot(...v)).toBeLessThanOrEqual(Math.PI);
    fromRotationVector(v, again);
    expect(angleBetween(q, again)).toBeLessThan(1e-10);
    conjugate(q, again);
    multiply(q, again, again);
    expect(difference(again, [1, 0, 0, 0])).toBeLessThan(1e-12);
    const column = Float64Array.of(0, 1, 0);
    rotate(q, column, column);
    expect(difference(column, [m[1]!, m[4]!, m[7]!])).toBeLessThan(1e-12);
  }
});

test('the shortest turn between two directions, opposite ones included', () => {
  const q = four();
  for (let i = 0; i < 50; i++) {
    const from = vector();
    const to = i % 5 === 0 ? from.map((x) => -x) : vector();
    fromTwoVectors(from, to, q);
    const turned = new Float64Array(3);
    rotate(q, from, turned);
    const scale = Math.hypot(...from) / Math.hypot(...to);
    expect(
      difference(
        turned,
        to.map((x) => x * scale),
      ),
    ).toBeLessThan(1e-12);
    expect(Math.hypot(...q)).toBeCloseTo(1, 12);
  }
  for (const axis of [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ]) {
    const v = Float64Array.from(axis);
    fromTwoVectors(
      v,
      v.map((x) => -x),
      q,
    );
    rotate(q, v, v);
    expect(
      difference(
        v,
        axis.map((x) => -x),
      ),
    ).toBeLessThan(1e-12);
  }
  fromTwoVectors(new Float64Array(3), Float64Array.of(1, 0, 0), q);
  expect(difference(q, [1, 0, 0, 0])).toBeLessThan(1e-12);
});

test('interpolation takes the shorter way, whatever the signs', () => {
  const a = quaternion();
  const turn = four();
  fromRotationVector(Float64Array.of(0.3, -0.8, 0.5), turn);
  const b = four();
  multiply(a, turn, b);
  const angle = angleBetween(a, b);
  for (const sign of [1, -1]) {
    const target = b.map((x) => sign * x);
    const between = four();
    for (const share of [0, 0.25, 0.5, 1]) {
      slerp(a, target, share, between);
      expect(angleBetween(a, between)).toBeCloseTo(share * angle, 10);
      expect(angleBetween(between, b)).toBeCloseTo((1 - share) * angle, 10);
    }
    nlerp(a, target, 0.5, between);
    expect(angleBetween(a, between)).toBeCloseTo(angle / 2, 10);
  }
});

test('the twist about an axis is all of a turn about it and none of one across it', () => {
  const z = Float64Array.of(0, 0, 1);
  const q = four();
  fromAxisAngle(z, -2.5, q);
  expect(twistAngle(q, z)).toBeCloseTo(-2.5, 12);
  const swing = four();
  fromAxisAngle(Float64Array.of(1, 2, 0), 1.1, swing);
  expect(twistAngle(swing, z)).toBeCloseTo(0, 12);
  multiply(swing, q, q);
  expect(twistAngle(q, z)).toBeCloseTo(-2.5, 12);
  setIdentity(q);
  expect(twistAngle(q, z)).toBe(0);
});
