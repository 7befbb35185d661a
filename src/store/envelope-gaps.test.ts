import { expect, test } from 'vitest';

import { placeGap, tailGaps, type FoundGap } from '#store/envelope-gaps.ts';

const committed = [
  { from: 0, to: 100 },
  { from: 150, to: 200 },
];
const gap: FoundGap = {
  fromSeq: 100,
  toSeq: 150,
  isLost: false,
  reason: null,
  before: { endSeq: 100, lastUs: 990_000 },
  after: { firstSeq: 150, firstUs: 1_500_000 },
};

test('a gap stands between its neighbours', () => {
  expect(placeGap(gap, committed, 100)).toEqual({
    fromUs: 990_000,
    toUs: 1_500_000,
    readings: 50,
    state: 'pending',
    reason: null,
  });
});

test('a neighbour that retention has dropped is stood in for by the rate, not by one further away', () => {
  const before = { endSeq: 40, lastUs: 400_000 };
  expect(placeGap({ ...gap, before }, committed, 100)).toMatchObject({ fromUs: 990_000, toUs: 1_500_000 });
  expect(placeGap({ ...gap, after: null }, committed, 100)).toMatchObject({
    fromUs: 990_000,
    toUs: 1_500_000,
  });
  expect(placeGap({ ...gap, before, after: null }, committed, 100)).toBeNull();
});

test('a clock that went back in the gap turns it round', () => {
  const after = { firstSeq: 150, firstUs: 10_000 };
  expect(placeGap({ ...gap, after }, committed, 100)).toMatchObject({ fromUs: 10_000, toUs: 990_000 });
});

test('a lost tail reaches to the next epoch that has readings', () => {
  const times = (tailLost: boolean, firstUs: number | null, lastUs: number | null) => ({
    tailLost,
    firstUs,
    lastUs,
  });
  const lost = { readings: null, state: 'tail-lost', reason: null };
  expect(tailGaps([times(true, 0, 50), times(true, null, null), times(true, 80, 90)])).toEqual([
    { fromUs: 50, toUs: 80, ...lost },
    { fromUs: 90, toUs: 90, ...lost },
  ]);
  expect(tailGaps([times(false, 0, 50)])).toEqual([]);
});
