import { expect, test } from 'vitest';

import { createLowPass, cutoffOfTimeConstant, lowPassBothWays } from '#motion/filters/butterworth.ts';

const RATE_HZ = 200;

/** Amplitude of what comes out of one second of a sine, long after the start. */
function amplitudeAt(frequencyHz: number, cutoffHz: number): number {
  const filter = createLowPass(1, { cutoffHz, rateHz: RATE_HZ, settleS: 0 });
  const value = new Float64Array(1);
  let largest = 0;
  for (let i = 0; i < 40 * RATE_HZ; i++) {
    value[0] = Math.sin((2 * Math.PI * frequencyHz * i) / RATE_HZ);
    filter.update(value, 0);
    if (i > 39 * RATE_HZ) largest = Math.max(largest, Math.abs(value[0]));
  }
  return largest;
}

test('the amplitude is that of a second-order Butterworth low-pass', () => {
  expect(amplitudeAt(0.5, 5)).toBeCloseTo(1, 3);
  expect(amplitudeAt(5, 5)).toBeCloseTo(Math.SQRT1_2, 3);
  // Second order: a tenth of the frequency is a hundredth of the amplitude, a little less by the bilinear transform.
  expect(amplitudeAt(50, 5)).toBeLessThan(0.01);
});

test('a time constant of 3 s is a cutoff of 0.075 Hz', () => {
  expect(cutoffOfTimeConstant(3)).toBeCloseTo(0.07503, 5);
});

test('a constant stays what it is from the first reading on', () => {
  const filter = createLowPass(2, { cutoffHz: 0.1, rateHz: RATE_HZ, settleS: 0.5 });
  const values = new Float64Array(2);
  for (let i = 0; i < 10 * RATE_HZ; i++) {
    values.set([9.81, -2]);
    filter.update(values, 0);
    expect(values[0]).toBeCloseTo(9.81, 9);
    expect(values[1]).toBeCloseTo(-2, 9);
  }
});

test('while it settles it gives the average so far', () => {
  const filter = createLowPass(1, { cutoffHz: 1, rateHz: 10, settleS: 0.4 });
  const value = new Float64Array(1);
  const given: number[] = [];
  for (const x of [4, 2, 0, 2]) {
    value[0] = x;
    filter.update(value, 0);
    given.push(value[0]);
  }
  expect(given).toEqual([4, 3, 2, 2]);
  value[0] = 2;
  filter.update(value, 0);
  expect(value[0]).toBeCloseTo(2, 12);
});

test('a loaded filter goes on bit for bit, a reset one begins again', () => {
  const spec = { cutoffHz: 3, rateHz: RATE_HZ, settleS: 0.1 };
  const one = createLowPass(1, spec);
  const other = createLowPass(1, spec);
  const step = (filter: typeof one, i: number): number => {
    const value = Float64Array.of(Math.cos(i));
    filter.update(value, 0);
    return value[0]!;
  };
  const first = Array.from({ length: 300 }, (_, i) => step(one, i));
  const saved = new Float64Array(one.stateLength + 2);
  one.save(saved, 2);
  other.load(saved, 2);
  for (let i = 300; i < 400; i++) expect(step(other, i)).toBe(step(one, i));
  one.reset();
  expect(Array.from({ length: 300 }, (_, i) => step(one, i))).toEqual(first);
});

test('a cutoff over half the rate is put below it', () => {
  const filter = createLowPass(1, { cutoffHz: 100, rateHz: 10, settleS: 0 });
  const value = new Float64Array(1);
  for (let i = 0; i < 100; i++) {
    value[0] = (-1) ** i;
    filter.update(value, 0);
    expect(Math.abs(value[0])).toBeLessThan(2);
  }
});

test('run both ways there is no delay', () => {
  const signal = Float64Array.from({ length: 10 * RATE_HZ }, (_, i) => Math.sin((2 * Math.PI * i) / RATE_HZ));
  const filtered = signal.slice();
  lowPassBothWays(filtered, 1, { cutoffHz: 1, rateHz: RATE_HZ, settleS: 0 });
  for (let i = 4 * RATE_HZ; i < 6 * RATE_HZ; i++) expect(filtered[i]).toBeCloseTo(signal[i]! / 2, 2);
  const none = new Float64Array(0);
  lowPassBothWays(none, 3, { cutoffHz: 1, rateHz: RATE_HZ, settleS: 1 });
  expect(none.length).toBe(0);
});
