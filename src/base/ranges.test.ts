import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  contains,
  covers,
  emptyRanges,
  firstMissing,
  gapsOf,
  intersect,
  rangesOf,
  sizeOf,
  subtract,
  union,
  type Range,
  type RangeSet,
} from '#base/ranges.ts';

/** The naive model: a range set is the set of its numbers. */
const numbersOf = (ranges: Iterable<Range>): Set<number> => {
  const numbers = new Set<number>();
  for (const { from, to } of ranges) for (let n = from; n < to; n++) numbers.add(n);
  return numbers;
};
const sorted = (numbers: Iterable<number>): number[] => [...numbers].toSorted((a, b) => a - b);

/** What the type promises: sorted, disjoint, not touching, none empty. */
function isNormal(set: RangeSet): boolean {
  return set.every((range, i) => range.from < range.to && (i === 0 || set[i - 1]!.to < range.from));
}

const anyRange = fc.tuple(fc.nat(60), fc.nat(8)).map(([from, length]) => ({ from, to: from + length }));
const anyRanges = fc.array(anyRange, { maxLength: 8 });
const anySet = anyRanges.map(rangesOf);

const check = (property: fc.IProperty<[RangeSet, RangeSet]>): void => fc.assert(property, { numRuns: 1000 });

test('any ranges become a normal set of the same numbers', () => {
  fc.assert(
    fc.property(anyRanges, (ranges) => {
      const set = rangesOf(ranges);
      expect(isNormal(set)).toBe(true);
      expect(sorted(numbersOf(set))).toEqual(sorted(numbersOf(ranges)));
    }),
    { numRuns: 1000 },
  );
});

test('union, difference and intersection are those of the numbers, and normal', () => {
  check(
    fc.property(anySet, anySet, (a, b) => {
      const [inA, inB] = [numbersOf(a), numbersOf(b)];
      for (const [set, numbers] of [
        [union(a, b), [...new Set([...inA, ...inB])]],
        [subtract(a, b), [...inA].filter((n) => !inB.has(n))],
        [intersect(a, b), [...inA].filter((n) => inB.has(n))],
      ] as const) {
        expect(isNormal(set)).toBe(true);
        expect(sorted(numbersOf(set))).toEqual(sorted(numbers));
      }
    }),
  );
});

test('operations change neither operand', () => {
  check(
    fc.property(anySet, anySet, (a, b) => {
      const before = JSON.stringify([a, b]);
      union(a, b);
      subtract(a, b);
      intersect(a, b);
      gapsOf(a);
      expect(JSON.stringify([a, b])).toBe(before);
    }),
  );
});

test('one range after another, in order or not, gives what all at once give', () => {
  fc.assert(
    fc.property(anyRanges, (ranges) => {
      const nonEmpty = ranges.filter((range) => range.to > range.from);
      const grown = nonEmpty.reduce((set, range) => union(set, [range]), emptyRanges);
      expect(grown).toEqual(rangesOf(ranges));
    }),
    { numRuns: 1000 },
  );
});

test('questions about a set are answered as its numbers answer them', () => {
  fc.assert(
    fc.property(anySet, anyRange, (set, range) => {
      const numbers = numbersOf(set);
      expect(sizeOf(set)).toBe(numbers.size);
      expect(contains(set, range.from)).toBe(numbers.has(range.from));
      expect(covers(set, range)).toBe([...numbersOf([range])].every((n) => numbers.has(n)));
      let missing = 0;
      while (numbers.has(missing)) missing++;
      expect(firstMissing(set)).toBe(missing);
      const highest = Math.max(-1, ...numbers);
      const below = Array.from({ length: highest + 1 }, (_, n) => n);
      expect(sorted(numbersOf(gapsOf(set)))).toEqual(below.filter((n) => !numbers.has(n)));
    }),
    { numRuns: 1000 },
  );
});

test('numbers up to 2^53 are exact', () => {
  const top = 2 ** 53;
  const set = rangesOf([
    { from: top - 4, to: top - 2 },
    { from: top - 1, to: top },
  ]);
  expect(gapsOf(set)).toEqual([
    { from: 0, to: top - 4 },
    { from: top - 2, to: top - 1 },
  ]);
  expect(union(set, [{ from: top - 2, to: top - 1 }])).toEqual([{ from: top - 4, to: top }]);
});
