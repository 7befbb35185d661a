/**
 * Owns initial and final contacts at the lower back by published methods, over a whole recording, to stand beside ours. Our
 * reading of the papers, on the acceleration along the vertical that lumbar-grid.ts finds.
 */

import { gridOf } from '#motion/gait/lumbar-offline.ts';
import { GRID_HZ } from '#motion/gait/lumbar-grid.ts';
import { filtered, gaussian, gaussianBand, gaussianSlope } from '#motion/gait/lumbar-kernels.ts';
import { vertexOf } from '#motion/gait/lumbar-steps.ts';

/** Standard deviation of the Gaussian of a wavelet exp(-x2) at scale 9 of 40 Hz: 9 / sqrt(2) / 40. */
const IONESCU_SIGMA_S = 0.159;
/** The same at scale 10, and of the three Gaussians after it. */
const SHIN_SIGMA_S = 0.177;
const SHIN_SMOOTH_S = [0.05, 0.05, 0.075] as const;
/** The same at scale 10 of 100 Hz. */
const MCCAMLEY_SIGMA_S = 0.0707;

/**
 * Initial contacts, s: the vertical acceleration, integrated and differentiated twice by the wavelet gaus2, is steepest (the
 * least value between zero crossings; McCamley 2012 as Paraschiv-Ionescu, Soltani and Aminian 2020 changed it,
 * doi:10.1109/EMBC44109.2020.9176281). Readings as for lumbarGaitOffline.
 */
export function initialContactsIonescu(readings: Float64Array, count: number, rateHz: number): Float64Array {
  const { vertical } = gridOf(readings, count, rateHz);
  return peaksBetweenZeros(filtered(gaussianSlope(IONESCU_SIGMA_S * GRID_HZ), vertical));
}

/**
 * Initial contacts, s: the norm of the acceleration, smoothed by two gaus2 wavelets and three Gaussians, crosses zero upwards
 * (Shin and Park 2011, doi:10.1016/j.medengphy.2011.04.009, as Mobilise-D uses it). Readings as for lumbarGaitOffline.
 */
export function initialContactsShin(readings: Float64Array, count: number, rateHz: number): Float64Array {
  const { norm } = gridOf(readings, count, rateHz);
  const band = gaussianBand(SHIN_SIGMA_S * GRID_HZ * Math.PI * Math.SQRT2);
  let signal = filtered(band, filtered(band, norm));
  for (const sigmaS of SHIN_SMOOTH_S) signal = filtered(gaussian(sigmaS * GRID_HZ), signal);
  const times: number[] = [];
  for (let i = 1; i < signal.length; i++)
    if (signal[i - 1]! < 0 && signal[i]! >= 0)
      times.push((i - 1 + signal[i - 1]! / (signal[i - 1]! - signal[i]!)) / GRID_HZ);
  return Float64Array.from(times);
}

/**
 * Final contacts, s: where the vertical acceleration, integrated and twice differentiated by the wavelet gaus1, falls steepest
 * (McCamley 2012, doi:10.1016/j.gaitpost.2012.02.019). Readings as for lumbarGaitOffline.
 */
export function finalContactsMcCamley(readings: Float64Array, count: number, rateHz: number): Float64Array {
  const { vertical } = gridOf(readings, count, rateHz);
  const smooth = filtered(gaussian(MCCAMLEY_SIGMA_S * GRID_HZ), vertical);
  const slope = filtered(gaussianSlope(MCCAMLEY_SIGMA_S * GRID_HZ), smooth);
  return peaksBetweenZeros(slope.map((value) => -value));
}

/** Of each stretch above zero the highest place, s. */
function peaksBetweenZeros(signal: Float64Array): Float64Array {
  const times: number[] = [];
  let best = -1;
  for (let i = 1; i < signal.length - 1; i++) {
    if (signal[i]! > 0 && (best < 0 || signal[i]! > signal[best]!)) best = i;
    if (signal[i]! <= 0 && best >= 0) {
      times.push((best + vertexOf(signal[best - 1]!, signal[best]!, signal[best + 1]!)) / GRID_HZ);
      best = -1;
    }
  }
  return Float64Array.from(times);
}
