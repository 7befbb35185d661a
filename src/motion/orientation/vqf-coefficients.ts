/** Owns what VQF computes once from its parameters and the rate, in the units that its steps use. */

import {
  cutoffOfTimeConstant,
  lowPassCoefficients,
  LOW_PASS_COEFFICIENTS,
} from '#motion/filters/butterworth.ts';

/** Every parameter of every variant (vqf-parameters.ts); those that a variant lacks are at their defaults and not used. */
export interface VqfParameters {
  readonly tauAcc: number;
  readonly tauMag: number;
  readonly gapS: number;
  readonly motionBias: number;
  readonly restBias: number;
  readonly biasSigmaInit: number;
  readonly biasForgettingTime: number;
  readonly biasClip: number;
  readonly biasSigmaMotion: number;
  readonly biasVerticalForgetting: number;
  readonly biasSigmaRest: number;
  readonly restMinTime: number;
  readonly restFilterTau: number;
  readonly restThresholdGyr: number;
  readonly restThresholdAcc: number;
  readonly magRejection: number;
  readonly magCurrentTau: number;
  readonly magRefTau: number;
  readonly magNormThreshold: number;
  readonly magDipThreshold: number;
  readonly magNewTime: number;
  readonly magNewFirstTime: number;
  readonly magNewMinGyr: number;
  readonly magMinUndisturbedTime: number;
  readonly magMaxRejectionTime: number;
  readonly magRejectionFactor: number;
}

export interface VqfCoefficients {
  readonly periodS: number;
  readonly hasMotionBias: boolean;
  readonly hasRestBias: boolean;
  readonly hasMagRejection: boolean;
  /** LOW_PASS_COEFFICIENTS values each. */
  readonly lowPassAcc: Float64Array;
  readonly lowPassRest: Float64Array;
  readonly lowPassMag: Float64Array;
  /** Variances and noise of the bias in (0.01 deg/s)^2. */
  readonly varianceStart: number;
  readonly varianceStep: number;
  readonly noiseMotion: number;
  readonly noiseVertical: number;
  readonly noiseRest: number;
  readonly biasClipRadS: number;
  readonly restMinTimeS: number;
  readonly restGyrSquared: number;
  readonly restAccSquared: number;
  readonly gapReadings: number;
  readonly holdReadings: number;
  /** Gains of first-order low-passes. */
  readonly kMag: number;
  readonly kMagRef: number;
  readonly tauMagS: number;
  readonly magNormShare: number;
  readonly magDipRangeRad: number;
  readonly magNewTimeS: number;
  readonly magNewFirstTimeS: number;
  readonly magNewMinGyrSquared: number;
  readonly magMinUndisturbedTimeS: number;
  readonly magMaxRejectionTimeS: number;
  readonly magRejectionFactor: number;
}

/** A turn goes on as it was for so long without a reading: a lost frame or two. Longer it cannot be guessed. */
const HOLD_S = 0.1;

const RAD = Math.PI / 180;

export function vqfCoefficients(rateHz: number, p: VqfParameters): VqfCoefficients {
  const periodS = 1 / rateHz;
  const lowPassOf = (tauS: number): Float64Array => {
    const coefficients = new Float64Array(LOW_PASS_COEFFICIENTS);
    lowPassCoefficients({ cutoffHz: cutoffOfTimeConstant(tauS), rateHz, settleS: tauS }, coefficients);
    return coefficients;
  };
  const gainOf = (tauS: number): number => 1 - Math.exp(-periodS / tauS);
  // Noise that takes the standard deviation from 0 to 0.1 deg/s in the forgetting time.
  const varianceStep = (10 ** 2 * periodS) / p.biasForgettingTime;
  const noiseFor = (sigma: number): number => {
    const converged = (100 * sigma) ** 2;
    return converged ** 2 / varianceStep + converged;
  };
  return {
    periodS,
    hasMotionBias: p.motionBias >= 0.5,
    hasRestBias: p.restBias >= 0.5,
    hasMagRejection: p.magRejection >= 0.5,
    lowPassAcc: lowPassOf(p.tauAcc),
    lowPassRest: lowPassOf(p.restFilterTau),
    lowPassMag: lowPassOf(p.magCurrentTau),
    varianceStart: (100 * p.biasSigmaInit) ** 2,
    varianceStep,
    noiseMotion: noiseFor(p.biasSigmaMotion),
    noiseVertical: noiseFor(p.biasSigmaMotion) / p.biasVerticalForgetting,
    noiseRest: noiseFor(p.biasSigmaRest),
    biasClipRadS: p.biasClip * RAD,
    restMinTimeS: p.restMinTime,
    restGyrSquared: (p.restThresholdGyr * RAD) ** 2,
    restAccSquared: p.restThresholdAcc ** 2,
    gapReadings: Math.max(1, Math.round(p.gapS * rateHz)),
    holdReadings: Math.round(HOLD_S * rateHz),
    kMag: gainOf(p.tauMag),
    kMagRef: gainOf(p.magRefTau),
    tauMagS: p.tauMag,
    magNormShare: p.magNormThreshold,
    magDipRangeRad: p.magDipThreshold * RAD,
    magNewTimeS: p.magNewTime,
    magNewFirstTimeS: p.magNewFirstTime,
    magNewMinGyrSquared: (p.magNewMinGyr * RAD) ** 2,
    magMinUndisturbedTimeS: p.magMinUndisturbedTime,
    magMaxRejectionTimeS: p.magMaxRejectionTime,
    magRejectionFactor: p.magRejectionFactor,
  };
}
