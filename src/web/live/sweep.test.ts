import { expect, test } from 'vitest';

import { advanceHead, columnOf, createSweep, oldestColumn, spansOf, timeOfColumn } from '#web/live/sweep.ts';

test('a window passes in exactly one width of columns', () => {
  const sweep = createSweep(10_000, 1000);
  expect(columnOf(sweep, 0)).toBe(0);
  expect(columnOf(sweep, 9_999.9)).toBe(999);
  expect(columnOf(sweep, 10_000)).toBe(1000);
  expect(timeOfColumn(sweep, 1000)).toBe(10_000);
});

test('what is on the screen and the erase bar share the width', () => {
  const sweep = createSweep(10_000, 1000);
  const head = 5_432;
  expect(head - oldestColumn(sweep, head) + 1 + sweep.eraseColumns).toBe(sweep.width);
});

test('a stretch over the right edge is cut there and goes on at the left', () => {
  const sweep = createSweep(10_000, 1000);
  expect(spansOf(sweep, 1990, 2010)).toEqual([
    { from: 1990, to: 2000, origin: 1000 },
    { from: 2000, to: 2010, origin: 2000 },
  ]);
  expect(spansOf(sweep, 5, 5)).toEqual([]);
});

test('every column of the plot is covered once by a stretch longer than it', () => {
  const sweep = createSweep(10_000, 100);
  const seen = new Map<number, number>();
  for (const { from, to, origin } of spansOf(sweep, 3, 777))
    for (let c = from; c < to; c++) seen.set(c - origin, (seen.get(c - origin) ?? 0) + 1);
  expect(seen.size).toBe(100);
  expect(new Set(seen.values())).toEqual(new Set([1]));
});

test('columns before time zero have a place too', () => {
  const sweep = createSweep(1000, 100);
  expect(spansOf(sweep, -5, 5)).toEqual([
    { from: -5, to: 0, origin: -100 },
    { from: 0, to: 5, origin: 0 },
  ]);
});

test('the head runs at constant speed when nothing is wrong', () => {
  expect(advanceHead(100, 116, 16)).toBe(116);
});

test('the head makes up an error without a visible change of speed, and never runs back', () => {
  let head = 0;
  let target = 60;
  for (let i = 0; i < 200; i++) {
    target += 16;
    const next = advanceHead(head, target, 16);
    expect(next - head).toBeGreaterThan(16 * 0.94);
    expect(next - head).toBeLessThan(16 * 1.06);
    head = next;
  }
  expect(Math.abs(target - head)).toBeLessThan(1);
});

test('after a long break the head jumps', () => {
  expect(advanceHead(0, 5000, 16)).toBe(5000);
  expect(advanceHead(5000, 0, 16)).toBe(0);
});

test('the narrowest plot has one column and no erase bar', () => {
  expect(createSweep(1000, 0)).toMatchObject({ width: 1, eraseColumns: 0 });
});
