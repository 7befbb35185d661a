import fc from 'fast-check';
import { expect, test } from 'vitest';

import { loopedSource, readingsUpTo, readingTimeUs, type ReadingSource } from '#simulator/reading-source.ts';
import { recordingSource } from '#simulator/recording.ts';

function countingSource(readingCount: number, rateHz = 204.8): ReadingSource {
  const definition = {
    segment: 'left-foot',
    sensor: 'imu',
    axes: [
      { name: 'a', unit: '1' },
      { name: 'b', unit: '1' },
    ],
    rateHz,
    synthetic: true,
  };
  const readings = Float32Array.from({ length: readingCount * 2 }, (_, i) => i);
  return recordingSource({ definition, readingCount, readings });
}

test('reading times do not drift at a rate that is not a whole number of microseconds', () => {
  expect(readingTimeUs(1000, 0, 204.8)).toBe(1000);
  expect(readingTimeUs(0, 1, 204.8)).toBe(4883);
  expect(readingTimeUs(0, 2048, 204.8)).toBe(10_000_000);
  // Ten hours later still exact to the microsecond.
  expect(readingTimeUs(0, 7_372_800, 204.8)).toBe(36_000_000_000);
});

test('readingsUpTo counts exactly the readings whose time has come', () => {
  const source = loopedSource(countingSource(100));
  const elapsed = fc.integer({ min: 0, max: 86_400_000_000 });
  fc.assert(
    fc.property(elapsed, (elapsedUs) => {
      const count = readingsUpTo(source, elapsedUs);
      expect(readingTimeUs(0, count - 1, 204.8)).toBeLessThanOrEqual(elapsedUs);
      expect(readingTimeUs(0, count, 204.8)).toBeGreaterThan(elapsedUs);
    }),
  );
  expect(readingsUpTo(source, -1)).toBe(0);
  expect(readingsUpTo(source, 0)).toBe(1);
  expect(readingsUpTo(countingSource(100), 86_400_000_000)).toBe(100);
});

test('a looped source starts again after its last reading, however the readings are asked for', () => {
  const looped = loopedSource(countingSource(7));
  const whole = new Float32Array(40 * 2);
  looped.fill(0, 40, whole);
  expect([...whole.subarray(0, 4)]).toEqual([0, 1, 2, 3]);
  expect([...whole.subarray(12, 18)]).toEqual([12, 13, 0, 1, 2, 3]);
  fc.assert(
    fc.property(fc.nat(39), fc.nat(40), (first, length) => {
      const count = Math.min(length, 40 - first);
      const part = new Float32Array(count * 2);
      looped.fill(first, count, part);
      expect(part).toEqual(whole.subarray(first * 2, (first + count) * 2));
    }),
  );
});

test('a range outside the source and a buffer that is too small are bugs', () => {
  const source = countingSource(7);
  expect(() => source.fill(5, 3, new Float32Array(6))).toThrow('no such readings');
  expect(() => source.fill(0, 3, new Float32Array(5))).toThrow('too small');
  expect(() => source.fill(-1, 1, new Float32Array(2))).toThrow('numbered from 0');
});
