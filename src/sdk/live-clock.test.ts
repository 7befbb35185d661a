import { expect, test } from 'vitest';

import { createLiveClock, MAX_PROBES } from '#sdk/live-clock.ts';

const probe = (t0Us: number, thereUs: number, backUs: number, offsetUs: number) => ({
  t0Us,
  t1Us: t0Us + thereUs + offsetUs,
  t2Us: t0Us + thereUs + offsetUs + 50,
  t3Us: t0Us + thereUs + 50 + backUs,
});

test('there is no estimate before the first probe', () => {
  expect(createLiveClock().estimate).toBeNull();
});

test('of several probes the one with the smallest round trip wins', () => {
  const clock = createLiveClock();
  clock.add(probe(0, 9000, 1000, 500_000));
  clock.add(probe(100_000, 400, 400, 500_000));
  clock.add(probe(200_000, 100, 20_000, 500_000));
  expect(clock.estimate).toEqual({ offsetUs: 500_000, roundTripUs: 800 });
});

test('the error is at most half the round trip', () => {
  const clock = createLiveClock();
  clock.add(probe(0, 9000, 1000, -250_000));
  const estimate = clock.estimate!;
  expect(Math.abs(estimate.offsetUs + 250_000)).toBeLessThanOrEqual(estimate.roundTripUs / 2);
});

test('an old good probe is forgotten, so that drift is followed', () => {
  const clock = createLiveClock();
  clock.add(probe(0, 10, 10, 0));
  for (let i = 1; i <= MAX_PROBES; i++) clock.add(probe(i * 2_000_000, 1000, 1000, 300));
  expect(clock.estimate?.offsetUs).toBe(300);
});

test('a probe over which a clock was set back is ignored', () => {
  const clock = createLiveClock();
  clock.add({ t0Us: 1000, t1Us: 500, t2Us: 600, t3Us: 900 });
  expect(clock.estimate).toBeNull();
});
