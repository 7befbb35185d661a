import { expect, test } from 'vitest';

import type { Cycle, MetricValue, Stride } from '#motion/results.ts';
import { comparisonLines, compareWithNorms } from '#app/analyse/norm-comparison.ts';
import { normCurveOf } from '#app/analyse/norm-files.ts';

const figure = (metric: string, value: number | null, side: MetricValue['side'] = null): MetricValue => ({
  metric,
  side,
  value,
  spread: null,
  count: 9,
  reason: null,
});

function stride(startUs: number, turnDeg: number): Stride {
  return {
    side: 'left',
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
    turnDeg,
    heightChangeM: null,
    terrain: null,
    bout: 0,
  };
}

/** The mean of the norm, off by so many degrees. */
function cycle(startUs: number, offDeg: number): Cycle {
  const { mean } = normCurveOf('knee-flexion', 'left')!;
  const curves = { 'knee-flexion': mean.map((value) => value + offDeg), 'no-such-angle': mean };
  return { side: 'left', startUs, endUs: startUs + 1e6, curves };
}

test('figures of both sides that have a usual range are put beside it', () => {
  const metrics = [
    figure('speed', 0.8),
    figure('cadence', 110),
    figure('stride-length', null),
    figure('swing-time-ratio', 1),
    figure('speed', 0.8, 'left'),
  ];
  const { figures } = compareWithNorms({ metrics, strides: [], cycles: [] });
  expect(figures.map(({ metric, place }) => [metric, place])).toEqual([
    ['speed', 'below'],
    ['cadence', 'within'],
  ]);
  expect(figures[0]!.population).toBe('men and women of 18 to 69 years, own pace');
});

test('the mean curve of steady strides is scored by its distance from the norm', () => {
  const strides = [stride(0, 0), stride(1e6, 0), stride(2e6, 90)];
  const cycles = [cycle(0, 4), cycle(1e6, 8), cycle(2e6, 60)];
  const { curves } = compareWithNorms({ metrics: [], strides, cycles });
  expect(curves).toHaveLength(1);
  expect(curves[0]).toMatchObject({ curve: 'knee-flexion', side: 'left', population: 'adults, own pace' });
  expect(curves[0]!.scoreDeg).toBeCloseTo(6, 4);
});

test('the words say who the norm is of, and there are none without a comparison', () => {
  const comparison = compareWithNorms({
    metrics: [figure('speed', 1.7)],
    strides: [stride(0, 0)],
    cycles: [cycle(0, 5)],
  });
  const text = comparisonLines(comparison).join('\n');
  expect(text).toContain('men and women of 18 to 69 years, own pace');
  expect(text).toContain('above');
  expect(text).toContain('knee flexion, left');
  expect(comparisonLines({ figures: [], curves: [] })).toEqual([]);
});
