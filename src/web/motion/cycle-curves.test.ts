import { expect, test } from 'vitest';

import {
  bandPath,
  curvePath,
  cycleCurves,
  CYCLE_POINTS,
  degreeRange,
  meanCurve,
} from '#web/motion/cycle-curves.ts';
import type { Cycle, Stride } from '#web/motion/gait-feed.ts';

const flat = (value: number | null): (number | null)[] => Array.from({ length: CYCLE_POINTS }, () => value);
const cycle = (side: 'left' | 'right', i: number, value: number): Cycle => ({
  side,
  startUs: i * 1000,
  endUs: i * 1000 + 1000,
  curves: { 'knee-flexion': flat(value) },
});

test('the mean is of the newest cycles of a side, and the last few are drawn singly', () => {
  const cycles = Array.from({ length: 30 }, (_, i) => cycle(i % 2 === 0 ? 'left' : 'right', i, i));
  const { sides } = cycleCurves('knee-flexion', {
    cycles,
    strides: [],
    committed: [{ startUs: 0, endUs: 27_000 }],
  });
  const [left, right] = sides;
  expect(left!.count).toBe(15);
  expect(left!.mean![50]).toBe(14);
  expect(right!.mean![0]).toBe(15);
  expect(left!.single.map(({ startUs, isCommitted }) => [startUs / 1000, isCommitted])).toEqual([
    [20, true],
    [22, true],
    [24, true],
    [26, true],
    [28, false],
  ]);
  expect(left!.isMeanCommitted).toBe(false);
  const stored = cycleCurves('knee-flexion', { cycles, strides: [], committed: 'all' });
  expect(stored.sides.every(({ isMeanCommitted }) => isMeanCommitted)).toBe(true);
});

test('strides that turn or climb are left out of the picture, as they are of the figures', () => {
  const cycles = [1, 2, 3, 4].map((i) => cycle('left', i, i));
  const stride = (i: number, turnDeg: number | null, terrain: Stride['terrain']): Stride =>
    ({
      side: 'left',
      startUs: i * 1000,
      endUs: i * 1000 + 1000,
      finalContactUs: i * 1000 + 600,
      turnDeg,
      terrain,
    }) as Stride;
  const strides = [stride(1, -21, 'level'), stride(2, 20, 'level'), stride(3, null, 'up')];
  const [left] = cycleCurves('knee-flexion', { cycles, strides, committed: 'all' }).sides;
  expect(left!.single.map(({ startUs }) => startUs)).toEqual([2000, 4000]);
});

test('a side or curve without cycles has no mean', () => {
  const { sides } = cycleCurves('hip-flexion', {
    cycles: [cycle('left', 0, 1)],
    strides: [],
    committed: 'all',
  });
  expect(sides.map(({ mean, count }) => [mean, count])).toEqual([
    [null, 0],
    [null, 0],
  ]);
});

test('the mean leaves out what is not known, and is not known where most is not', () => {
  const first = [...flat(10)];
  first[3] = null;
  expect(meanCurve([first, flat(20)])!.slice(2, 4)).toEqual([15, 20]);
  expect(meanCurve([first, first, flat(20)])![3]).toBe(null);
  expect(meanCurve([])).toBe(null);
});

test('foot-off stands at its mean share of the stride', () => {
  const stride = (finalContactUs: number | null): Stride =>
    ({ side: 'left', startUs: 1000, endUs: 2000, finalContactUs, turnDeg: null, terrain: null }) as Stride;
  const { sides } = cycleCurves('x', {
    cycles: [],
    strides: [stride(1600), stride(null), stride(1640)],
    committed: 'all',
  });
  expect(sides.map(({ footOffPercent }) => footOffPercent)).toEqual([62, null]);
});

test('scales are the usual ones, wider by whole tens', () => {
  expect(degreeRange('knee-flexion', [flat(30)])).toEqual({ low: -10, high: 70 });
  expect(degreeRange('knee-flexion', [[-11, 70.5, null]])).toEqual({ low: -20, high: 80 });
  expect(degreeRange('toe-wiggle', [])).toEqual({ low: -20, high: 20 });
});

test('paths break where nothing is known', () => {
  const range = { low: 0, high: 100 };
  expect(curvePath([0, 50, null, 100], range)).toBe('M0 100L33.33 50M100 0');
  expect(bandPath([0, 10], [20, 30], range)).toBe('M0 80L100 70L100 90L0 100Z');
});
