/**
 * Owns what a real inertial unit adds to the truth: white noise and a constant bias an axis. The error of reading i is
 * a pure function of (seed, i), so a reading can be made again in any order; the noise is drawn from one shared table
 * of 65,536 normal variates by a hash of seed and index, which costs a few nanoseconds a value.
 */

import { normal, seededRandom } from '#base/random.ts';

export interface SensorErrors {
  /** Noise densities; the noise of a reading is density * sqrt(rate / 2), the band up to half the rate. */
  readonly accNoiseMS2PerRootHz: number;
  readonly gyrNoiseDegSPerRootHz: number;
  readonly magNoiseUT: number;
  /** One standard deviation of the constant bias that each axis of each device gets. */
  readonly accBiasMS2: number;
  readonly gyrBiasDegS: number;
  readonly magBiasUT: number;
}

const STANDARD_GRAVITY_M_S2 = 9.80665;

/**
 * Typical figures of a wearable's inertial unit: Bosch BMI270 data sheet BST-BMI270-DS000 (0.16 mg/sqrt(Hz),
 * 7 mdps/sqrt(Hz), zero-g offset 20 mg, zero-rate offset 0.5 dps), and BMM150 for the magnetometer (0.3 uT; the bias is
 * what is left after hard-iron calibration).
 */
export const typicalErrors: SensorErrors = {
  accNoiseMS2PerRootHz: 0.16e-3 * STANDARD_GRAVITY_M_S2,
  gyrNoiseDegSPerRootHz: 0.007,
  magNoiseUT: 0.3,
  accBiasMS2: 0.02 * STANDARD_GRAVITY_M_S2,
  gyrBiasDegS: 0.5,
  magBiasUT: 1,
};

export interface ErrorModel {
  /** The constant part, one value an axis. */
  readonly bias: Float64Array;
  /** Adds bias and noise of readings [firstIndex, firstIndex + count) to `out`, row by row. */
  add(firstIndex: number, count: number, out: Float32Array): void;
}

const VARIATES = 65_536;
let sharedVariates: Float32Array | undefined;

function normalVariates(): Float32Array {
  if (sharedVariates === undefined) {
    const random = seededRandom(1);
    sharedVariates = Float32Array.from({ length: VARIATES }, () => normal(random));
  }
  return sharedVariates;
}

/** Axes are in threes: accelerometer, gyroscope and, when there are nine, magnetometer. */
export function createErrorModel(
  errors: SensorErrors,
  device: { seed: number; rateHz: number; axes: number },
): ErrorModel {
  const { seed, rateHz, axes } = device;
  const rootBand = Math.sqrt(rateHz / 2);
  const noise = [
    errors.accNoiseMS2PerRootHz * rootBand,
    errors.gyrNoiseDegSPerRootHz * rootBand,
    errors.magNoiseUT,
  ];
  const spread = [errors.accBiasMS2, errors.gyrBiasDegS, errors.magBiasUT];
  const random = seededRandom(seed);
  const bias = Float64Array.from(
    { length: axes },
    (_, axis) => spread[Math.floor(axis / 3)]! * normal(random),
  );
  const sigma = Float64Array.from({ length: axes }, (_, axis) => noise[Math.floor(axis / 3)]!);
  const variates = normalVariates();
  const seedMix = mix(seed | 0, Math.floor(seed / 4294967296));
  return {
    bias,
    add(firstIndex, count, out) {
      let at = 0;
      for (let i = 0; i < count; i++) {
        const index = firstIndex + i;
        let h = mix(seedMix ^ (index | 0), Math.floor(index / 4294967296));
        for (let axis = 0; axis < axes; axis++, at++) {
          // The next hash from the last one (an LCG step, Numerical Recipes), its upper bits choosing the variate.
          h = (Math.imul(h, 1664525) + 1013904223) | 0;
          out[at] = out[at]! + bias[axis]! + sigma[axis]! * variates[h >>> 16]!;
        }
      }
    },
  };
}

/** A 32-bit hash of two integers: the finaliser of MurmurHash3 (Appleby 2011), applied twice. */
function mix(low: number, high: number): number {
  return finalise(finalise(low ^ 0x9e3779b9) ^ high);
}

function finalise(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
