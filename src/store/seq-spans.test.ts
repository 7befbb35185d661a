import fc from 'fast-check';
import { expect, test } from 'vitest';

import { limits } from '#protocol/limits.ts';
import { bucketLengths, rowUs } from '#store/rollup-levels.ts';
import { epochSpans, rowsCovering } from '#store/seq-spans.ts';

const timeUs = fc.oneof(
  fc.integer({ min: 1 - limits.timeUsExclusive, max: limits.timeUsExclusive - 1 }),
  fc.integer({ min: -1e12, max: 1e12 }),
);
const range = fc
  .tuple(timeUs, timeUs)
  .map(([a, b]) => ({ fromUs: Math.min(a, b), toUs: Math.max(a, b) + 1 }));
const rate = fc.constantFrom(0.01, 1, 50, 200, 1_000, 20_000);

test('the rows of a range follow each other without a hole, and reach over its ends by less than a short row', () => {
  fc.assert(
    fc.property(rate, range, (rateHz, { fromUs, toUs }) => {
      const rows = rowsCovering(rateHz, { fromUs, toUs }).toSorted((a, b) => a.fromUs - b.fromUs);
      const short = rowUs(bucketLengths(rateHz)[0]!);
      expect(fromUs - rows[0]!.fromUs).toBeGreaterThanOrEqual(0);
      expect(fromUs - rows[0]!.fromUs).toBeLessThan(short);
      expect(rows.at(-1)!.toUs - toUs).toBeGreaterThanOrEqual(0);
      expect(rows.at(-1)!.toUs - toUs).toBeLessThan(short);
      expect(rows.slice(1).every((row, i) => row.fromUs === rows[i]!.toUs)).toBe(true);
      expect(rows.every((row) => row.fromUs % rowUs(row.bucketUs) === 0)).toBe(true);
    }),
  );
});

test('but for the longest, every level has few rows', () => {
  fc.assert(
    fc.property(rate, range, (rateHz, times) => {
      const longest = bucketLengths(rateHz).at(-1)!;
      for (const { bucketUs, fromUs, toUs } of rowsCovering(rateHz, times))
        expect(bucketUs === longest || (toUs - fromUs) / rowUs(bucketUs) <= 22).toBe(true);
    }),
  );
});

test('spans that are close to each other are one', () => {
  const rows = [{ epoch: '-1', seqs: '{[0,10),[15,20),[40,41)}' }];
  expect(epochSpans(rows, 10)).toEqual([
    {
      epoch: 'ffffffffffffffff',
      spans: [
        { from: 0, to: 20 },
        { from: 40, to: 41 },
      ],
    },
  ]);
});
