import { expect, test } from 'vitest';

import { createReadingRing } from '#web/live/reading-ring.ts';

function put(ring: ReturnType<typeof createReadingRing>, index: number, timeMs: number): void {
  const slot = ring.claim(index, timeMs);
  if (slot >= 0) ring.values[0]![slot] = index;
}

test('what was put is found by index and by time', () => {
  const ring = createReadingRing(1, 8);
  for (let i = 0; i < 5; i++) put(ring, i, i * 10);
  expect([ring.start, ring.end]).toEqual([0, 5]);
  expect(ring.lowerBound(-1)).toBe(0);
  expect(ring.lowerBound(20)).toBe(2);
  expect(ring.lowerBound(20.1)).toBe(3);
  expect(ring.lowerBound(99)).toBe(5);
  expect(ring.values[0]![ring.slotOf(3)]).toBe(3);
});

test('past the capacity the oldest readings go, and are counted', () => {
  const ring = createReadingRing(1, 8);
  for (let i = 0; i < 20; i++) put(ring, i, i);
  expect([ring.start, ring.end, ring.overwritten]).toEqual([12, 20, 12]);
  expect(ring.has(11)).toBe(false);
  expect(ring.has(12)).toBe(true);
  expect(ring.claim(11, 11)).toBe(-1);
});

test('a stream that is joined in the middle starts there', () => {
  const ring = createReadingRing(1, 8);
  put(ring, 1_000_000_007, 5);
  expect([ring.start, ring.end]).toEqual([1_000_000_007, 1_000_000_008]);
  expect(ring.lowerBound(0)).toBe(1_000_000_007);
});

test('a jump leaves holes whose times keep the order', () => {
  const ring = createReadingRing(1, 16);
  put(ring, 0, 0);
  put(ring, 4, 40);
  expect([0, 1, 2, 3, 4].map((i) => ring.has(i))).toEqual([true, false, false, false, true]);
  expect([0, 1, 2, 3, 4].map((i) => ring.timeOf(i))).toEqual([0, 10, 20, 30, 40]);
  put(ring, 2, 21);
  expect(ring.has(2)).toBe(true);
  expect(ring.timeOf(2)).toBe(21);
});

test('a jump of any width costs one round, and old slots do not pass for new ones', () => {
  const ring = createReadingRing(1, 8);
  for (let i = 0; i < 8; i++) put(ring, i, i);
  put(ring, 2 ** 50, 1e6);
  expect(ring.end).toBe(2 ** 50 + 1);
  for (let i = ring.start; i < ring.end - 1; i++) expect(ring.has(i)).toBe(false);
  expect(ring.has(2 ** 50)).toBe(true);
});

test('times never fall, whatever a device says', () => {
  const ring = createReadingRing(1, 32);
  const times = [10, 5, 30, 29, 28, 90, 0, 91];
  times.forEach((time, i) => put(ring, i * 2, time));
  put(ring, 3, -100);
  put(ring, 5, 1e9);
  for (let i = ring.start + 1; i < ring.end; i++)
    expect(ring.timeOf(i)).toBeGreaterThanOrEqual(ring.timeOf(i - 1));
});

test('a cleared ring starts anew', () => {
  const ring = createReadingRing(1, 8);
  put(ring, 5, 5);
  ring.clear();
  expect([ring.start, ring.end, ring.has(5)]).toEqual([0, 0, false]);
  put(ring, 2, 1);
  expect([ring.start, ring.end]).toEqual([2, 3]);
});
