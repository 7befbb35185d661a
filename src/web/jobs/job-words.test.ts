import { expect, test } from 'vitest';

import { formatBytes, isUnderWay, jobWords } from '#web/jobs/job-words.ts';

test('a kind that the page does not know is still words', () => {
  expect([jobWords('session-report'), jobWords('weekly-digest')]).toEqual([
    'Report of a session',
    'Weekly digest',
  ]);
});

test('bytes have the unit that a person reads', () => {
  expect([999, 48_400, 3_140_000].map(formatBytes)).toEqual(['999\u202fB', '48\u202fkB', '3.1\u202fMB']);
});

test('a job that waits or runs is under way', () => {
  const states = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
  expect(states.filter((state) => isUnderWay({ state }))).toEqual(['queued', 'running']);
});
