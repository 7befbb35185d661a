import { expect, test } from 'vitest';

import { AXES, sampleTimeUs, streamSeed, writeReadings } from '#bench/support/synthetic-reading.ts';

const readings = (seed: number, firstSeq: number, count: number, maskWord = 0): Uint32Array => {
  const words = new Uint32Array(count * AXES);
  writeReadings(words, 0, { seed, firstSeq, count }, maskWord);
  return words;
};

test('a reading does not depend on the frame that it travels in', () => {
  const seed = streamSeed(1, 2);
  expect([...readings(seed, 3, 4), ...readings(seed, 7, 13)]).toEqual([...readings(seed, 3, 17)]);
});

test('streams and readings differ, and every value is a finite number of at least 1', () => {
  const words = new Uint32Array(AXES * 3000);
  writeReadings(words, 0, { seed: streamSeed(1, 0), firstSeq: 0, count: 1000 });
  writeReadings(words, AXES * 1000, { seed: streamSeed(1, 1), firstSeq: 0, count: 1000 });
  writeReadings(words, AXES * 2000, { seed: streamSeed(2, 0), firstSeq: 0, count: 1000 });
  for (const value of new Float32Array(words.buffer)) {
    expect(Math.abs(value)).toBeGreaterThanOrEqual(1);
    expect(Math.abs(value)).toBeLessThan(2);
  }
  const rows = new Set(
    Array.from({ length: 3000 }, (_, i) => words.subarray(i * AXES, (i + 1) * AXES).join()),
  );
  expect(rows.size).toBe(3000);
});

test('a mask is one exclusive or', () => {
  const plain = readings(5, 0, 8);
  const masked = readings(5, 0, 8, 0x971ec35a);
  for (const [i, word] of plain.entries()) expect(masked[i]).toBe((word ^ 0x971ec35a) >>> 0);
});

test('sample times have no drift', () => {
  expect(sampleTimeUs(100, 200, 3)).toBe(15_100);
  expect(sampleTimeUs(0, 204.8, 2048)).toBe(10_000_000);
});
