import fc from 'fast-check';
import { expect, test } from 'vitest';

import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';

const anyDurations = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 300 });

test('a quantile is never too low and at most 0.8 % too high', () => {
  fc.assert(
    fc.property(anyDurations, fc.double({ min: 0, max: 1, noNaN: true }), (durations, quantile) => {
      const histogram = createLatencyHistogram();
      for (const duration of durations) histogram.record(duration);
      const sorted = durations.toSorted((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil(quantile * sorted.length)) - 1]! / 1000;
      expect(histogram.quantileMs(quantile)).toBeGreaterThanOrEqual(exact);
      expect(histogram.quantileMs(quantile)).toBeLessThanOrEqual(exact * 1.008);
    }),
  );
});

test('merging two histograms is recording everything in one', () => {
  fc.assert(
    fc.property(anyDurations, anyDurations, (left, right) => {
      const [a, b, both] = [createLatencyHistogram(), createLatencyHistogram(), createLatencyHistogram()];
      for (const duration of left) a.record(duration);
      for (const duration of right) b.record(duration);
      for (const duration of [...left, ...right]) both.record(duration);
      a.add(b.snapshot());
      expect(a.snapshot()).toEqual(both.snapshot());
      expect(a.count).toBe(both.count);
    }),
  );
});

test('nothing recorded is not a number, out of range counts at the edge', () => {
  const histogram = createLatencyHistogram();
  expect(histogram.quantileMs(0.5)).toBeNaN();
  expect(histogram.meanMs()).toBeNaN();
  histogram.record(-5);
  expect(histogram.quantileMs(1)).toBe(0);
  histogram.record(2 ** 40);
  expect(histogram.maxMs()).toBe((2 ** 32 - 1) / 1000);
  histogram.reset();
  expect(histogram.count).toBe(0);
});
