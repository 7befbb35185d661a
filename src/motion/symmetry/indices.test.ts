import { expect, test } from 'vitest';

import {
  gaitAsymmetry,
  normalisedSymmetryIndex,
  robinsonIndex,
  symmetryAngle,
  symmetryRatio,
} from '#motion/symmetry/indices.ts';

const nan = Number.NaN;

test('ratio is right over left', () => {
  expect(symmetryRatio(2, 3)).toBe(1.5);
  expect(symmetryRatio(-2, -3)).toBe(1.5);
  expect(symmetryRatio(2, 0)).toBe(0);
  expect(symmetryRatio(0, 2)).toBeNull();
  expect(symmetryRatio(-2, 3)).toBeNull();
  expect(symmetryRatio(nan, 3)).toBeNull();
  expect(symmetryRatio(2, Infinity)).toBeNull();
});

test('Robinson index is the difference over the mean', () => {
  expect(robinsonIndex(0.4, 0.6)).toBeCloseTo(40, 12);
  expect(robinsonIndex(0.6, 0.4)).toBeCloseTo(-40, 12);
  expect(robinsonIndex(5, 5)).toBe(0);
  expect(robinsonIndex(0, 5)).toBe(200);
  expect(robinsonIndex(-1, 1)).toBeNull();
  expect(robinsonIndex(0, 0)).toBeNull();
  expect(robinsonIndex(-1, 1.1)).toBeCloseTo(4200, 6);
  expect(robinsonIndex(5, nan)).toBeNull();
});

test('symmetry angle is the angle to the line of equality', () => {
  expect(symmetryAngle(3, 3)).toBe(0);
  expect(symmetryAngle(-3, -3)).toBe(0);
  expect(symmetryAngle(0, 3)).toBe(50);
  expect(symmetryAngle(3, 0)).toBe(-50);
  expect(symmetryAngle(1, Math.sqrt(3))).toBeCloseTo(100 / 6, 10);
  expect(symmetryAngle(-1, 1)).toBe(100);
  // 45 deg + 63.43 deg is over 90 deg and is taken back by half a turn.
  expect(symmetryAngle(-2, 1)).toBeCloseTo(((45 + 63.434948822922 - 180) / 90) * 100, 9);
  expect(symmetryAngle(0, 0)).toBeNull();
  expect(symmetryAngle(nan, 1)).toBeNull();
});

test('gait asymmetry is the logarithm of the ratio without a sign', () => {
  expect(gaitAsymmetry(1, Math.E)).toBeCloseTo(100, 12);
  expect(gaitAsymmetry(Math.E, 1)).toBeCloseTo(100, 12);
  expect(gaitAsymmetry(2, 2)).toBe(0);
  expect(gaitAsymmetry(0, 2)).toBeNull();
  expect(gaitAsymmetry(-2, -2)).toBeNull();
  expect(gaitAsymmetry(nan, 2)).toBeNull();
});

test('normalised index is the difference over the range of all trials with zero in it', () => {
  expect(normalisedSymmetryIndex(4, 6, { min: 3, max: 8 })).toBe(25);
  expect(normalisedSymmetryIndex(-4, -6, { min: -8, max: -3 })).toBe(-25);
  expect(normalisedSymmetryIndex(-5, 5, { min: -5, max: 5 })).toBe(100);
  expect(normalisedSymmetryIndex(0, 0, { min: 0, max: 0 })).toBeNull();
  expect(normalisedSymmetryIndex(nan, 1, { min: 1, max: 1 })).toBeNull();
  expect(normalisedSymmetryIndex(1, 1, { min: Infinity, max: -Infinity })).toBeNull();
});
