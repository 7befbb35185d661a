import { expect, test } from 'vitest';

import { isExpired, isPast, lastDroppedDay } from '#store/retention-rules.ts';

const partition = (day: string, retentionClass = 1) => ({ table: 'chunk', retentionClass, day }) as const;
const rules = [
  { retentionClass: 0, name: 'for ever', rawDays: null, rollupDays: null },
  { retentionClass: 1, name: 'a week', rawDays: 7, rollupDays: 30 },
];

test('a day is kept for as many whole days after it as its class says, over months and leap years', () => {
  expect(lastDroppedDay('2024-03-08', 7)).toBe('2024-02-29');
  expect(lastDroppedDay('2026-01-01', 1)).toBe('2025-12-30');
  expect(isExpired(partition('2024-02-29'), '2024-03-07', rules)).toBe(false);
  expect(isExpired(partition('2024-02-29'), '2024-03-08', rules)).toBe(true);
});

test('a class that keeps for ever, or that has no rule, keeps everything', () => {
  expect(lastDroppedDay('2026-01-01', null)).toBeNull();
  expect(isExpired(partition('1990-01-01', 0), '2026-01-01', rules)).toBe(false);
  expect(isExpired(partition('1990-01-01', 5), '2026-01-01', rules)).toBe(false);
});

test('yesterday is not past: a flush from before midnight may still commit', () => {
  expect(isPast(partition('2026-01-31'), '2026-02-01')).toBe(false);
  expect(isPast(partition('2026-01-30'), '2026-02-01')).toBe(true);
});
