import { expect, test } from 'vitest';

import { highestRate, nextRate } from '#bench/api/comparison.ts';
import type { Measurement } from '#bench/api/measurement.ts';

/** A server that is fast up to `capacity` requests a second. */
const measured = (ratePerS: number, capacity: number, failed = 0): Measurement => ({
  ratePerS,
  answeredPerS: Math.min(ratePerS, capacity),
  p50Ms: 1,
  p95Ms: ratePerS <= capacity ? 5 : ratePerS <= capacity * 1.1 ? 100 : 900,
  p99Ms: 9,
  byOperationP95Ms: [],
  lagP99Ms: 1,
  answered: ratePerS,
  errors: {},
  failed,
  serverCpuS: 1,
  databaseCpuS: 1,
  redisCpuS: 0,
  generatorBusy: 0.1,
  statements: 0,
  readStatements: 0,
  transactionStatements: 0,
  cache: null,
});

test.each([300, 1_300, 4_700])('a capacity of %i is found within a tenth in ten steps', (capacity) => {
  const tried = [measured(1_300, capacity)];
  for (let step = 0; step < 10; step++) {
    const rate = nextRate(tried);
    if (rate === null) break;
    tried.push(measured(rate, capacity));
  }
  expect(highestRate(tried, 20)! / capacity).toBeGreaterThan(0.9);
  expect(highestRate(tried, 20)!).toBeLessThanOrEqual(capacity);
  expect(highestRate(tried, 180)!).toBeGreaterThanOrEqual(highestRate(tried, 20)!);
});

test('a rate at which requests fail is not sustained, and neither is one above it', () => {
  const tried = [measured(500, 9_000), measured(800, 9_000, 20), measured(1_300, 9_000)];
  expect(highestRate(tried, 20)).toBe(500);
});
