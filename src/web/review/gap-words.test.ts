import { expect, test } from 'vitest';

import { gapWordsOf } from '#web/review/gap-words.ts';

const gap = { fromUs: 0, toUs: 1, readings: 1_200, reason: null } as const;

test('a gap says its cause and how much is missing, shorter and shorter', () => {
  expect(gapWordsOf({ ...gap, state: 'lost', reason: 'sensor-fault' })).toEqual([
    'declared lost, 1,200 readings: the sensor failed',
    'lost, 1,200 readings',
    'lost',
  ]);
  expect(gapWordsOf({ ...gap, state: 'pending', readings: 1 })[0]).toBe('1 reading not arrived yet');
  expect(gapWordsOf({ ...gap, state: 'pending', readings: null })[0]).toBe('not arrived yet');
  expect(gapWordsOf({ ...gap, state: 'tail-lost', readings: null }).at(-1)).toBe('lost');
});
