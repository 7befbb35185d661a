import fc from 'fast-check';
import { expect, test } from 'vitest';

import { rangesOf } from '#base/ranges.ts';
import { formatMultirange, parseMultirange } from '#store/multirange.ts';

test('reads what PostgreSQL prints', () => {
  expect(parseMultirange('{}')).toEqual([]);
  expect(parseMultirange('{[0,100)}')).toEqual([{ from: 0, to: 100 }]);
  expect(parseMultirange('{[0,100),[150,9007199254740992)}')).toEqual([
    { from: 0, to: 100 },
    { from: 150, to: 2 ** 53 },
  ]);
});

test('every set survives the way there and back', () => {
  const range = fc
    .record({ from: fc.nat(1_000_000), size: fc.integer({ min: 1, max: 1000 }) })
    .map(({ from, size }) => ({ from, to: from + size }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 256 }), (ranges) => {
      const set = rangesOf(ranges);
      expect(parseMultirange(formatMultirange(set))).toEqual(set);
    }),
  );
});

test('an unbounded or empty range is a bug of the guard', () => {
  for (const bad of ['', '[0,1)', '{[0,)}', '{(,5)}', '{empty}', '{[5,5)}'])
    expect(() => parseMultirange(bad)).toThrow(/braces|finite bounds/);
});
