import { expect, test } from 'vitest';

import { runBatch } from '#motion/algorithm.ts';
import { vqfOffline } from '#motion/orientation/vqf-offline.ts';
import { vqf } from '#motion/orientation/vqf.ts';
import { angleBetween, conjugate, multiply, rotateInverse } from '#motion/quaternion.ts';
import { swinging, turningSensor } from '#test/support/turning-sensor.ts';

const RATE_HZ = 100;
const SECONDS = 60;
const BIAS = [0.015, -0.012, 0.02] as const;
/** Rests for ten seconds, then moves. */
const made = turningSensor({
  seconds: SECONDS,
  rateHz: RATE_HZ,
  bias: BIAS,
  rateAt: (timeS) => (timeS < 10 ? [0, 0, 0] : swinging(timeS)),
});
const COUNT = SECONDS * RATE_HZ;

/** Three columns of six. */
const three = (first: number): Float64Array =>
  Float64Array.from({ length: 3 * COUNT }, (_, i) => made.readings[Math.floor(i / 3) * 6 + first + (i % 3)]!);

/** A field of 48 uT that dips by 65 degrees, y of the earth being north, as the true orientation sees it. */
function fieldReadings(): Float64Array {
  const field = new Float64Array(3 * COUNT);
  const seen = new Float64Array(3);
  for (let i = 0; i < COUNT; i++) {
    rotateInverse(made.truth[i]!, Float64Array.of(0, 20, -44), seen);
    field.set(seen, 3 * i);
  }
  return field;
}

const inclinationError = (q: Float64Array, i: number): number => {
  const up = Float64Array.of(0, 0, 1);
  const truth = Float64Array.of(0, 0, 1);
  rotateInverse(q.subarray(4 * i, 4 * i + 4), up, up);
  rotateInverse(made.truth[i]!, truth, truth);
  return Math.acos(Math.min(1, up[0]! * truth[0]! + up[1]! * truth[1]! + up[2]! * truth[2]!));
};

/** How far the heading of the two turned against each other since reading `first`. */
function driftSince(q: Float64Array, first: number, last: number): number {
  const offset = (i: number): Float64Array => {
    const inverse = new Float64Array(4);
    conjugate(made.truth[i]!, inverse);
    multiply(q.subarray(4 * i, 4 * i + 4), inverse, inverse);
    return inverse;
  };
  return angleBetween(offset(first), offset(last));
}

test('the bias is known from the first reading on, and the heading does not drift with it', () => {
  const { quaternions, biasRadS, biasSigmaRadS, isRest } = vqfOffline({
    rateHz: RATE_HZ,
    accMS2: three(0),
    gyrRadS: three(3),
    mag: null,
  });
  for (let axis = 0; axis < 3; axis++) expect(Math.abs(biasRadS[axis]! - BIAS[axis]!)).toBeLessThan(5e-4);
  expect(biasSigmaRadS[0]).toBeLessThan(0.002);
  expect([isRest[500], isRest[4000]]).toEqual([1, 0]);
  for (let i = 0; i < COUNT; i += 50) expect(inclinationError(quaternions, i)).toBeLessThan(0.01);
  // Live the first seconds turn with the whole bias, 0.02 rad/s about the vertical.
  const live = runBatch(vqf.create(RATE_HZ), made.readings, COUNT);
  const liveQuaternions = Float64Array.from(
    { length: 4 * COUNT },
    (_, i) => live[Math.floor(i / 4) * 9 + (i % 4)]!,
  );
  const drift = driftSince(quaternions, 0, 900);
  expect(drift).toBeLessThan(0.01);
  expect(driftSince(liveQuaternions, 0, 900)).toBeGreaterThan(2 * drift);
});

test('with a magnetometer it is east, north, up from the first reading on, disturbed for a while or not', () => {
  const mag = fieldReadings();
  for (let i = 3000; i < 3500; i++) mag[3 * i] = mag[3 * i]! + 60;
  mag.fill(Number.NaN, 3 * 4000, 3 * 4100);
  const { quaternions, isMagDisturbed } = vqfOffline({
    rateHz: RATE_HZ,
    accMS2: three(0),
    gyrRadS: three(3),
    mag,
  });
  expect([isMagDisturbed[2000], isMagDisturbed[3300]]).toEqual([0, 1]);
  for (let i = 0; i < COUNT; i += 50)
    expect(angleBetween(quaternions.subarray(4 * i), made.truth[i]!)).toBeLessThan(0.02);
});

test('nothing is known in a gap, and it is as good after it', () => {
  const gyr = three(3);
  const acc = three(0);
  gyr.fill(Number.NaN, 3 * 2000, 3 * 2300);
  acc.fill(Number.NaN, 3 * 2000, 3 * 2300);
  // A lost frame, and one of the accelerometer alone at the very beginning.
  gyr.fill(Number.NaN, 3 * 3000, 3 * 3003);
  acc.fill(Number.NaN, 0, 3 * 5);
  const { quaternions } = vqfOffline({ rateHz: RATE_HZ, accMS2: acc, gyrRadS: gyr, mag: null });
  expect(quaternions.subarray(4 * 2000, 4 * 2300).every((value) => Number.isNaN(value))).toBe(true);
  for (const i of [0, 1999, 2300, 2301, 3010, COUNT - 1])
    expect(inclinationError(quaternions, i)).toBeLessThan(0.02);
});

test('without any acceleration, or any reading, nothing is known', () => {
  const none = new Float64Array(300).fill(Number.NaN);
  const gyr = new Float64Array(300);
  const lost = vqfOffline({ rateHz: RATE_HZ, accMS2: none, gyrRadS: gyr, mag: none });
  expect(lost.quaternions.every((value) => Number.isNaN(value))).toBe(true);
  const empty = new Float64Array(0);
  expect(vqfOffline({ rateHz: RATE_HZ, accMS2: empty, gyrRadS: empty, mag: null }).quaternions.length).toBe(
    0,
  );
});
