import fc from 'fast-check';
import { expect, test } from 'vitest';

import { readSafeInt, writeSafeInt } from '#protocol/integers.ts';

const view = new DataView(new ArrayBuffer(8));

test('every safe integer is written as the 64-bit two’s complement and read back', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      writeSafeInt(view, 0, value);
      expect(view.getBigInt64(0, true)).toBe(BigInt(value));
      expect(readSafeInt(view, 0)).toBe(value);
    }),
    { numRuns: 2000 },
  );
});

test('a 64-bit integer that is not safe is read as null, never rounded', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      view.setBigInt64(0, value, true);
      const isSafe = value > -(2n ** 53n) && value < 2n ** 53n;
      expect(readSafeInt(view, 0)).toBe(isSafe ? Number(value) : null);
    }),
    { numRuns: 2000 },
  );
});

test('the edges', () => {
  const read = (value: bigint): number | null => {
    view.setBigInt64(0, value, true);
    return readSafeInt(view, 0);
  };
  const edge = 2n ** 53n;
  expect([edge - 1n, edge, edge + 1n].map(read)).toEqual([Number.MAX_SAFE_INTEGER, null, null]);
  expect([1n - edge, -edge, -edge - 1n].map(read)).toEqual([Number.MIN_SAFE_INTEGER, null, null]);
});
