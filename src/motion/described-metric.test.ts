import { expect, test } from 'vitest';

import { describeMetric } from '#motion/described-metric.ts';
import { metricOf } from '#motion/metric-catalogue.ts';

test('a figure stands beside what the catalogue says of its metric', () => {
  const { label, unit, digits, latencyS, error } = metricOf('cadence')!;
  const value = { metric: 'cadence', side: null, value: 108.4, spread: 2, count: 12, reason: null };
  expect(describeMetric(value)).toEqual({ ...value, label, unit, digits, latencyS, error });
});

test('what is not finite is not known, and what the catalogue does not have is not shown', () => {
  const value = { metric: 'cadence', side: null, count: 0, reason: 'no strides' };
  expect(describeMetric({ ...value, value: Number.NaN, spread: Number.POSITIVE_INFINITY })).toMatchObject({
    value: null,
    spread: null,
  });
  expect(describeMetric({ ...value, metric: 'mood', value: 1, spread: null })).toBe(null);
});
