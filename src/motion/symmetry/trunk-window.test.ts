import { expect, test } from 'vitest';

import type { Stride } from '#motion/results.ts';
import { createTrunkWindow, type RegularStretch, type TrunkWindow } from '#motion/symmetry/trunk-window.ts';

const RATE_HZ = 100;

function strideOf(index: number, side: 'left' | 'right' = 'left'): Stride {
  const startUs = Math.round((index + (side === 'right' ? 0.5 : 0)) * 1e6);
  return {
    side,
    startUs,
    endUs: startUs + 1e6,
    finalContactUs: null,
    strideTimeS: 1,
    stanceTimeS: null,
    swingTimeS: null,
    doubleSupportPercent: null,
    strideLengthM: null,
    speedMS: null,
    cadenceStepsPerMin: 120,
    clearanceM: null,
    turnDeg: null,
    heightChangeM: null,
    terrain: null,
    bout: 0,
  };
}

/** Gravity along x; steps of 2 m/s2 and a limp of 1 m/s2. */
function walk(window: TrunkWindow, seconds: number, without?: readonly [number, number]): void {
  for (let i = 0; i < seconds * RATE_HZ; i++) {
    const timeS = i / RATE_HZ;
    if (without !== undefined && timeS >= without[0] && timeS < without[1]) continue;
    const phase = 2 * Math.PI * timeS;
    const vertical = 9.81 + 2 * Math.sin(2 * phase) + Math.sin(phase);
    window.take(1e6 * timeS, Float64Array.of(0, 0, 0, vertical, 0.3 * Math.cos(phase), 0.1), 3);
  }
}

function strides(window: TrunkWindow, count: number, turning = -1): RegularStretch[] {
  return Array.from({ length: count }, (_, i) => [
    window.stride(strideOf(i), i !== turning),
    window.stride(strideOf(i, 'right'), true),
  ])
    .flat()
    .filter((stretch) => stretch !== null);
}

test('tells of a stretch after eight strides of one foot, along the vertical however the sensor sits', () => {
  const window = createTrunkWindow(RATE_HZ);
  walk(window, 20);
  const told = strides(window, 17);
  expect(told.map((stretch) => stretch.strides)).toEqual([8, 8]);
  expect(told[1]!.stride).toBeCloseTo(1, 1);
  expect(told[1]!.step).toBeCloseTo(0.6, 1);
  expect(told[1]!.symmetry).toBeCloseTo(0.6, 1);
});

test('a turn ends a stretch, which is told when it was long enough', () => {
  const window = createTrunkWindow(RATE_HZ);
  walk(window, 20);
  expect(strides(window, 8, 6).map((stretch) => stretch.strides)).toEqual([6]);
  const another = createTrunkWindow(RATE_HZ);
  walk(another, 20);
  expect(strides(another, 8, 3)).toEqual([]);
});

test('a pause between strides ends a stretch', () => {
  const window = createTrunkWindow(RATE_HZ);
  walk(window, 20);
  for (let i = 0; i < 5; i++) expect(window.stride(strideOf(i), true)).toBeNull();
  expect(window.stride(strideOf(7), true)!.strides).toBe(5);
});

test('a hole in the readings, or readings that are no longer kept, tell nothing', () => {
  const window = createTrunkWindow(RATE_HZ);
  walk(window, 20, [3, 3.2]);
  expect(strides(window, 8)).toEqual([]);
  const long = createTrunkWindow(RATE_HZ);
  walk(long, 60);
  expect(strides(long, 8)).toEqual([]);
});

test('goes on from what was saved', () => {
  const window = createTrunkWindow(RATE_HZ);
  walk(window, 20);
  strides(window, 5);
  const next = createTrunkWindow(RATE_HZ);
  next.load(window.save());
  for (let i = 5; i < 7; i++) next.stride(strideOf(i), true);
  expect(next.stride(strideOf(7), true)!.strides).toBe(8);
});
