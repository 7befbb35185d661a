import { expect, test } from 'vitest';

import {
  formatSinceStart,
  formatSpan,
  formatTimeOfDay,
  secondDigits,
  ticksIn,
  tickStep,
} from '#web/review/time-ticks.ts';

const SECOND = 1_000_000;

test('steps are those that people read at once', () => {
  expect([3, 1_500, 90_000, 700_000].map(tickStep)).toEqual([5, 2_000, 100_000, SECOND]);
  expect([1.5 * SECOND, 7 * SECOND, 40 * SECOND, 4_000 * SECOND].map(tickStep)).toEqual([
    2 * SECOND,
    10 * SECOND,
    60 * SECOND,
    7_200 * SECOND,
  ]);
});

test('marks are whole steps from zero, also before it', () => {
  expect(ticksIn({ fromUs: 7, toUs: 27 }, 10, 3)).toEqual([13, 23]);
  expect(ticksIn({ fromUs: -15, toUs: 5 }, 10, 0)).toEqual([-10, 0]);
  expect(ticksIn({ fromUs: 0, toUs: 1e9 }, 1, 0).length).toBe(256);
});

test('digits tell neighbouring marks apart', () => {
  expect([SECOND, 500_000, 200_000, 50_000, 1_000, 5].map(secondDigits)).toEqual([0, 1, 1, 2, 3, 6]);
});

test('time since the start reads as a clock', () => {
  expect(formatSinceStart(0, 0)).toBe('0:00');
  expect(formatSinceStart(65.25 * SECOND, 3)).toBe('1:05.250');
  expect(formatSinceStart(59.9996 * SECOND, 3)).toBe('1:00.000');
  expect(formatSinceStart(3_723 * SECOND, 0)).toBe('1:02:03');
  expect(formatSinceStart(2 * 86_400 * SECOND + 61 * SECOND, 0)).toBe('2 d 00:01:01');
  expect(formatSinceStart(-1.5 * SECOND, 1)).toBe('\u22120:01.5');
});

test('time of day is rounded as a whole', () => {
  const noon = new Date(2026, 4, 3, 11, 59, 59, 999).getTime() * 1000 + 900;
  expect(formatTimeOfDay(noon, 0)).toBe('12:00:00');
  expect(formatTimeOfDay(noon, 3)).toBe('12:00:00.000');
  expect(formatTimeOfDay(noon, 6)).toBe('11:59:59.999900');
});

test('lengths read as people say them', () => {
  const read = (us: number): string => formatSpan(us).replaceAll('\u202f', ' ');
  expect([250, 4_200, 38_700, 400_000].map(read)).toEqual(['250 \u00b5s', '4.2 ms', '38.7 ms', '400 ms']);
  expect([1.25, 38.68, 65, 3_600, 12_000, 90_000].map((seconds) => read(seconds * SECOND))).toEqual([
    '1.25 s',
    '38.7 s',
    '1 min 5 s',
    '1 h',
    '3 h 20 min',
    '1 d 1 h',
  ]);
});
