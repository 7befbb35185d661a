import { expect, test } from 'vitest';

import { ownBytes } from '#ingest/device-socket.ts';

test('a small message in a large read is copied, so that waiting frames do not keep the rest', () => {
  const read = new Uint8Array(64 * 1024).fill(7);
  const message = Buffer.from(read.buffer, 100, 60);
  const own = ownBytes(message);
  expect(own).toEqual(new Uint8Array(60).fill(7));
  expect(own.buffer.byteLength).toBe(60);
  read.fill(0);
  expect(own[0]).toBe(7);
});

test('a message that fills its read is taken as it is', () => {
  const message = Buffer.from(new ArrayBuffer(1_000), 10, 900);
  expect(ownBytes(message)).toBe(message);
});
