/** Owns a made-up inertial sensor that turns at one place, with noise and bias, and the orientation that it truly has. */

import { normal, seededRandom } from '#base/random.ts';
import { fromRotationVector, multiply, rotateInverse } from '#motion/quaternion.ts';

export const GRAVITY = 9.81;

/** A sensor that turns as `rateAt` says in rad/s, at one place: its readings, and its true orientation. */
export function turningSensor(options: {
  seconds: number;
  rateHz: number;
  bias: readonly [number, number, number];
  rateAt: (timeS: number) => readonly [number, number, number];
}): { readings: Float64Array; truth: Float64Array[] } {
  const random = seededRandom(11);
  const count = Math.round(options.seconds * options.rateHz);
  const made = new Float64Array(count * 6);
  const truth: Float64Array[] = [];
  const q = Float64Array.of(1, 0, 0, 0);
  const step = new Float64Array(4);
  const up = new Float64Array(3);
  for (let i = 0; i < count; i++) {
    const rate = options.rateAt(i / options.rateHz);
    fromRotationVector(
      Float64Array.from(rate, (w) => w / options.rateHz),
      step,
    );
    multiply(q, step, q);
    truth.push(q.slice());
    rotateInverse(q, Float64Array.of(0, 0, GRAVITY), up);
    for (let axis = 0; axis < 3; axis++) {
      made[6 * i + axis] = up[axis]! + 0.02 * normal(random);
      made[6 * i + 3 + axis] = rate[axis]! + options.bias[axis]! + 0.002 * normal(random);
    }
  }
  return { readings: made, truth };
}

/** A motion that never rests and sees every direction of up. */
export const swinging = (timeS: number): readonly [number, number, number] => [
  2 * Math.sin(2 * timeS),
  1.5 * Math.cos(3 * timeS),
  Math.sin(1.3 * timeS),
];
