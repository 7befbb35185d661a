import { expect, test } from 'vitest';

import {
  formatCount,
  formatLocal,
  formatMs,
  formatRate,
  formatSeconds,
  formatSegment,
  formatUnit,
  formatUtc,
  formatValue,
} from '#web/format.ts';

test('milliseconds carry digits that a clock can stand behind', () => {
  expect([0.01, 0.44, 9.94, 9.96, 47.3, 999.4, 1300].map(formatMs)).toEqual([
    '0\u202fms',
    '0.4\u202fms',
    '9.9\u202fms',
    '10\u202fms',
    '47\u202fms',
    '999\u202fms',
    '1.3\u202fs',
  ]);
});

test('what was not measured is a dash', () => {
  expect([formatMs(null), formatMs(Number.NaN), formatValue(null), formatRate(null)]).toEqual([
    '–',
    '–',
    '–',
    '–',
  ]);
});

test('seconds become minutes and hours when a person would say so', () => {
  expect([0.32, 12.4, 240, 10_800].map(formatSeconds)).toEqual([
    '0.3\u202fs',
    '12\u202fs',
    '4\u202fmin',
    '3\u202fh',
  ]);
});

test('a value has three significant digits and a real minus sign, and zero has none', () => {
  expect([9.8067, -57.34, -0.001, 412.6, -1000].map(formatValue)).toEqual([
    '9.81',
    '\u221257.3',
    '0.00',
    '413',
    '\u22121000',
  ]);
});

test('counts are grouped', () => {
  expect(formatCount(1234567)).toBe('1,234,567');
});

test('a start of today has no date, an older one has', () => {
  const now = new Date(2026, 4, 3, 18, 0, 0);
  expect(formatLocal(new Date(2026, 4, 3, 9, 5, 7), now)).toBe('09:05:07');
  expect(formatLocal(new Date(2026, 4, 2, 9, 5, 7), now)).toBe('2 May 2026, 09:05:07');
  expect(formatUtc(new Date('2026-05-03T12:03:22.500Z'))).toBe('2026-05-03 12:03:22 UTC');
});

test('segments and units read as people write them', () => {
  expect([
    formatSegment('left-foot'),
    formatSegment('pelvis'),
    formatUnit('m/s2'),
    formatUnit('hPa'),
  ]).toEqual(['Left foot', 'Pelvis', 'm/s²', 'hPa']);
});
