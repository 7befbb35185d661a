/**
 * Owns the kernels with which the signals of the lower back are smoothed and differentiated: Gaussians and their first and
 * second derivatives, that is, the wavelets gaus1 and gaus2 of McCamley 2012, written out as symmetric filters without
 * delay. A kernel reaches `half` samples to both sides.
 */

export interface Kernel {
  readonly half: number;
  /** 2 * half + 1 weights; the sum of weight[i] * x[at - half + i] is the answer. */
  readonly weights: Float64Array;
}

/** Standard deviations to each side after which a Gaussian is cut off: what is left out is 5e-4 of it. */
const REACH = 3.5;

function kernelOf(sigma: number, weightAt: (x: number) => number): Kernel {
  const half = Math.max(1, Math.ceil(REACH * sigma));
  return { half, weights: Float64Array.from({ length: 2 * half + 1 }, (_, i) => weightAt(i - half)) };
}

/** Gaussian of unit gain; `sigma` in samples. */
export function gaussian(sigma: number): Kernel {
  const kernel = kernelOf(sigma, (x) => Math.exp((-x * x) / (2 * sigma * sigma)));
  return scaled(kernel, 1 / sumOf(kernel));
}

/** Derivative of the Gaussian-smoothed signal, per sample: gaus1. */
export function gaussianSlope(sigma: number): Kernel {
  const kernel = kernelOf(sigma, (x) => x * Math.exp((-x * x) / (2 * sigma * sigma)));
  let ramp = 0;
  for (let i = 0; i < kernel.weights.length; i++) ramp += kernel.weights[i]! * (i - kernel.half);
  return scaled(kernel, 1 / ramp);
}

/**
 * Negative second derivative of the Gaussian-smoothed signal (gaus2, Ricker): a band-pass without delay whose strongest
 * frequency is sqrt(2) / (2 pi sigma). Made free of offset, and of gain 1 for a cosine of `period` samples.
 */
export function gaussianBand(period: number): Kernel {
  const sigma = (Math.SQRT2 / (2 * Math.PI)) * period;
  const kernel = kernelOf(
    sigma,
    (x) => (1 - (x * x) / (sigma * sigma)) * Math.exp((-x * x) / (2 * sigma * sigma)),
  );
  const { weights, half } = kernel;
  const offset = sumOf(kernel) / weights.length;
  let gain = 0;
  for (let i = 0; i < weights.length; i++) {
    weights[i] = weights[i]! - offset;
    gain += weights[i]! * Math.cos((2 * Math.PI * (i - half)) / period);
  }
  return scaled(kernel, 1 / gain);
}

/** The kernel's answer at one place of a ring with `mask + 1` values. */
export function ringAnswer(kernel: Kernel, ring: Float64Array, at: number): number {
  const { weights, half } = kernel;
  const mask = ring.length - 1;
  const first = at - half;
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i]! * ring[(first + i) & mask]!;
  return sum;
}

/** The kernel's answer everywhere; beyond the ends the first and the last value go on. */
export function filtered(kernel: Kernel, values: Float64Array): Float64Array {
  const { weights, half } = kernel;
  const last = values.length - 1;
  const out = new Float64Array(values.length);
  for (let at = 0; at <= last; at++) {
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      const from = at - half + i;
      sum += weights[i]! * values[from < 0 ? 0 : from > last ? last : from]!;
    }
    out[at] = sum;
  }
  return out;
}

function sumOf({ weights }: Kernel): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i]!;
  return sum;
}

function scaled({ half, weights }: Kernel, factor: number): Kernel {
  for (let i = 0; i < weights.length; i++) weights[i] = weights[i]! * factor;
  return { half, weights };
}
