/**
 * Owns the parameters of VQF with the defaults of its authors, which hold for any rate and any way of moving and are not to
 * be tuned to a recording: D. Laidig, T. Seel, VQF, Information Fusion 91 (2023) 187-204, doi:10.1016/j.inffus.2022.10.014.
 */

import type { ParameterSpec } from '#motion/algorithm.ts';

export const VQF_SOURCE =
  'D. Laidig, T. Seel: VQF: highly accurate IMU orientation estimation with bias estimation and magnetic disturbance rejection. Information Fusion 91 (2023) 187-204, doi:10.1016/j.inffus.2022.10.014';

const TUNED = 'Laidig and Seel 2023, found over six data sets, none of them ours';
const CHOSEN = 'Laidig and Seel 2023';

function spec(
  [value, min, max]: readonly [number, number, number],
  unit: string,
  summary: string,
): ParameterSpec {
  return { default: value, min, max, unit, summary, source: CHOSEN };
}

function onOff(summary: string): ParameterSpec {
  return spec([1, 0, 1], '1', `${summary}: 1 on, 0 off`);
}

export const tauAcc = {
  tauAcc: {
    ...spec(
      [3, 0.01, 1000],
      's',
      'time constant of the inclination correction; larger trusts the gyroscope more',
    ),
    source: TUNED,
  },
} as const;

export const tauMag = {
  tauMag: {
    ...spec(
      [9, 0.01, 1000],
      's',
      'time constant of the heading correction; larger trusts the gyroscope more',
    ),
    source: TUNED,
  },
} as const;

export const gapS = {
  gapS: {
    default: 1,
    min: 0.05,
    max: 1000,
    unit: 's',
    summary: 'after so long without readings the inclination is found anew',
    source: 'about a stride: a sensor may then sit at any angle (own choice, the reference knows no gaps)',
  },
} as const;

export const restAndBias = {
  motionBias: onOff('estimate the gyroscope bias while moving, from the inclination correction'),
  restBias: onOff('detect rest and estimate the gyroscope bias then'),
  biasSigmaInit: spec([0.5, 0.001, 100], 'deg/s', 'standard deviation of the bias at the start'),
  biasForgettingTime: spec(
    [100, 0.1, 1e6],
    's',
    'in which the uncertainty of the bias grows from 0 to 0.1 deg/s',
  ),
  biasClip: spec([2, 0.01, 100], 'deg/s', 'largest bias expected, and largest steady turn that can be rest'),
  biasSigmaMotion: spec([0.1, 0.001, 100], 'deg/s', 'converged standard deviation of the bias while moving'),
  biasVerticalForgetting: spec(
    [0.0001, 1e-10, 1],
    '1',
    'weight with which the vertical bias, unobservable while moving, decays to zero',
  ),
  biasSigmaRest: spec([0.03, 0.001, 100], 'deg/s', 'converged standard deviation of the bias at rest'),
  restMinTime: spec([1.5, 0, 100], 's', 'still for so long is rest'),
  restFilterTau: spec([0.5, 0.01, 100], 's', 'time constant of the reference that rest is judged against'),
  restThresholdGyr: spec([2, 0.01, 1000], 'deg/s', 'largest deviation from the reference at rest'),
  restThresholdAcc: spec([0.5, 0.001, 100], 'm/s2', 'largest deviation from the reference at rest'),
} as const;

export const magneticField = {
  magRejection: onOff('detect magnetic disturbances and leave the magnetometer out then'),
  magCurrentTau: spec([0.05, 0.001, 10], 's', 'time constant for the present norm and dip of the field'),
  magRefTau: spec([20, 0.1, 1e4], 's', 'time constant with which the reference field follows'),
  magNormThreshold: spec(
    [0.1, 0.001, 1],
    '1',
    'largest relative deviation of the norm of an undisturbed field',
  ),
  magDipThreshold: spec([10, 0.1, 90], 'deg', 'largest deviation of the dip of an undisturbed field'),
  magNewTime: spec([20, 0, 1e4], 's', 'moving so long in another homogeneous field makes it the reference'),
  magNewFirstTime: spec([5, 0, 1e4], 's', 'the same while there is no reference yet'),
  magNewMinGyr: spec([20, 0, 1000], 'deg/s', 'slower turning does not count for the two above'),
  magMinUndisturbedTime: spec([0.5, 0, 100], 's', 'within the thresholds so long is undisturbed again'),
  magMaxRejectionTime: spec([60, 0, 1e5], 's', 'for which the magnetometer is left out at most'),
  magRejectionFactor: spec([2, 1, 1000], '1', 'by which the heading correction is slower after that'),
} as const;

/** Of the variant that has them all. */
export const vqfParameterSpecs = {
  ...tauAcc,
  ...tauMag,
  ...gapS,
  ...restAndBias,
  ...magneticField,
} as const;
