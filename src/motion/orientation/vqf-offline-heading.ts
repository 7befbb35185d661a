/**
 * Owns the heading of a whole recording: what the magnetometer says at each reading, filtered forwards and backwards, while
 * the field is disturbed not at all. Laidig and Seel 2023, doi:10.1016/j.inffus.2022.10.014, offline variant.
 */

import type { VqfCoefficients } from '#motion/orientation/vqf-coefficients.ts';
import { multiply, rotate } from '#motion/quaternion.ts';

export interface HeadingInput {
  /** Four values a reading, z up; they are turned in place into east, north, up. */
  readonly quaternions: Float64Array;
  /** Three values a reading, NaN or all zero where missing. */
  readonly mag: Float64Array;
  readonly isDisturbed: Uint8Array;
}

export function smoothHeading(c: VqfCoefficients, input: HeadingInput): void {
  const count = input.isDisturbed.length;
  const delta = measuredHeading(input);
  const isMissing = Uint8Array.from(delta, (value) => (Number.isNaN(value) ? 1 : 0));
  if (isMissing.every((missing) => missing === 1)) return;
  filterOneWay(c, { delta, isMissing, isDisturbed: input.isDisturbed }, 1);
  filterOneWay(c, { delta, isMissing, isDisturbed: input.isDisturbed }, -1);
  const turn = new Float64Array(4);
  const q = new Float64Array(4);
  for (let i = 0; i < count; i++) {
    turn[0] = Math.cos(delta[i]! / 2);
    turn[3] = Math.sin(delta[i]! / 2);
    q.set(input.quaternions.subarray(4 * i, 4 * i + 4));
    multiply(turn, q, q);
    input.quaternions.set(q, 4 * i);
  }
}

/** The angle about the vertical that would bring y to north, by each reading alone; NaN where there is none. */
function measuredHeading({ quaternions, mag, isDisturbed }: HeadingInput): Float64Array {
  const q = new Float64Array(4);
  const field = new Float64Array(3);
  return Float64Array.from(isDisturbed, (_, i) => {
    field.set(mag.subarray(3 * i, 3 * i + 3));
    if (field[0] === 0 && field[1] === 0 && field[2] === 0) return Number.NaN;
    q.set(quaternions.subarray(4 * i, 4 * i + 4));
    rotate(q, field, field);
    return Math.atan2(field[0]!, field[1]!);
  });
}

interface FilteredHeading {
  readonly delta: Float64Array;
  readonly isMissing: Uint8Array;
  readonly isDisturbed: Uint8Array;
}

/** A first-order low-pass over the angle, in place; its gain is 1/n for the first n readings, so that it starts at once. */
function filterOneWay(
  c: VqfCoefficients,
  { delta, isMissing, isDisturbed }: FilteredHeading,
  direction: 1 | -1,
): void {
  const count = delta.length;
  let d = Number.NaN;
  let leastGain = 1;
  // As live: a field is left out only once another was believed. (The reference begins with 0 here, and then knows no
  // heading in the first minute of a recording that is disturbed all along.)
  let rejectTimeS = c.magMaxRejectionTimeS;
  for (let k = 0; k < count; k++) {
    const i = direction === 1 ? k : count - 1 - k;
    if (isMissing[i] === 1) {
      if (!Number.isNaN(d)) delta[i] = d;
      continue;
    }
    if (Number.isNaN(d)) d = delta[i]!;
    const off = wrapped(delta[i]! - d);
    let gain = c.kMag;
    if (c.hasMagRejection) {
      if (isDisturbed[i] !== 1) rejectTimeS = Math.max(rejectTimeS - c.magRejectionFactor * c.periodS, 0);
      else if (rejectTimeS <= c.magMaxRejectionTimeS) {
        rejectTimeS += c.periodS;
        gain = 0;
      } else gain /= c.magRejectionFactor;
    }
    if (leastGain !== 0) {
      gain = Math.max(gain, leastGain);
      leastGain /= leastGain + 1;
      if (leastGain * c.tauMagS < c.periodS) leastGain = 0;
    }
    d = wrapped(d + gain * off);
    delta[i] = d;
  }
}

function wrapped(angleRad: number): number {
  if (angleRad > Math.PI) return angleRad - 2 * Math.PI;
  return angleRad < -Math.PI ? angleRad + 2 * Math.PI : angleRad;
}
