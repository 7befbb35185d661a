/**
 * Owns gait from one sensor at the lower back or pelvis, reading by reading: contacts of both feet, strides with length and
 * speed, turns and bouts of walking, as rows of lumbar-rows.ts. The sensor may sit in any way; the vertical comes from
 * gravity and ahead from walking itself. Nothing is decided before its future of 1.15 s and one step is known.
 */

import {
  parametersOf,
  type Algorithm,
  type AlgorithmDefinition,
  type Parameters,
} from '#motion/algorithm.ts';
import { BOUT_STATE, createBoutFinder } from '#motion/gait/lumbar-bout.ts';
import { createLumbarGrid, GRID_STATE, gridChannels, RING } from '#motion/gait/lumbar-grid.ts';
import { LUMBAR_MAX_ROWS, lumbarOutputs, type RowWriter } from '#motion/gait/lumbar-rows.ts';
import { createStepFinder, LOOK_AHEAD, PERIOD_EVERY, USUAL_PERIOD_S } from '#motion/gait/lumbar-steps.ts';
import { LEG_OF_HEIGHT } from '#motion/gait/lumbar-stride.ts';
import { createTurnFinder, TURN_STATE } from '#motion/gait/lumbar-turns.ts';

const axis = (name: string) =>
  ({
    default: 0,
    min: -1,
    max: 1,
    unit: '1',
    summary: `The direction ahead in the sensor's frame, ${name}. All three 0: it is found from walking.`,
    source: 'A calibration of the mounting; the default is to find it.',
  }) as const;

export const lumbarParameters = {
  heightM: {
    default: 1.7,
    min: 0.4,
    max: 2.6,
    unit: 'm',
    summary: 'Standing height. Lengths and speeds grow with it in proportion to its share of 3/4.',
    source:
      'Mean of adults of both sexes in Europe (NCD-RisC 2020, doi:10.1016/S0140-6736(20)31859-6), when it is not known.',
  },
  lengthFactor: {
    default: 1,
    min: 0.5,
    max: 2,
    unit: '1',
    summary: 'What lengths are multiplied by, for a person whose walk was measured.',
    source: 'Zijlstra and Hof 2003, doi:10.1016/S0966-6362(02)00190-X, advise it; 1 without a measurement.',
  },
  leastBandMS2: {
    default: 0.2,
    min: 0.05,
    max: 3,
    unit: 'm/s2',
    summary: 'Least vertical acceleration at the frequency of steps that counts as a step.',
    source: 'The value of 0.15, 0.2 and 0.3 with the best F1 on synthetic walkers below 80 steps a minute.',
  },
  longestStepS: {
    default: 1.5,
    min: 0.6,
    max: 3,
    unit: 's',
    summary: 'A longer interval between initial contacts ends the bout.',
    source:
      'Half of the longest stride, 3 s, in the consensus of Kluge 2021, doi:10.1371/journal.pone.0256541.',
  },
  forwardX: axis('x'),
  forwardY: axis('y'),
  forwardZ: axis('z'),
} as const;

/** Where ahead is in the sensor's frame changes only when the sensor slips: it is known by about the last 50 strides. */
const AHEAD_KEPT = 0.98;

const own = { periodS: 0, done: 1, band: 2, bandBefore: 3 } as const;
const OWN_STATE = 4;
const RINGS = gridChannels.length * RING;

export const lumbarGait: AlgorithmDefinition<typeof lumbarParameters> = {
  name: 'lumbar-gait',
  version: 1,
  summary:
    'Contacts with side, strides, turns and bouts of walking from one sensor at the lower back or pelvis.',
  source:
    'After McCamley 2012 (doi:10.1016/j.gaitpost.2012.02.019), Paraschiv-Ionescu 2019 (doi:10.1186/s12984-019-0494-z), ' +
    'Zijlstra and Hof 2003 (doi:10.1016/S0966-6362(02)00190-X) and El-Gohary 2014 (doi:10.3390/s140100356); see docs/gait-lower-back.md.',
  parameters: lumbarParameters,
  inputs: ['acc_x (m/s2)', 'acc_y (m/s2)', 'acc_z (m/s2)', 'gyr_x (rad/s)', 'gyr_y (rad/s)', 'gyr_z (rad/s)'],
  outputs: lumbarOutputs,
  maxRows: LUMBAR_MAX_ROWS,
  // The look-ahead and four of the longest steps, after which the first contact of a bout is sure.
  latencyS: 8,
  create,
};

function create(rateHz: number, given: Partial<Parameters<typeof lumbarParameters>> = {}): Algorithm {
  const values = parametersOf(lumbarParameters, given);
  const state = new Float64Array(OWN_STATE + GRID_STATE + TURN_STATE + BOUT_STATE + RINGS);
  let used = 0;
  const part = (length: number): Float64Array => state.subarray(used, (used += length));
  const self = part(OWN_STATE);
  const grid = createLumbarGrid({ rateHz }, part(GRID_STATE), part(RINGS));
  const turns = createTurnFinder(grid, part(TURN_STATE));
  const steps = createStepFinder();
  const bouts = createBoutFinder(grid, part(BOUT_STATE), {
    steps,
    legM: LEG_OF_HEIGHT * values.heightM,
    lengthFactor: values.lengthFactor,
    longestStepS: values.longestStepS,
    aheadKept: AHEAD_KEPT,
    forward: [values.forwardX, values.forwardY, values.forwardZ],
  });
  const rows: RowWriter = { out: new Float64Array(0), count: 0 };
  const found = { place: 0, trough: 0, periodS: 0 };
  const reset = (): void => {
    state.fill(0);
    self[own.periodS] = USUAL_PERIOD_S;
  };
  const step = (place: number): void => {
    if (place % PERIOD_EVERY === 0)
      self[own.periodS] = steps.periodAt(grid.vertical, place, self[own.periodS]!);
    const periodS = self[own.periodS]!;
    const band = steps.bandAt(grid.vertical, place, periodS);
    const before = self[own.band]!;
    const isTrough = before > self[own.bandBefore]! && before >= band && before > values.leastBandMS2;
    self[own.bandBefore] = before;
    self[own.band] = band;
    turns.step(place, rows, bouts.bout());
    if (isTrough) {
      found.trough = place - 1;
      found.place = steps.contactBefore(grid.vertical, place - 1, periodS);
      found.periodS = periodS;
      bouts.contact(found, rows);
    } else bouts.wait(place, rows);
  };
  reset();
  return {
    definition: lumbarGait,
    update(input, at, out) {
      rows.out = out;
      rows.count = 0;
      const head = grid.push(input, at);
      while (self[own.done]! + LOOK_AHEAD < head) {
        const place = self[own.done]!;
        self[own.done] = place + 1;
        step(place);
      }
      return rows.count;
    },
    reset,
    stateLength: state.length,
    save: (into) => into.set(state),
    load: (from) => state.set(from.subarray(0, state.length)),
  };
}
