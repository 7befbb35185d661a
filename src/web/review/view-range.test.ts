import fc from 'fast-check';
import { expect, test } from 'vitest';

import { clampRange, panBy, spanOf, unionOf, zoomAround } from '#web/review/view-range.ts';

const limits = { whole: { fromUs: 1000, toUs: 2000 }, shortestUs: 10 };

test('a range stays within the recording and is never too short', () => {
  expect(clampRange({ fromUs: 900, toUs: 1000 }, limits)).toEqual({ fromUs: 1000, toUs: 1100 });
  expect(clampRange({ fromUs: 1950, toUs: 2050 }, limits)).toEqual({ fromUs: 1900, toUs: 2000 });
  expect(clampRange({ fromUs: 0, toUs: 9000 }, limits)).toEqual(limits.whole);
  expect(clampRange({ fromUs: 1500, toUs: 1502 }, limits)).toEqual({ fromUs: 1496, toUs: 1506 });
});

test('a recording shorter than the shortest range is shown whole', () => {
  const short = { whole: { fromUs: 5, toUs: 8 }, shortestUs: 100 };
  expect(clampRange({ fromUs: 6, toUs: 7 }, short)).toEqual({ fromUs: 5, toUs: 8 });
});

test('a range that is allowed stays as it is, bit by bit', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1000, max: 1500, noNaN: true }),
      fc.double({ min: 20, max: 400, noNaN: true }),
      (fromUs, span) => {
        const once = clampRange({ fromUs, toUs: fromUs + span }, limits);
        expect(clampRange(once, limits)).toEqual(once);
      },
    ),
  );
});

test('what is under the pointer stays there while zooming', () => {
  const range = { fromUs: 1000, toUs: 2000 };
  const closer = zoomAround(range, 1250, 2);
  expect(closer).toEqual({ fromUs: 1125, toUs: 1625 });
  expect((1250 - closer.fromUs) / spanOf(closer)).toBe(0.25);
  expect(zoomAround(closer, 1250, 0.5)).toEqual(range);
});

test('panning keeps the length', () => {
  expect(panBy({ fromUs: 1, toUs: 4 }, 10)).toEqual({ fromUs: 11, toUs: 14 });
});

test('the whole is from the first start to the last end', () => {
  expect(unionOf([])).toBeNull();
  expect(
    unionOf([
      { fromUs: 3, toUs: 5 },
      { fromUs: 1, toUs: 4 },
    ]),
  ).toEqual({ fromUs: 1, toUs: 5 });
});
