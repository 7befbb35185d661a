import { expect, test } from 'vitest';

import {
  footPitchDeg,
  harmonicCurve,
  kneeFlexionDeg,
  monotoneCurve,
  smoothStep,
  thighFlexionDeg,
} from '#simulator/gait-curves.ts';

test('a monotone curve meets its landmarks and never overshoots between them', () => {
  const curve = monotoneCurve([
    [0, 0],
    [0.2, 10],
    [0.5, 10],
    [0.7, -4],
  ]);
  expect([0, 0.2, 0.5, 0.7, 1, -0.3].map(curve)).toEqual([0, 10, 10, -4, 0, -4]);
  for (let p = 0; p < 1; p += 0.003) {
    expect(curve(p)).toBeGreaterThan(-4 - 1e-12);
    expect(curve(p)).toBeLessThan(10 + 1e-12);
  }
  expect(curve(0.35)).toBeCloseTo(10, 12);
});

test('a harmonic curve gives back a curve that has no more harmonics than it may keep', () => {
  const landmarks = Array.from({ length: 64 }, (_, i): [number, number] => [
    i / 64,
    3 + 2 * Math.cos((4 * Math.PI * i) / 64) - Math.sin((2 * Math.PI * i) / 64),
  ]);
  const curve = harmonicCurve(landmarks, 2);
  for (const [phase, value] of landmarks) expect(curve(phase)).toBeCloseTo(value, 2);
});

test('the curves of normal gait have the values of their source', () => {
  // Perry and Burnfield 2010: knee 15 to 20 degrees in loading response, 60 to 65 in swing; thigh 20 ahead and behind.
  const sampled = Array.from({ length: 1000 }, (_, i) => i / 1000);
  expect(Math.max(...sampled.filter((p) => p < 0.3).map(kneeFlexionDeg))).toBeCloseTo(18, 0);
  const peak = sampled.reduce((best, p) => (kneeFlexionDeg(p) > kneeFlexionDeg(best) ? p : best));
  expect(peak).toBeGreaterThan(0.7);
  expect(peak).toBeLessThan(0.75);
  expect(kneeFlexionDeg(peak)).toBeGreaterThan(60);
  expect(kneeFlexionDeg(peak)).toBeLessThan(66);
  expect(Math.min(...sampled.map(kneeFlexionDeg))).toBeGreaterThan(3);
  expect(thighFlexionDeg(0)).toBeGreaterThan(20);
  expect(thighFlexionDeg(0.5)).toBeLessThan(-15);
  for (let p = 0.09; p <= 0.32; p += 0.01) expect(footPitchDeg(p)).toBe(0);
});

test('smoothStep goes from 0 to 1 and stays', () => {
  expect([-1, 2, 3, 4, 9].map((value) => smoothStep(value, 2, 4))).toEqual([0, 0, 0.5, 1, 1]);
});
