/**
 * Owns the figures that a summary gives: means, symmetry, variation, trend, ranges of motion and amounts, each with its count,
 * its spread, and the reason when there is no value.
 */

import type { Side } from '#motion/body-model.ts';
import {
  meanQuantities,
  trendQuantities,
  type Quantity,
  type SideState,
  type SummaryState,
} from '#motion/gait/summary-state.ts';
import { mergeTallies, spreadOf, type Tally } from '#motion/gait/tally.ts';
import { comparedQuantities, variableQuantities } from '#motion/metric-catalogue.ts';
import type { MetricValue } from '#motion/results.ts';
import {
  gaitAsymmetry,
  normalisedSymmetryIndex,
  robinsonIndex,
  symmetryAngle,
  symmetryRatio,
} from '#motion/symmetry/indices.ts';
import { MIN_REGULARITY_STRIDES } from '#motion/symmetry/trunk-regularity.ts';
import { MIN_TREND_BLOCKS, TREND_BLOCK_STRIDES, type TrendState } from '#motion/symmetry/trend.ts';

/** Strides of each side below which a difference of the means is mostly chance. */
export const MIN_SYMMETRY_STRIDES = 5;
/** Thirty steps: the fewest for a variation that repeats (Galna 2013, doi:10.1016/j.gaitpost.2012.07.013). */
export const MIN_VARIATION_STRIDES = 15;

const noLengths = 'no length of strides from the sensors worn';
const noFinalContacts = 'no final contacts';
const needsBothFeet = 'needs contacts of both feet';
/** Why all strides lack it. */
const missingReasons: Readonly<Record<Quantity, string>> = {
  speed: noLengths,
  cadence: 'no stride',
  'stride-length': noLengths,
  'stride-time': 'no stride',
  'step-time': needsBothFeet,
  'stance-time': noFinalContacts,
  'swing-time': noFinalContacts,
  'stance-share': noFinalContacts,
  'swing-share': noFinalContacts,
  'double-support': needsBothFeet,
  clearance: 'no height of the foot from the sensors worn',
};

const sides = ['left', 'right'] as const;

export function summaryValues(state: SummaryState): readonly MetricValue[] {
  return [
    ...meanValues(state),
    ...symmetryValues(state),
    ...variationValues(state),
    ...trendValues(state),
    ...regularityValues(state),
    ...rangeValues(state),
    ...amountValues(state),
  ];
}

function meanValues(state: SummaryState): MetricValue[] {
  const values = meanQuantities.flatMap((metric) => [
    meanValue(metric, null, bothOf(state, metric), missingReason(metric, null, state)),
    ...sides.map((side) =>
      meanValue(metric, side, state[side].tallies[metric], missingReason(metric, side, state)),
    ),
  ]);
  // The steps of both sides together are as long as the strides, so that half a stride is the mean step.
  const strideLength = values.find(({ metric, side }) => metric === 'stride-length' && side === null)!;
  const halved = strideLength.value === null ? null : strideLength.value / 2;
  return [...values, { ...strideLength, metric: 'step-length', value: halved, spread: null }];
}

function bothOf(state: SummaryState, quantity: Quantity): Tally {
  return mergeTallies(state.left.tallies[quantity], state.right.tallies[quantity]);
}

function meanValue(metric: string, side: Side | null, of: Tally, reason: string): MetricValue {
  return of.count === 0
    ? { metric, side, value: null, spread: null, count: 0, reason }
    : { metric, side, value: of.mean, spread: spreadOf(of), count: of.count, reason: null };
}

function missingReason(quantity: Quantity, side: Side | null, state: SummaryState): string {
  const total = (of: (side: SideState) => number): number =>
    side === null ? of(state.left) + of(state.right) : of(state[side]);
  const foot = side === null ? '' : ` of the ${side} foot`;
  if (total(({ strides }) => strides) === 0) return `no stride${foot}`;
  if (total(({ steady }) => steady) === 0) return `no stride${foot} straight ahead on the level`;
  return missingReasons[quantity];
}

function symmetryValues(state: SummaryState): MetricValue[] {
  return comparedQuantities.flatMap((quantity) => {
    const left = state.left.tallies[quantity];
    const right = state.right.tallies[quantity];
    const count = left.count + right.count;
    const reason = fewStrides(quantity, MIN_SYMMETRY_STRIDES, state);
    const range = { min: Math.min(left.min, right.min), max: Math.max(left.max, right.max) };
    const measures = {
      ratio: symmetryRatio(left.mean, right.mean),
      'robinson-index': robinsonIndex(left.mean, right.mean),
      'symmetry-angle': symmetryAngle(left.mean, right.mean),
      asymmetry: gaitAsymmetry(left.mean, right.mean),
      'normalised-index': normalisedSymmetryIndex(left.mean, right.mean, range),
    };
    return Object.entries(measures).map(([measure, found]) => {
      const value = reason === null ? found : null;
      const why = value === null ? (reason ?? 'the values of the sides cannot be compared') : null;
      return { metric: `${quantity}-${measure}`, side: null, value, spread: null, count, reason: why };
    });
  });
}

/** The first side that has less than `least` steady strides with the quantity, in words; null when both have. */
function fewStrides(quantity: Quantity, least: number, state: SummaryState): string | null {
  for (const side of sides) {
    const { count } = state[side].tallies[quantity];
    if (count === 0) return missingReason(quantity, side, state);
    if (count < least) return `needs ${least} steady strides of the ${side} foot`;
  }
  return null;
}

