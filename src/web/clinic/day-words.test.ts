import { expect, test } from 'vitest';

import { dayOf, daysUpTo, dayWords, spokenDay, weekdayOf } from '#web/clinic/day-words.ts';

test('days go on over the end of a month and of February in a leap year', () => {
  expect(daysUpTo('2024-03-02', 4)).toEqual(['2024-02-28', '2024-02-29', '2024-03-01', '2024-03-02']);
  expect(daysUpTo('2026-01-01', 2)).toEqual(['2025-12-31', '2026-01-01']);
});

test('a day reads in words, and is the same in every time zone', () => {
  expect(dayWords('2026-11-22')).toBe('22 Nov 2026');
  expect(spokenDay('2026-11-22')).toBe('Sunday 22 November');
  expect(weekdayOf('2026-11-22')).toBe('Sun');
});

test('the day of an instant is that of whoever looks', () => {
  const lateInTheEvening = new Date(2026, 10, 22, 23, 59);
  expect(dayOf(lateInTheEvening)).toBe('2026-11-22');
  expect(dayOf(new Date(2026, 10, 22, 0, 1))).toBe('2026-11-22');
});
