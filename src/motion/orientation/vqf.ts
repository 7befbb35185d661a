/**
 * Owns VQF as streaming algorithms: `vqf` from accelerometer and gyroscope, `vqf9` with a magnetometer too, and the basic
 * variants without bias, rest and field, which the authors keep for comparison. One row a reading. The orientation is
 * [w, x, y, z], sensor to earth with z up; `vqf9` turns into east, north, up of the magnetic field, while the heading of
 * `vqf` begins where the sensor happened to lie and drifts. Before the first reading of the accelerometer, and after a gap
 * until the next, the orientation is NaN.
 */

import { parametersOf, type Algorithm, type AlgorithmDefinition } from '#motion/algorithm.ts';
import {
  vqfCoefficients,
  type VqfCoefficients,
  type VqfParameters,
} from '#motion/orientation/vqf-coefficients.ts';
import {
  HEADING_STATE_LENGTH,
  clearHeadingState,
  createHeadingState,
  forgetHeading,
  updateHeading,
  writeHeading,
} from '#motion/orientation/vqf-heading.ts';
import {
  VQF_STATE_LENGTH,
  clearVqfState,
  createVqfState,
  isInclined,
  orientationOf,
  turningOf,
  updateAcc,
  updateGyr,
  writeBias,
} from '#motion/orientation/vqf-kernel.ts';
import {
  VQF_SOURCE,
  gapS,
  restAndBias,
  tauAcc,
  tauMag,
  vqfParameterSpecs,
} from '#motion/orientation/vqf-parameters.ts';

const INPUTS = [
  'acc_x (m/s2)',
  'acc_y (m/s2)',
  'acc_z (m/s2)',
  'gyr_x (rad/s)',
  'gyr_y (rad/s)',
  'gyr_z (rad/s)',
];
const FIELD = ['mag_x (uT)', 'mag_y (uT)', 'mag_z (uT)'];
const ORIENTATION = ['q_w (1)', 'q_x (1)', 'q_y (1)', 'q_z (1)'];
const BIAS = ['bias_x (rad/s)', 'bias_y (rad/s)', 'bias_z (rad/s)', 'bias_sigma (rad/s)', 'rest (1)'];
const HEADING = ['delta (rad)', 'mag_disturbed (1)'];

/** What the basic variants leave out. */
const basic = { motionBias: 0, restBias: 0, magRejection: 0 };

/** Coefficients of a variant: its own parameters, what it leaves out, and the defaults for what it never reads. */
function coefficientsOf(
  rateHz: number,
  own: Partial<VqfParameters>,
  leftOut: Partial<VqfParameters>,
): VqfCoefficients {
  return vqfCoefficients(rateHz, { ...parametersOf(vqfParameterSpecs, own), ...leftOut });
}

const parameters6 = { ...tauAcc, ...gapS, ...restAndBias } as const;
const parameters9 = vqfParameterSpecs;
const parametersBasic6 = { ...tauAcc, ...gapS } as const;
const parametersBasic9 = { ...tauAcc, ...tauMag, ...gapS } as const;

/** Orientation without magnetometer, with rest and gyroscope bias. The first four outputs are the orientation. */
export const vqf: AlgorithmDefinition<typeof parameters6> = {
  name: 'vqf',
  version: 1,
  summary: 'Orientation from accelerometer and gyroscope; the heading drifts.',
  source: VQF_SOURCE,
  parameters: parameters6,
  inputs: INPUTS,
  outputs: [...ORIENTATION, ...BIAS],
  maxRows: 1,
  latencyS: 0,
  // Rest is judged for the bias; that of the field needs it too, and there is none.
  create: (rateHz, given) =>
    create(vqf, coefficientsOf(rateHz, parametersOf(parameters6, given), { magRejection: 0 }), null),
};

/** Orientation with magnetometer: east, north, up. */
export const vqf9: AlgorithmDefinition<typeof parameters9> = {
  name: 'vqf9',
  version: 1,
  summary: 'Orientation from accelerometer, gyroscope and magnetometer, magnetic disturbances left out.',
  source: VQF_SOURCE,
  parameters: parameters9,
  inputs: [...INPUTS, ...FIELD],
  outputs: [...ORIENTATION, ...BIAS, ...HEADING],
  maxRows: 1,
  latencyS: 0,
  create(rateHz, given) {
    const c = coefficientsOf(rateHz, parametersOf(parameters9, given), {});
    return create(vqf9, c, createHeadingState(c));
  },
};

export const vqfBasic: AlgorithmDefinition<typeof parametersBasic6> = {
  name: 'vqf-basic',
  version: 1,
  summary: 'VQF without gyroscope bias, for comparison.',
  source: VQF_SOURCE,
  parameters: parametersBasic6,
  inputs: INPUTS,
  outputs: [...ORIENTATION, ...BIAS],
  maxRows: 1,
  latencyS: 0,
  create: (rateHz, given) =>
    create(vqfBasic, coefficientsOf(rateHz, parametersOf(parametersBasic6, given), basic), null),
};

export const vqf9Basic: AlgorithmDefinition<typeof parametersBasic9> = {
  name: 'vqf9-basic',
  version: 1,
  summary:
    'VQF with magnetometer, without gyroscope bias and magnetic disturbance rejection, for comparison.',
  source: VQF_SOURCE,
  parameters: parametersBasic9,
  inputs: [...INPUTS, ...FIELD],
  outputs: [...ORIENTATION, ...BIAS, ...HEADING],
  maxRows: 1,
  latencyS: 0,
  create(rateHz, given) {
    const c = coefficientsOf(rateHz, parametersOf(parametersBasic9, given), basic);
    return create(vqf9Basic, c, createHeadingState(c));
  },
};

/** `h` is the state of the heading, null without a magnetometer. */
function create(definition: AlgorithmDefinition, c: VqfCoefficients, h: Float64Array | null): Algorithm {
  const s = createVqfState(c);
  const q = orientationOf(s);
  const turning = turningOf(s);
  return {
    definition,
    update(input, at, out) {
      const isFollowed = updateGyr(s, c, input, at + 3);
      if (isFollowed) updateAcc(s, c, input, at);
      const isKnown = isInclined(s);
      if (h !== null) {
        if (isFollowed && isKnown) updateHeading(h, c, q, turning, input, at + 6);
        else if (!isKnown) forgetHeading(h);
        writeHeading(h, q, out, 0, 9);
      } else {
        out[0] = q[0]!;
        out[1] = q[1]!;
        out[2] = q[2]!;
        out[3] = q[3]!;
      }
      if (!isKnown) out.fill(Number.NaN, 0, 4);
      writeBias(s, c, out, 4);
      return 1;
    },
    reset() {
      clearVqfState(s, c);
      if (h !== null) clearHeadingState(h, c);
    },
    stateLength: VQF_STATE_LENGTH + (h === null ? 0 : HEADING_STATE_LENGTH),
    save(into) {
      into.set(s.subarray(0, VQF_STATE_LENGTH));
      if (h !== null) into.set(h.subarray(0, HEADING_STATE_LENGTH), VQF_STATE_LENGTH);
    },
    load(from) {
      s.set(from.subarray(0, VQF_STATE_LENGTH));
      if (h !== null) h.set(from.subarray(VQF_STATE_LENGTH, VQF_STATE_LENGTH + HEADING_STATE_LENGTH));
    },
  };
}
