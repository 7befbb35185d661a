import { expect, test } from 'vitest';

import { awaitingOf, lastBeforeGap, type EpochStanding } from '#store/window-standing.ts';

const epoch = (given: Partial<EpochStanding> = {}): EpochStanding => ({
  covered: [{ from: 0, to: 100 }],
  isWhole: true,
  lost: [],
  tailLost: false,
  hasEnded: false,
  isNewest: true,
  isQuiet: false,
  ...given,
});

test('a stream that goes on is open, one that ended, was replaced or fell silent is complete', () => {
  expect(awaitingOf(epoch())).toBe('open');
  expect(awaitingOf(epoch({ hasEnded: true }))).toBe('complete');
  expect(awaitingOf(epoch({ isNewest: false }))).toBe('complete');
  expect(awaitingOf(epoch({ isQuiet: true }))).toBe('complete');
  expect(awaitingOf(epoch({ hasEnded: true, isWhole: false }))).toBe('open');
});

test('a gap is a gap until it is filled or declared lost, whatever else ended', () => {
  const covered = [
    { from: 0, to: 50 },
    { from: 60, to: 100 },
  ];
  expect(awaitingOf(epoch({ covered, hasEnded: true, isQuiet: true }))).toBe('gap');
  expect(lastBeforeGap(epoch({ covered }))).toBe(49);
  const declared = epoch({ covered, hasEnded: true, lost: [{ from: 50, to: 60 }] });
  expect(awaitingOf(declared)).toBe('complete');
  expect(lastBeforeGap(declared)).toBe(99);
  expect(awaitingOf(epoch({ covered, tailLost: true }))).toBe('complete');
});

test('before anything is committed nothing is certain', () => {
  expect(lastBeforeGap(epoch({ covered: [] }))).toBeNull();
  expect(lastBeforeGap(epoch({ covered: [{ from: 5, to: 9 }] }))).toBeNull();
  expect(lastBeforeGap(epoch({ covered: [{ from: 5, to: 9 }], lost: [{ from: 0, to: 5 }] }))).toBe(8);
});
