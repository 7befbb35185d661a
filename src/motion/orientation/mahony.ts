/**
 * Owns the filter of Mahony for comparison: the gyroscope is corrected in proportion to, and by the integral of, how far
 * gravity and the magnetic field are turned from where the orientation has them. R. Mahony, T. Hamel, J.-M. Pflimlin, IEEE
 * Transactions on Automatic Control 53 (2008) 1203-1218, doi:10.1109/TAC.2008.923738, the explicit complementary filter.
 */

import { parametersOf, type AlgorithmDefinition } from '#motion/algorithm.ts';
import {
  COMPARISON_INPUTS,
  COMPARISON_OUTPUTS,
  createComparisonFilter,
  type ComparisonState,
} from '#motion/orientation/comparison-filter.ts';

const TUNED =
  'least mean error over all trials of BROAD (Laidig 2021, doi:10.3390/data6070072), so in its favour there';

const parameters = {
  kp: { default: 0.74, min: 0, max: 100, unit: 'rad/s', summary: 'proportional gain', source: TUNED },
  ki: {
    default: 0.0012,
    min: 0,
    max: 100,
    unit: 'rad/s2',
    summary: 'integral gain, which is the bias',
    source: TUNED,
  },
} as const;

export const mahony: AlgorithmDefinition<typeof parameters> = {
  name: 'mahony',
  version: 1,
  summary: 'Orientation by a complementary filter, for comparison only.',
  source:
    'R. Mahony, T. Hamel, J.-M. Pflimlin: Nonlinear complementary filters on the special orthogonal group. IEEE Transactions on Automatic Control 53 (2008) 1203-1218, doi:10.1109/TAC.2008.923738',
  parameters,
  inputs: COMPARISON_INPUTS,
  outputs: COMPARISON_OUTPUTS,
  maxRows: 1,
  latencyS: 0,
  create(rateHz, given) {
    const gains = { ...parametersOf(parameters, given), periodS: 1 / rateHz };
    return createComparisonFilter(mahony, 3, (state) => correct(state, gains));
  },
};

interface Gains {
  readonly kp: number;
  readonly ki: number;
  readonly periodS: number;
}

function correct(state: ComparisonState, { kp, ki, periodS }: Gains): void {
  const { q, gyr, own, error } = state;
  const w = q[0]!;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  error.fill(0);
  if (state.hasAcc) {
    addGravity(state);
    if (state.hasMag) addField(state);
    for (let axis = 0; axis < 3; axis++) own[axis] = own[axis]! + ki * periodS * error[axis]!;
  }
  const hx = (gyr[0]! + own[0]! + kp * error[0]!) * 0.5 * periodS;
  const hy = (gyr[1]! + own[1]! + kp * error[1]!) * 0.5 * periodS;
  const hz = (gyr[2]! + own[2]! + kp * error[2]!) * 0.5 * periodS;
  q[0] = w - x * hx - y * hy - z * hz;
  q[1] = x + w * hx + y * hz - z * hy;
  q[2] = y + w * hy - x * hz + z * hx;
  q[3] = z + w * hz + x * hy - y * hx;
}

/** The turn from the direction of up by the orientation to the measured one: their cross product. */
function addGravity({ q, acc, error }: ComparisonState): void {
  const w = q[0]!;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  const vx = 2 * (x * z - w * y);
  const vy = 2 * (w * x + y * z);
  const vz = 1 - 2 * (x * x + y * y);
  error[0] = error[0]! + acc[1]! * vz - acc[2]! * vy;
  error[1] = error[1]! + acc[2]! * vx - acc[0]! * vz;
  error[2] = error[2]! + acc[0]! * vy - acc[1]! * vx;
}

/** The same of the magnetic field, whose horizontal part lies along x of the earth by definition. */
function addField({ q, mag, error }: ComparisonState): void {
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
  const vx = bx * (0.5 - y * y - z * z) + bz * (x * z - w * y);
  const vy = bx * (x * y - w * z) + bz * (w * x + y * z);
  const vz = bx * (w * y + x * z) + bz * (0.5 - x * x - y * y);
  error[0] = error[0]! + my * vz - mz * vy;
  error[1] = error[1]! + mz * vx - mx * vz;
  error[2] = error[2]! + mx * vy - my * vx;
}
