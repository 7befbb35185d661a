/**
 * Owns how a figure changes over a session: the median of the slopes between all pairs of blocks of the session (Theil-Sen)
 * and the interval that Kendall's test gives for it. No normal distribution is assumed, and one wild stride or block changes
 * little; assumed are a change without bends and blocks whose deviations from it are independent. Single strides are not
 * independent, which is why they are put into blocks first. Memory and work are bounded by MAX_TREND_BLOCKS.
 */

import { assert } from '#base/assert.ts';

/** 276 pairs of blocks: microseconds of work, and an interval that is narrow enough to be of use. */
export const MAX_TREND_BLOCKS = 24;
/** A median over fewer strides hardly guards against one wild stride. */
export const TREND_BLOCK_STRIDES = 5;
/** With five, Sen's approximation leaves the interval open, even where all slopes point one way. */
export const MIN_TREND_BLOCKS = 6;

/** Two-sided 95 % point of the normal distribution. */
const Z_95 = 1.959963984540054;

export interface Trend {
  /** Change of the value per unit of time. */
  readonly slope: number;
  /** 95 % confidence interval of the slope; infinite where the blocks are too few to bound it. */
  readonly low: number;
  readonly high: number;
}

/** What is known so far: plain data, so that it can be saved and continued. */
export interface TrendState {
  /** Mean time and mean of the medians of each whole block, oldest first: at most MAX_TREND_BLOCKS. */
  times: number[];
  values: number[];
  /** Groups of TREND_BLOCK_STRIDES that make a block; doubled when the blocks are full and put together by two. */
  groupsABlock: number;
  /** The block that is not whole yet: sums over its whole groups. */
  groups: number;
  timeSum: number;
  valueSum: number;
  /** The group that is not whole yet. */
  groupTimes: number[];
  groupValues: number[];
  trend: Trend | null;
}

export function createTrend(): TrendState {
  return {
    times: [],
    values: [],
    groupsABlock: 1,
    groups: 0,
    timeSum: 0,
    valueSum: 0,
    groupTimes: [],
    groupValues: [],
    trend: null,
  };
}

/**
 * Adds a value at a time not before the last one; what is not finite is left out. `state.trend` is the trend over the whole
 * blocks, null with less than MIN_TREND_BLOCKS. Theil 1950; Sen 1968, doi:10.1080/01621459.1968.10480934.
 */
export function addToTrend(state: TrendState, time: number, value: number): void {
  if (!Number.isFinite(value)) return;
  state.groupTimes.push(time);
  state.groupValues.push(value);
  if (state.groupValues.length < TREND_BLOCK_STRIDES) return;
  state.timeSum += middleOf(state.groupTimes);
  state.valueSum += middleOf(state.groupValues);
  state.groupTimes = [];
  state.groupValues = [];
  state.groups += 1;
  if (state.groups < state.groupsABlock) return;
  state.times.push(state.timeSum / state.groups);
  state.values.push(state.valueSum / state.groups);
  state.groups = 0;
  state.timeSum = 0;
  state.valueSum = 0;
  if (state.times.length === MAX_TREND_BLOCKS) halve(state);
  if (state.times.length >= MIN_TREND_BLOCKS)
    state.trend = theilSen(Float64Array.from(state.times), Float64Array.from(state.values));
}

function halve(state: TrendState): void {
  const byTwo = (values: number[]): number[] =>
    values.filter((_, i) => i % 2 === 0).map((value, i) => (value + values[2 * i + 1]!) / 2);
  state.times = byTwo(state.times);
  state.values = byTwo(state.values);
  state.groupsABlock *= 2;
}

/** Slope and its 95 % interval by Sen's normal approximation with the correction for ties. Null without two different times. */
export function theilSen(times: Float64Array, values: Float64Array): Trend | null {
  assert(times.length === values.length, 'there are as many values as times');
  const n = times.length;
  const slopes = new Float64Array((n * (n - 1)) / 2);
  let count = 0;
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++)
      if (times[j] !== times[i]) slopes[count++] = (values[j]! - values[i]!) / (times[j]! - times[i]!);
  if (count === 0) return null;
  const sorted = slopes.subarray(0, count).sort();
  const reach = Z_95 * Math.sqrt(kendallVariance(values));
  const below = Math.floor((count - reach) / 2);
  const above = Math.ceil((count + reach) / 2);
  return {
    slope: medianOfSorted(sorted),
    low: below >= 1 ? sorted[below - 1]! : -Infinity,
    high: above < count ? sorted[above]! : Infinity,
  };
}

/** Of Kendall's S, with groups of equal values. */
function kendallVariance(values: Float64Array): number {
  const sorted = Float64Array.from(values).sort();
  const term = (t: number): number => t * (t - 1) * (2 * t + 5);
  let sum = term(sorted.length);
  let from = 0;
  for (let i = 1; i <= sorted.length; i++) {
    if (i < sorted.length && sorted[i] === sorted[from]) continue;
    sum -= term(i - from);
    from = i;
  }
  return sum / 18;
}

function middleOf(values: readonly number[]): number {
  return medianOfSorted(Float64Array.from(values).sort());
}

function medianOfSorted(sorted: Float64Array): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
