import { expect, test } from 'vitest';

import { createPeriodicSpline } from '#simulator/periodic-spline.ts';

const noise = Float64Array.from({ length: 24 }, (_, i) => Math.sin(i * i));
const at = (control: Float64Array, parameter: number): number => {
  const out = new Float64Array(1);
  createPeriodicSpline(control, 1).evaluate(parameter, out);
  return out[0]!;
};

test('a spline repeats after its control points, to both sides', () => {
  for (const parameter of [0, 0.3, 7.9, 23.99]) {
    expect(at(noise, parameter + 24)).toBeCloseTo(at(noise, parameter), 12);
    expect(at(noise, parameter - 48)).toBeCloseTo(at(noise, parameter), 12);
  }
});

test('it is exactly constant where six control points are equal, and reproduces a straight line', () => {
  const control = noise.slice();
  control.fill(0, 8, 16);
  for (let p = 10; p <= 13; p += 0.1) expect(at(control, p)).toBe(0);
  const line = Float64Array.from({ length: 24 }, (_, i) => 3 * i - 1);
  for (let p = 2; p <= 20; p += 0.37) expect(at(line, p)).toBeCloseTo(3 * p - 1, 11);
});

test('value and the first four derivatives are continuous where two pieces meet', () => {
  const h = 1e-2;
  // Fifth differences over h are h^5 times the fifth derivative, which is bounded; a jump in the fourth would be h^4.
  const fifth = (p: number): number =>
    [1, -5, 10, -10, 5, -1].reduce((sum, weight, i) => sum + weight * at(noise, p + (i - 2.5) * h), 0);
  for (let knot = 1; knot < 24; knot++) expect(Math.abs(fifth(knot))).toBeLessThan(100 * h ** 5);
});

test('channels are independent', () => {
  const two = Float64Array.from({ length: 48 }, (_, i) => (i % 2 === 0 ? noise[i / 2]! : 5));
  const out = new Float64Array(2);
  createPeriodicSpline(two, 2).evaluate(3.3, out);
  expect(out[0]).toBe(at(noise, 3.3));
  expect(out[1]).toBeCloseTo(5, 14);
});
