import { expect, test } from 'vitest';

import { createRangeTracker, stepAbove } from '#web/live/value-range.ts';

test('a ladder of 1, 2 and 5', () => {
  expect([0.3, 1, 1.1, 2.5, 77, 100, 412].map(stepAbove)).toEqual([0.5, 1, 2, 5, 100, 100, 500]);
  expect(stepAbove(0)).toBe(0);
});

test('gravity alone does not fill the panel: each unit has a smallest range', () => {
  const tracker = createRangeTracker('m/s2');
  tracker.add(9.81);
  expect(tracker.range).toEqual({ low: -20, high: 20 });
});

test('a value outside grows the range at once, and only then is it another object', () => {
  const tracker = createRangeTracker('deg/s');
  const before = tracker.range;
  tracker.add(-99);
  expect(tracker.range).toBe(before);
  tracker.add(-412);
  expect(tracker.range).toEqual({ low: -500, high: 500 });
});

/** Sweeps in which the signal reaches `peak`. */
function sweep(tracker: ReturnType<typeof createRangeTracker>, from: number, peaks: readonly number[]) {
  peaks.forEach((peak, i) => {
    tracker.beginCycle(from + i);
    tracker.add(peak);
  });
}

test('the range shrinks only after two sweeps that needed less', () => {
  const tracker = createRangeTracker('m/s2');
  sweep(tracker, 0, [150, 12, 12]);
  expect(tracker.range.high).toBe(200);
  tracker.beginCycle(3);
  expect(tracker.range.high).toBe(20);
});

test('the range does not flutter when a signal nearly fills the smaller step', () => {
  const tracker = createRangeTracker('m/s2');
  sweep(tracker, 0, [60, 47, 47, 47, 47, 47]);
  expect(tracker.range.high).toBe(100);
});

test('a cycle counts once, although the panels of left and right both tell of it', () => {
  const tracker = createRangeTracker('m/s2');
  for (let cycle = 0; cycle < 3; cycle++)
    for (const value of [150, -140]) {
      tracker.beginCycle(cycle);
      tracker.add(value);
    }
  tracker.beginCycle(3);
  tracker.beginCycle(3);
  expect(tracker.range.high).toBe(200);
});

test('a unit that does not swing around zero gets a range around its values', () => {
  const tracker = createRangeTracker('degC');
  tracker.add(36.6);
  tracker.add(36.9);
  const { low, high } = tracker.range;
  expect(low).toBeLessThanOrEqual(36.6);
  expect(high).toBeGreaterThanOrEqual(36.9);
  expect(high - low).toBeLessThan(10);
});

test('a constant has a range, and what is not a number changes nothing', () => {
  const tracker = createRangeTracker('hPa');
  tracker.add(0);
  const before = tracker.range;
  expect(before.high).toBeGreaterThan(before.low);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) tracker.add(value);
  expect(tracker.range).toBe(before);
});
