import fc from 'fast-check';
import { expect, test } from 'vitest';

import { createErrorModel, typicalErrors } from '#simulator/sensor-errors.ts';

const device = { seed: 7, rateHz: 200, axes: 9 };

function errorsOf(firstIndex: number, count: number, seed = 7): Float32Array {
  const out = new Float32Array(count * 9);
  createErrorModel(typicalErrors, { ...device, seed }).add(firstIndex, count, out);
  return out;
}

test('the noise of each axis has the density of the data sheet and is white', () => {
  const count = 20_000;
  const out = errorsOf(0, count);
  const { bias } = createErrorModel(typicalErrors, device);
  const expected = [
    typicalErrors.accNoiseMS2PerRootHz * 10,
    typicalErrors.gyrNoiseDegSPerRootHz * 10,
    typicalErrors.magNoiseUT,
  ];
  for (let axis = 0; axis < 9; axis++) {
    const noise = Array.from({ length: count }, (_, i) => out[i * 9 + axis]! - bias[axis]!);
    const variance = noise.reduce((sum, value) => sum + value * value, 0) / count;
    expect(Math.sqrt(variance) / expected[Math.floor(axis / 3)]!).toBeCloseTo(1, 1);
    // Five standard errors of a correlation coefficient of white noise.
    const other = Array.from(
      { length: count },
      (_, i) => out[i * 9 + ((axis + 1) % 9)]! - bias[(axis + 1) % 9]!,
    );
    const otherVariance = other.reduce((sum, value) => sum + value * value, 0) / count;
    for (const lag of [1, 2, 3, 10]) {
      const product = noise.reduce((sum, value, i) => sum + value * (noise[i + lag] ?? 0), 0) / count;
      expect(Math.abs(product / variance)).toBeLessThan(5 / Math.sqrt(count));
    }
    const between = noise.reduce((sum, value, i) => sum + value * other[i]!, 0) / count;
    expect(Math.abs(between / Math.sqrt(variance * otherVariance))).toBeLessThan(5 / Math.sqrt(count));
  }
});

test('the error of a reading depends on seed and number only, also past 2^32', () => {
  const start = 2 ** 32 - 20;
  const whole = errorsOf(start, 40);
  fc.assert(
    fc.property(fc.nat(39), fc.nat(40), (first, length) => {
      const count = Math.min(length, 40 - first);
      expect(errorsOf(start + first, count)).toEqual(whole.subarray(first * 9, (first + count) * 9));
    }),
  );
  expect(errorsOf(2 ** 32, 4)).not.toEqual(errorsOf(0, 4));
  expect(errorsOf(0, 4, 8)).not.toEqual(errorsOf(0, 4, 7));
});
