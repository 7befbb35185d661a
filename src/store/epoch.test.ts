import fc from 'fast-check';
import { expect, test } from 'vitest';

import { epochToInt8, int8ToEpoch } from '#store/epoch.ts';

test('known values, with the sign at the upper half', () => {
  expect(epochToInt8('0000000000000000')).toBe(0n);
  expect(epochToInt8('7fffffffffffffff')).toBe(2n ** 63n - 1n);
  expect(epochToInt8('8000000000000000')).toBe(-(2n ** 63n));
  expect(epochToInt8('ffffffffffffffff')).toBe(-1n);
  expect(int8ToEpoch('-1')).toBe('ffffffffffffffff');
  expect(int8ToEpoch('255')).toBe('00000000000000ff');
});

test('every value survives the way there and back', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      expect(epochToInt8(int8ToEpoch(value))).toBe(value);
      expect(int8ToEpoch(String(value))).toBe(int8ToEpoch(value));
    }),
  );
});

test('what is not an epoch is a bug of the caller', () => {
  for (const bad of ['', 'ff', 'FFFFFFFFFFFFFFFF', '0x00000000000000', 'g000000000000000'])
    expect(() => epochToInt8(bad)).toThrow('16 lower-case');
});
