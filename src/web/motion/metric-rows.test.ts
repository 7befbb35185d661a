import { expect, test } from 'vitest';

import type { Metric } from '#web/motion/gait-feed.ts';
import { formatFixed, metricRows, withUnit } from '#web/motion/metric-rows.ts';

const metric = (over: Partial<Metric>): Metric => ({
  metric: 'stride-length',
  label: 'Stride length',
  side: 'left',
  value: 1.3112,
  spread: 0.0449,
  count: 12,
  unit: 'm',
  digits: 2,
  latencyS: 0.5,
  error: { value: 0.018, kind: 'mean absolute', source: 'gaitmap, 4x10 m' },
  reason: null,
  ...over,
});

test('sides share a row, with the digits a figure is worth and its error beside it', () => {
  const [row, ...rest] = metricRows([metric({}), metric({ side: 'right', value: 1.2888 })]);
  expect(rest).toEqual([]);
  expect(row).toMatchObject({ label: 'Stride length', unit: 'm', both: null });
  expect([row!.left!.text, row!.left!.error]).toEqual(['1.31', '±\u202f0.02']);
  expect(row!.right!.text).toBe('1.29');
  expect(row!.left!.behind).toBe('n 12, SD 0.04\u202fm');
  expect(row!.left!.meaning).toBe(
    'From 12 strides; standard deviation 0.04\u202fm; known error 0.02\u202fm (mean absolute, gaitmap, 4x10 m); 0.5\u202fs after the fact.',
  );
});

test('without a value there is a dash and the reason, and no error', () => {
  const [row] = metricRows([metric({ value: null, reason: 'Needs both feet' })]);
  expect(row!.left).toEqual({
    text: '–',
    error: null,
    meaning: 'Needs both feet',
    behind: '',
    hasValue: false,
  });
  expect(metricRows([metric({ value: null, reason: null })])[0]!.left!.meaning).toBe(
    'Not enough to tell yet',
  );
});

test('a figure without a known error says so', () => {
  const [row] = metricRows([metric({ error: null, side: null, count: 1, spread: null, latencyS: null })]);
  expect(row!.both!.error).toBe(null);
  expect(row!.both!.meaning).toBe('From 1 stride; its error was never measured against a reference.');
});

test('an error below the last digit is not shown as none', () => {
  const error = { value: 0.003, kind: 'mean absolute', source: 's' };
  expect(metricRows([metric({ error })])[0]!.left!.error).toBe('±\u202f0.003');
});

test('numbers have a real minus sign, and zero has none', () => {
  expect([formatFixed(-1.25, 1), formatFixed(-0.04, 1), formatFixed(57.34, 0)]).toEqual([
    '\u22121.3',
    '0.0',
    '57',
  ]);
  expect([withUnit('57', '°'), withUnit('1', ''), withUnit('2', 'm')]).toEqual(['57°', '1', '2\u202fm']);
});
