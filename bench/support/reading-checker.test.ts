import { beforeEach, expect, test } from 'vitest';

import { createReadingChecker, demandExactlyOnce, type StoredRow } from '#bench/support/reading-checker.ts';
import { READING_BYTES, sampleTimeUs, streamSeed, writeReadings } from '#bench/support/synthetic-reading.ts';

const RUN_SEED = 42;
const stream = {
  streamId: '01900000-0000-7000-8000-000000000001',
  epoch: '00000000deadbeef',
  stream: 3,
  startUs: 1_790_000_000_000_000,
  rateHz: 204.8,
  sentTo: 100,
  next: 60,
  ranges: [[70, 80]] as const,
};
const clean = { sent: 100, acknowledged: 70, missing: 0, duplicates: 0, corrupt: 0, strange: 0 };

function rowOf(firstSeq: number, n: number): StoredRow {
  const words = new Uint32Array((n * READING_BYTES) / 4);
  writeReadings(words, 0, { seed: streamSeed(RUN_SEED, stream.stream), firstSeq, count: n });
  const segments = Buffer.alloc(24);
  segments.writeUInt16LE(n, 0);
  segments.writeBigInt64LE(BigInt(sampleTimeUs(stream.startUs, stream.rateHz, firstSeq)), 8);
  return { ...stream, firstSeq, n, segments, data: Buffer.from(words.buffer) };
}

let checker: ReturnType<typeof createReadingChecker>;
beforeEach(() => {
  checker = createReadingChecker([stream], RUN_SEED);
});

test('what was acknowledged is there; more may be', () => {
  checker.row(rowOf(70, 30));
  checker.row(rowOf(0, 60));
  const result = checker.finish();
  expect(result).toEqual({ ...clean, stored: 90 });
  expect(() => demandExactlyOnce('ours', result)).not.toThrow();
});

test('an acknowledged reading that is not there is missing', () => {
  checker.row(rowOf(0, 59));
  checker.row(rowOf(70, 9));
  expect(checker.finish()).toEqual({ ...clean, stored: 68, missing: 2 });
});

test('an overlap counts each surplus', () => {
  checker.row(rowOf(0, 60));
  checker.row(rowOf(55, 25));
  expect(checker.finish()).toEqual({ ...clean, stored: 80, duplicates: 5 });
});

test('one changed bit is one altered reading', () => {
  const row = rowOf(0, 80);
  const data = Buffer.from(row.data);
  data[READING_BYTES * 17 + 3]! ^= 0x10;
  checker.row({ ...row, data });
  expect(checker.finish()).toEqual({ ...clean, stored: 80, corrupt: 1 });
});

test('readings at another time, or of another length, are altered', () => {
  const row = rowOf(0, 80);
  const segments = Buffer.from(row.segments);
  segments.writeBigInt64LE(BigInt(stream.startUs + 1), 8);
  checker.row({ ...row, segments });
  expect(checker.finish().corrupt).toBe(80);
  checker.row({ ...rowOf(80, 10), data: Buffer.alloc(10 * READING_BYTES - 1) });
  expect(checker.finish().corrupt).toBe(90);
});

test('what nobody sent is strange', () => {
  checker.row(rowOf(0, 80));
  checker.row(rowOf(95, 10));
  checker.row({ ...rowOf(0, 7), epoch: '0000000000000000' });
  const result = checker.finish();
  expect(result).toEqual({ ...clean, stored: 85, strange: 12 });
  expect(() => demandExactlyOnce('ours', result)).toThrow(
    'ours: 0 readings missing, 0 stored twice, 0 altered, 12 never sent',
  );
});
