import { expect, test } from 'vitest';

import { createIndexClock } from '#motion/session/index-clock.ts';

test('an index has the time of its reading, a fraction lies between two, the rest goes by the nominal rate', () => {
  const clock = createIndexClock(100, 12);
  for (const timeUs of [5_000, 15_100, 25_300]) clock.add(timeUs);
  expect(clock.timeUsOf(1)).toBe(15_100);
  expect(clock.timeUsOf(1.5)).toBe(20_200);
  expect(clock.timeUsOf(-1)).toBe(-5_000);
  expect(clock.timeUsOf(3)).toBe(35_300);
});

test('it forgets what is old, and goes on from a checkpoint', () => {
  const clock = createIndexClock(10, 12);
  for (let i = 0; i < 1_000; i++) clock.add(i * 100_001);
  expect(clock.timeUsOf(990.5)).toBe(Math.round(990.5 * 100_001));
  expect(clock.timeUsOf(100)).toBe(880 * 100_001 - 780 * 100_000);
  const copy = createIndexClock(10, 12);
  copy.load(clock.save());
  copy.add(100_001_000);
  clock.add(100_001_000);
  for (const index of [885, 950.25, 999, 1_000]) expect(copy.timeUsOf(index)).toBe(clock.timeUsOf(index));
});
