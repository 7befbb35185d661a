import { expect, test } from 'vitest';

import type { Stride } from '#web/motion/gait-feed.ts';
import { firstSort, formatSort, nextSort, parseSort, sortStrides } from '#web/motion/stride-rows.ts';

const stride = (startUs: number, side: 'left' | 'right', strideLengthM: number | null): Stride =>
  ({ startUs, side, strideLengthM, turnDeg: -startUs }) as Stride;
const strides = [
  stride(3, 'left', 1.2),
  stride(1, 'right', null),
  stride(2, 'right', 1.4),
  stride(4, 'left', 1.2),
];
const order = (text: string | undefined): number[] =>
  sortStrides(strides, parseSort(text)).map(({ startUs }) => startUs);

test('strides sort by any column, unknown values last both ways', () => {
  expect(order(undefined)).toEqual([1, 2, 3, 4]);
  expect(order('-start')).toEqual([4, 3, 2, 1]);
  expect(order('length')).toEqual([3, 4, 2, 1]);
  expect(order('-length')).toEqual([2, 3, 4, 1]);
  expect(order('side')).toEqual([3, 4, 1, 2]);
  expect(order('-turn')).toEqual([4, 3, 2, 1]);
});

test('an address restores the order; one that is not understood is the order of time', () => {
  expect(parseSort('-speed')).toEqual({ column: 'speed', isDown: true });
  expect([parseSort('beauty'), parseSort('-'), parseSort(undefined)]).toEqual([
    firstSort,
    firstSort,
    firstSort,
  ]);
  expect(formatSort({ column: 'speed', isDown: true })).toBe('-speed');
  expect(formatSort(firstSort)).toBe(undefined);
  expect(formatSort(parseSort('-start'))).toBe('-start');
});

test('pressing a head sorts upwards, then downwards', () => {
  const up = nextSort(firstSort, 'length');
  expect(up).toEqual({ column: 'length', isDown: false });
  expect(nextSort(up, 'length')).toEqual({ column: 'length', isDown: true });
});
