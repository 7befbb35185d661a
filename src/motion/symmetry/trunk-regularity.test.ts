import { expect, test } from 'vitest';

import { normal, seededRandom } from '#base/random.ts';
import { trunkRegularity } from '#motion/symmetry/trunk-regularity.ts';

const RATE_HZ = 100;
const STRIDE_S = 1.1;

/** Step and stride harmonics with gravity; `limp` is the amplitude of the harmonic that repeats with strides only. */
function trunk(limp: number, noise: number, seconds = 20): Float64Array {
  const random = seededRandom(2);
  return Float64Array.from({ length: seconds * RATE_HZ }, (_, i) => {
    const phase = (2 * Math.PI * i) / (RATE_HZ * STRIDE_S);
    return 9.81 + 2 * Math.sin(2 * phase) + limp * Math.sin(phase) + noise * normal(random);
  });
}

test('steps that are all alike have regularity 1 and symmetry 1', () => {
  const found = trunkRegularity(trunk(0, 0), RATE_HZ, STRIDE_S)!;
  expect(found.step).toBeCloseTo(1, 2);
  expect(found.stride).toBeCloseTo(1, 2);
  expect(found.symmetry).toBeCloseTo(1, 2);
});

test('a limp lowers the step regularity by its share of the power, not the stride regularity', () => {
  // Powers 2 and 0.5: after half a stride the limp has the opposite sign, (2 - 0.5) / 2.5.
  const found = trunkRegularity(trunk(1, 0), RATE_HZ, STRIDE_S)!;
  expect(found.step).toBeCloseTo(0.6, 1);
  expect(found.stride).toBeCloseTo(1, 2);
  expect(found.symmetry).toBeCloseTo(0.6, 1);
});

test('noise lowers both alike', () => {
  // Power 2 of the steps and 1 of the noise.
  const found = trunkRegularity(trunk(0, 1, 200), RATE_HZ, STRIDE_S)!;
  expect(found.stride).toBeCloseTo(2 / 3, 1);
  expect(found.symmetry).toBeCloseTo(1, 1);
});

test('a stride time that is off by a tenth is made good', () => {
  const exact = trunkRegularity(trunk(1, 0), RATE_HZ, STRIDE_S)!;
  const off = trunkRegularity(trunk(1, 0), RATE_HZ, 1.1 * STRIDE_S)!;
  expect(off.step).toBeCloseTo(exact.step, 9);
  expect(off.stride).toBeCloseTo(exact.stride, 9);
});

test('gives nothing for a short, broken or constant signal', () => {
  expect(trunkRegularity(trunk(0, 0, 5), RATE_HZ, STRIDE_S)).toBeNull();
  const broken = trunk(0, 0);
  broken[700] = Number.NaN;
  expect(trunkRegularity(broken, RATE_HZ, STRIDE_S)).toBeNull();
  expect(trunkRegularity(new Float64Array(2000).fill(9.81), RATE_HZ, STRIDE_S)).toBeNull();
});