/** Coefficients of variation; that of both sides is over the mean of their variances, so that asymmetry is not in it. */
function variationValues(state: SummaryState): MetricValue[] {
  return variableQuantities.flatMap((quantity) => {
    const metric = `${quantity}-cv`;
    const left = state.left.tallies[quantity];
    const right = state.right.tallies[quantity];
    const reason = fewStrides(quantity, MIN_VARIATION_STRIDES, state);
    const spread = reason === null ? Math.hypot(spreadOf(left)!, spreadOf(right)!) / Math.SQRT2 : 0;
    const value = reason === null ? (100 * spread) / ((left.mean + right.mean) / 2) : null;
    const both = { metric, side: null, value, spread: null, count: left.count + right.count, reason };
    return [both, ...sides.map((side) => variationValue(quantity, side, state))];
  });
}

function variationValue(quantity: Quantity, side: Side, state: SummaryState): MetricValue {
  const of = state[side].tallies[quantity];
  const entry = { metric: `${quantity}-cv`, side, spread: null, count: of.count };
  if (of.count === 0) return { ...entry, value: null, reason: missingReason(quantity, side, state) };
  if (of.count < MIN_VARIATION_STRIDES) {
    const reason = `needs ${MIN_VARIATION_STRIDES} steady strides of the ${side} foot`;
    return { ...entry, value: null, reason };
  }
  return { ...entry, value: (100 * spreadOf(of)!) / of.mean, reason: null };
}

function trendValues(state: SummaryState): MetricValue[] {
  const steady = state.left.steady + state.right.steady;
  return [
    ...trendQuantities.map((name) => trendValue(`${name}-trend`, state.trends[name], steady)),
    trendValue('swing-time-robinson-index-trend', state.swingIndexTrend, steady),
  ];
}

function trendValue(metric: string, { trend }: TrendState, count: number): MetricValue {
  if (trend === null) {
    const reason = `needs ${MIN_TREND_BLOCKS * TREND_BLOCK_STRIDES} steady strides with a value`;
    return { metric, side: null, value: null, spread: null, count, reason };
  }
  const spread = (trend.high - trend.low) / 2;
  return { metric, side: null, value: trend.slope, spread, count, reason: null };
}

/** Counted by stretches, not strides. Nothing without a sensor on the trunk. */
function regularityValues({ regularity }: SummaryState): MetricValue[] {
  if (regularity === null) return [];
  const why = `needs ${MIN_REGULARITY_STRIDES} steady strides one after the other`;
  return [
    meanValue('step-regularity', null, regularity.step, why),
    meanValue('stride-regularity', null, regularity.stride, why),
    meanValue('trunk-symmetry', null, regularity.symmetry, why),
  ];
}

function rangeValues(state: SummaryState): MetricValue[] {
  const why = (foot: string): string => `no whole steady stride${foot} with this angle`;
  return Object.entries(state.ranges).flatMap(([name, { left, right }]) => [
    meanValue(`${name}-range`, null, mergeTallies(left, right), why('')),
    meanValue(`${name}-range`, 'left', left, why(' of the left foot')),
    meanValue(`${name}-range`, 'right', right, why(' of the right foot')),
    rangeIndex(name, left, right),
  ]);
}

function rangeIndex(name: string, left: Tally, right: Tally): MetricValue {
  const metric = `${name}-range-robinson-index`;
  const count = left.count + right.count;
  const few =
    left.count < MIN_SYMMETRY_STRIDES ? 'left' : right.count < MIN_SYMMETRY_STRIDES ? 'right' : null;
  const value = few === null ? robinsonIndex(left.mean, right.mean) : null;
  const reason =
    few === null
      ? 'the values of the sides cannot be compared'
      : `needs ${MIN_SYMMETRY_STRIDES} steady strides of the ${few} foot`;
  return { metric, side: null, value, spread: null, count, reason: value === null ? reason : null };
}

/** Over all strides, the unsteady ones included. */
function amountValues(state: SummaryState): MetricValue[] {
  const { left, right, bout, turns } = state;
  const strides = left.strides + right.strides;
  const walkingUs = state.walkingUs + (bout === null ? 0 : bout.endUs - bout.startUs);
  return [
    amount('strides', null, strides, strides),
    amount('strides', 'left', left.strides, left.strides),
    amount('strides', 'right', right.strides, right.strides),
    amount('steady-strides', null, left.steady + right.steady, strides),
    amount('steady-strides', 'left', left.steady, left.strides),
    amount('steady-strides', 'right', right.steady, right.strides),
    amount('bouts', null, state.bouts, strides),
    amount('walking-time', null, walkingUs / 1e6, strides),
    distanceValue(state),
    amount('turns', null, turns?.angle.count ?? 0, turns?.angle.count ?? 0),
    ...(turns === null
      ? []
      : [
          meanValue('turn-angle', null, turns.angle, 'no turn'),
          meanValue('turn-time', null, turns.time, 'no turn'),
        ]),
  ];
}

/** The mean of what both feet went; of the one foot that has lengths when the other has none. */
function distanceValue({ left, right }: SummaryState): MetricValue {
  const feet = Number(left.lengths > 0) + Number(right.lengths > 0);
  if (feet > 0)
    return amount(
      'walking-distance',
      null,
      (left.metres + right.metres) / feet,
      left.lengths + right.lengths,
    );
  const reason = left.strides + right.strides === 0 ? 'no stride' : noLengths;
  return { metric: 'walking-distance', side: null, value: null, spread: null, count: 0, reason };
}

function amount(metric: string, side: Side | null, value: number, count: number): MetricValue {
  return { metric, side, value, spread: null, count, reason: null };
}
