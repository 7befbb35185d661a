import { expect, test } from 'vitest';

import { createRangeTracker, stepAbove } from '#web/live/value-range.ts';

test('a ladder of 1, 2 and 5', () => {
  expect([0.3, 1, 1.1, 2.5, 77, 100, 412].map(stepAbove)).toEqual([0.5, 1, 2, 5, 100, 100, 500]);
  expect(stepAbove(0)).toBe(0);
});

test('gravity alone does not fill the panel: each unit has a smallest range', () => {
  const tracker = createRangeTracker('m/s2');
  expect(tracker.add(9.81)).toBe(false);
  expect(tracker.range).toEqual({ low: -20, high: 20 });
});

test('a value outside grows the range at once', () => {
  const tracker = createRangeTracker('deg/s');
  expect(tracker.add(-412)).toBe(true);
  expect(tracker.range).toEqual({ low: -500, high: 500 });
  expect(tracker.add(300)).toBe(false);
});

test('the range shrinks only after two sweeps that needed less', () => {
  const tracker = createRangeTracker('m/s2');
  tracker.add(150);
  expect(tracker.endCycle()).toBe(false);
  tracker.add(15);
  expect(tracker.endCycle()).toBe(false);
  expect(tracker.range.high).toBe(200);
  tracker.add(15);
  expect(tracker.endCycle()).toBe(true);
  expect(tracker.range.high).toBe(20);
});

test('the range does not flutter when a signal nearly fills the smaller step', () => {
  const tracker = createRangeTracker('m/s2');
  tracker.add(60);
  expect(tracker.range.high).toBe(100);
  for (let i = 0; i < 5; i++) {
    tracker.add(47);
    tracker.endCycle();
  }
  expect(tracker.range.high).toBe(100);
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
  expect(tracker.add(Number.NaN)).toBe(false);
  expect(tracker.add(Number.POSITIVE_INFINITY)).toBe(false);
  expect(tracker.range).toEqual(before);
  const symmetric = createRangeTracker('g');
  expect(symmetric.add(Number.NEGATIVE_INFINITY)).toBe(false);
  expect(symmetric.range.high).toBe(2);
});
