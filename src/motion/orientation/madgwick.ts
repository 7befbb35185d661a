/**
 * Owns the filter of Madgwick for comparison: integration of the gyroscope, and each reading a step of fixed length down the
 * gradient of how far gravity and the magnetic field are from where the orientation has them. S. O. H. Madgwick, A. J. L.
 * Harrison, R. Vaidyanathan, ICORR 2011, doi:10.1109/ICORR.2011.5975346, as in the paper, without its drift compensation.
 */

import { parametersOf, type AlgorithmDefinition } from '#motion/algorithm.ts';
import {
  COMPARISON_INPUTS,
  COMPARISON_OUTPUTS,
  createComparisonFilter,
  type ComparisonState,
} from '#motion/orientation/comparison-filter.ts';

const parameters = {
  beta: {
    default: 0.12,
    min: 0,
    max: 10,
    unit: 'rad/s',
    summary: 'length of the step towards what accelerometer and magnetometer say',
    source:
      'least mean error over all trials of BROAD (Laidig 2021, doi:10.3390/data6070072), so in its favour there',
  },
} as const;

export const madgwick: AlgorithmDefinition<typeof parameters> = {
  name: 'madgwick',
  version: 1,
  summary: 'Orientation by gradient descent, for comparison only.',
  source:
    'S. O. H. Madgwick, A. J. L. Harrison, R. Vaidyanathan: Estimation of IMU and MARG orientation using a gradient descent algorithm. ICORR 2011, doi:10.1109/ICORR.2011.5975346',
  parameters,
  inputs: COMPARISON_INPUTS,
  outputs: COMPARISON_OUTPUTS,
  maxRows: 1,
  latencyS: 0,
  create(rateHz, given) {
    const { beta } = parametersOf(parameters, given);
    return createComparisonFilter(madgwick, 0, (state) => descend(state, beta, 1 / rateHz));
  },
};

/** One reading: integrates, with the step down the gradient in the rate of change. */
function descend(state: ComparisonState, beta: number, periodS: number): void {
  const { q, acc, gyr, mag, gradient } = state;
  const w = q[0]!;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  gradient.fill(0);
  if (state.hasAcc) addGravity(q, acc, gradient);
  if (state.hasAcc && state.hasMag) addField(q, mag, gradient);
  const length = Math.sqrt(gradient[0]! ** 2 + gradient[1]! ** 2 + gradient[2]! ** 2 + gradient[3]! ** 2);
  const step = length > 0 ? beta / length : 0;
  const gx = gyr[0]!;
  const gy = gyr[1]!;
  const gz = gyr[2]!;
  q[0] = w + periodS * (0.5 * (-x * gx - y * gy - z * gz) - step * gradient[0]!);
  q[1] = x + periodS * (0.5 * (w * gx + y * gz - z * gy) - step * gradient[1]!);
  q[2] = y + periodS * (0.5 * (w * gy - x * gz + z * gx) - step * gradient[2]!);
  q[3] = z + periodS * (0.5 * (w * gz + x * gy - y * gx) - step * gradient[3]!);
}

/** Of half the squared distance between the measured direction of up and that of the orientation (eq. 25 and 26). */
function addGravity(q: Float64Array, acc: Float64Array, gradient: Float64Array): void {
  const w = q[0]!;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  const fx = 2 * (x * z - w * y) - acc[0]!;
  const fy = 2 * (w * x + y * z) - acc[1]!;
  const fz = 2 * (0.5 - x * x - y * y) - acc[2]!;
  gradient[0] = gradient[0]! - 2 * y * fx + 2 * x * fy;
  gradient[1] = gradient[1]! + 2 * z * fx + 2 * w * fy - 4 * x * fz;
  gradient[2] = gradient[2]! - 2 * w * fx + 2 * z * fy - 4 * y * fz;
  gradient[3] = gradient[3]! + 2 * x * fx + 2 * y * fy;
}

/** The same of the magnetic field, whose dip is taken as measured so that it only turns the heading (eq. 29, 30, 45, 46). */
function addField(q: Float64Array, mag: Float64Array, gradient: Float64Array): void {
  const w = q[0]!;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  const mx = mag[0]!;
  const my = mag[1]!;
  const mz = mag[2]!;
  const hx = 2 * (mx * (0.5 - y * y - z * z) + my * (x * y - w * z) + mz * (x * z + w * y));
  const hy = 2 * (mx * (x * y + w * z) + my * (0.5 - x * x - z * z) + mz * (y * z - w * x));
  const bx = 2 * Math.sqrt(hx * hx + hy * hy);
  const bz = 4 * (mx * (x * z - w * y) + my * (y * z + w * x) + mz * (0.5 - x * x - y * y));
  const fx = bx * (0.5 - y * y - z * z) + bz * (x * z - w * y) - mx;
  const fy = bx * (x * y - w * z) + bz * (w * x + y * z) - my;
  const fz = bx * (w * y + x * z) + bz * (0.5 - x * x - y * y) - mz;
  gradient[0] = gradient[0]! - bz * y * fx + (bz * x - bx * z) * fy + bx * y * fz;
  gradient[1] = gradient[1]! + bz * z * fx + (bx * y + bz * w) * fy + (bx * z - 2 * bz * x) * fz;
  gradient[2] =
    gradient[2]! - (2 * bx * y + bz * w) * fx + (bx * x + bz * z) * fy + (bx * w - 2 * bz * y) * fz;
  gradient[3] = gradient[3]! + (bz * x - 2 * bx * z) * fx + (bz * y - bx * w) * fy + bx * x * fz;
}
