import { crc32 as zlibCrc32 } from 'node:zlib';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { crc32 } from '#protocol/crc32.ts';

test('the check value of CRC-32/ISO-HDLC', () => {
  expect(crc32(new TextEncoder().encode('123456789')).toString(16)).toBe('cbf43926');
  expect(crc32(new Uint8Array(0))).toBe(0);
});

test('any bytes give what zlib gives', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1000 }), (bytes) => {
      expect(crc32(bytes)).toBe(zlibCrc32(bytes));
    }),
  );
});
