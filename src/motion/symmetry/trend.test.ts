import { expect, test } from 'vitest';

import { normal, seededRandom } from '#base/random.ts';
import {
  addToTrend,
  createTrend,
  MAX_TREND_BLOCKS,
  MIN_TREND_BLOCKS,
  theilSen,
  TREND_BLOCK_STRIDES,
  type TrendState,
} from '#motion/symmetry/trend.ts';

test('the slope is the median of the slopes of all pairs, its interval by Sen', () => {
  const times = Float64Array.from([1, 2, 3, 4, 5, 6]);
  const values = Float64Array.from([10, 12, 11, 15, 14, 18]);
  // Slopes: 2, .5, 5/3, 1, 1.6, -1, 1.5, 2/3, 1.5, 4, 1.5, 7/3, -1, 1.5, 4.
  // Kendall's variance 6 5 17 / 18; reach 1.96 sqrt(28.33) = 10.43: the 2nd smallest and the 14th (13 + 1).
  expect(theilSen(times, values)).toEqual({ slope: 1.5, low: -1, high: 4 });
});

test('equal values narrow the interval, and constant ones close it', () => {
  const times = Float64Array.from([1, 2, 3, 4, 5, 6]);
  expect(theilSen(times, new Float64Array(6).fill(3))).toEqual({ slope: 0, low: 0, high: 0 });
});

test('too few values leave the interval open, and one time gives no slope', () => {
  expect(theilSen(Float64Array.from([1, 2, 3]), Float64Array.from([1, 2, 3]))).toEqual({
    slope: 1,
    low: -Infinity,
    high: Infinity,
  });
  expect(theilSen(Float64Array.from([1, 1]), Float64Array.from([1, 2]))).toBeNull();
});

function trendOf(times: Float64Array, values: Float64Array): TrendState {
  const state = createTrend();
  for (let i = 0; i < times.length; i++) addToTrend(state, times[i]!, values[i]!);
  return state;
}

test('needs enough blocks and leaves missing values out', () => {
  const count = MIN_TREND_BLOCKS * TREND_BLOCK_STRIDES;
  const times = Float64Array.from({ length: count + 1 }, (_, i) => i);
  const values = Float64Array.from(times, (t) => (t === 7 ? NaN : 2 * t + 1));
  expect(trendOf(times.subarray(0, count), values).trend).toBeNull();
  expect(trendOf(times, values).trend!.slope).toBeCloseTo(2, 12);
});

test('keeps a bounded number of blocks however long the session is', () => {
  const times = Float64Array.from({ length: 5000 }, (_, i) => i);
  const state = createTrend();
  for (const time of times) {
    addToTrend(state, time, 3 * time);
    expect(state.times.length).toBeLessThan(MAX_TREND_BLOCKS);
  }
  expect(state.trend).toEqual({ slope: 3, low: 3, high: 3 });
  expect(state.groupsABlock).toBe(64);
  expect(state.times[0]).toBe((64 * TREND_BLOCK_STRIDES - 1) / 2);
});

test('wild strides change the slope little', () => {
  const times = Float64Array.from({ length: 120 }, (_, i) => i);
  const values = Float64Array.from(times, (t) => 0.5 * t + (t % 12 === 0 ? 1000 : 0));
  expect(trendOf(times, values).trend!.slope).toBeCloseTo(0.5, 1);
});

test('the interval holds the true slope about 19 times of 20', () => {
  const random = seededRandom(5);
  let held = 0;
  const runs = 400;
  for (let run = 0; run < runs; run++) {
    const times = Float64Array.from({ length: 120 }, (_, i) => i / 60);
    const values = Float64Array.from(times, (t) => 0.05 * t + 0.02 * normal(random));
    const trend = trendOf(times, values).trend!;
    if (trend.low <= 0.05 && trend.high >= 0.05) held += 1;
  }
  expect(held / runs).toBeGreaterThan(0.92);
  expect(held / runs).toBeLessThan(0.99);
});
