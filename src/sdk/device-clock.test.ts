import { expect, test } from 'vitest';

import { limits } from '#protocol/limits.ts';
import { createClockFilter } from '#sdk/device-clock.ts';

/** An answer over a path of `upUs` and `downUs`, to a server that is `offsetUs` ahead. */
function answer(
  t0Us: number,
  upUs: number,
  downUs: number,
  offsetUs = 1_000_000,
): Parameters<ReturnType<typeof createClockFilter>['add']>[0] {
  const t1Us = t0Us + upUs + offsetUs;
  return { t0Us, t1Us, t2Us: t1Us + 50, t3Us: t0Us + upUs + 50 + downUs };
}

test('the offset is the mean of both ways, and the answer with the shortest round trip wins', () => {
  const filter = createClockFilter();
  expect(filter.best(0)).toBe(null);
  filter.add(answer(0, 9_000, 1_000));
  expect(filter.best(10_050)).toMatchObject({ offsetUs: 1_004_000, roundTripUs: 10_000 });
  filter.add(answer(20_000, 500, 500));
  filter.add(answer(40_000, 3_000, 1_000));
  expect(filter.best(50_000)).toMatchObject({ offsetUs: 1_000_000, roundTripUs: 1_000 });
});

test('an old answer gives way as the clocks may have drifted, and after eight newer ones', () => {
  const filter = createClockFilter();
  filter.add(answer(0, 500, 500));
  filter.add(answer(300_000_000, 2_000, 1_000));
  // 300 s of 15 us/s are 4.5 ms of doubt, more than the longer round trip brings.
  expect(filter.best(300_003_050)).toMatchObject({ roundTripUs: 3_000 });
  const short = createClockFilter();
  short.add(answer(0, 1, 1));
  for (let i = 1; i <= 8; i++) short.add(answer(i * 1000, 500, 500));
  expect(short.best(10_000)).toMatchObject({ roundTripUs: 1_000 });
});

test('an answer that contradicts itself is ignored', () => {
  const filter = createClockFilter();
  expect(filter.add({ t0Us: 100, t1Us: 200, t2Us: 200, t3Us: 90 })).toBe(false);
  expect(filter.add({ t0Us: 100, t1Us: 200, t2Us: 190, t3Us: 110 })).toBe(false);
  expect(filter.add({ t0Us: 100, t1Us: 0, t2Us: 500, t3Us: 110 })).toBe(false);
  expect(filter.best(1000)).toBe(null);
});

test('an answer whose offset or round trip no message could report is ignored', () => {
  const filter = createClockFilter();
  const lastUs = limits.timeUsExclusive - 1;
  expect(filter.add({ t0Us: -10, t1Us: lastUs, t2Us: lastUs, t3Us: 0 })).toBe(false);
  expect(filter.add({ t0Us: -10, t1Us: 5, t2Us: 5, t3Us: lastUs })).toBe(false);
  expect(filter.add({ t0Us: 0, t1Us: lastUs, t2Us: lastUs, t3Us: 10 })).toBe(true);
});

test('a wall clock that was set makes all answers worthless', () => {
  const filter = createClockFilter();
  expect(filter.hasStepped(5_000_000, 1000)).toBe(false);
  filter.add(answer(5_000_000, 10, 10));
  expect(filter.hasStepped(6_000_900, 2000)).toBe(false);
  expect(filter.best(6_000_900)).not.toBe(null);
  expect(filter.hasStepped(3_000_000, 3000)).toBe(true);
  expect(filter.best(3_000_000)).toBe(null);
});
