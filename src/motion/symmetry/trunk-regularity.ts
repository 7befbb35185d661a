/**
 * Owns how alike the steps and the strides of a walk are, from the acceleration of the trunk alone: its autocorrelation after
 * one step and after one stride. Moe-Nilssen, Helbostad 2004, doi:10.1016/S0021-9290(03)00233-1.
 */

import { assert } from '#base/assert.ts';

/** Fewer strides are no estimate of how alike they are. */
export const MIN_REGULARITY_STRIDES = 5;
/** The peak is looked for so far around the given time, as a share of it: steps of a limping walk are not half a stride. */
const PEAK_REACH = 0.25;

export interface TrunkRegularity {
  /** Autocorrelation after one step and after one stride, -1 to 1: 1 when all are alike. */
  readonly step: number;
  readonly stride: number;
  /** Step to stride regularity: 1 when left and right steps are alike. Null where strides are not. */
  readonly symmetry: number | null;
}

/**
 * Of one stretch of straight walking: accelerations along one axis of the trunk (vertical or ahead) in any unit at `rateHz`, and
 * the mean stride time as the contacts tell it. Null when the stretch has less than MIN_REGULARITY_STRIDES strides, a missing
 * value, or no change. Not for the axis from side to side, along which a step is the mirror of the next.
 */
export function trunkRegularity(
  accelerations: Float64Array,
  rateHz: number,
  strideTimeS: number,
): TrunkRegularity | null {
  assert(rateHz > 0 && strideTimeS > 0, 'rate and stride time are positive');
  const stride = strideTimeS * rateHz;
  if (accelerations.length < MIN_REGULARITY_STRIDES * stride) return null;
  let sum = 0;
  for (const value of accelerations) sum += value;
  const mean = sum / accelerations.length;
  const power = correlationAt(accelerations, mean, 0);
  // Not finite with a missing value; rounding is all there is of a constant.
  if (!(power > 1e-12 * mean * mean) || power === Infinity) return null;
  const strideRegularity = peakNear(accelerations, mean, stride) / power;
  const stepRegularity = peakNear(accelerations, mean, stride / 2) / power;
  return {
    step: stepRegularity,
    stride: strideRegularity,
    symmetry: strideRegularity > 0 ? stepRegularity / strideRegularity : null,
  };
}

/** Unbiased: over as many products as there are, not as there would be without a lag. */
function correlationAt(values: Float64Array, mean: number, lag: number): number {
  let sum = 0;
  for (let i = lag; i < values.length; i++) sum += (values[i]! - mean) * (values[i - lag]! - mean);
  return sum / (values.length - lag);
}

/** The highest peak around `lag`, at the top of the parabola through it and its neighbours. */
function peakNear(values: Float64Array, mean: number, lag: number): number {
  const from = Math.max(1, Math.floor(lag * (1 - PEAK_REACH)));
  const to = Math.min(values.length - 2, Math.ceil(lag * (1 + PEAK_REACH)));
  const found = Float64Array.from({ length: to - from + 3 }, (_, i) =>
    correlationAt(values, mean, from - 1 + i),
  );
  // A peak, not the flank of another one: the largest of the maxima, or the value at the lag itself where there is none.
  let best = -1;
  for (let i = 1; i < found.length - 1; i++)
    if (found[i]! >= found[i - 1]! && found[i]! > found[i + 1]! && (best < 0 || found[i]! > found[best]!))
      best = i;
  if (best < 0) return found[Math.min(found.length - 1, Math.round(lag) - from + 1)]!;
  const left = found[best - 1]!;
  const top = found[best]!;
  const right = found[best + 1]!;
  return top + (left - right) ** 2 / (8 * (2 * top - left - right));
}
