/**
 * Owns gait from one sensor on a foot, as readings come: contacts, strides, bouts and turns, told when the foot stands again
 * after each step. The sensor may sit on the foot in any way.
 */

import {
  parametersOf,
  type Algorithm,
  type AlgorithmDefinition,
  type Parameters,
  type ParameterSpec,
} from '#motion/algorithm.ts';
import {
  createFootReport,
  MOST_ROWS_OF_STEP,
  REPORT_LENGTH,
  reportParameters,
} from '#motion/gait/foot-report.ts';
import { footColumns } from '#motion/gait/foot-rows.ts';
import { frameOfAlignment, stepParameters } from '#motion/gait/foot-step.ts';
import {
  createFootTracker,
  halfWindow,
  LONGEST_STEP_S,
  SETTLED_S,
  trackerLength,
  trackerParameters,
  WINDOW_S,
} from '#motion/gait/foot-tracker.ts';

const axisSpec = (axis: string): ParameterSpec => ({
  default: 0,
  min: -1,
  max: 1,
  unit: '1',
  summary: `${axis} of the quaternion that turns vectors of the sensor into the foot's frame; all 0: found from the steps`,
  source: 'body model of the session',
});

export const footGaitParameters = {
  alignmentW: axisSpec('w'),
  alignmentX: axisSpec('x'),
  alignmentY: axisSpec('y'),
  alignmentZ: axisSpec('z'),
  ...trackerParameters,
  ...stepParameters,
  ...reportParameters,
} as const;

/**
 * Rows: foot-rows.ts. The contacts of a step, and the stride that it ends, come together when the foot stands again:
 * usually 0.3 s after the initial contact and 0.7 s after the final one; `latencyS` is the bound. A turn is told by the
 * first straight step after it, or when none came for `longestStrideS`.
 */
export const footGait: AlgorithmDefinition<typeof footGaitParameters> = {
  name: 'foot-gait',
  version: 1,
  summary: 'Contacts, strides and turns from one inertial sensor on a foot.',
  source:
    'Zero-velocity strapdown after Skog et al. 2010, doi:10.1109/TBME.2010.2060723, and Rampp et al. 2015, doi:10.1109/TBME.2014.2368211; contacts: docs/gait-foot.md',
  parameters: footGaitParameters,
  inputs: ['acc_x (m/s2)', 'acc_y (m/s2)', 'acc_z (m/s2)', 'gyr_x (rad/s)', 'gyr_y (rad/s)', 'gyr_z (rad/s)'],
  outputs: footColumns,
  maxRows: MOST_ROWS_OF_STEP,
  latencyS: LONGEST_STEP_S + SETTLED_S + WINDOW_S,
  create: (rateHz, parameters) => createFootGait(rateHz, parametersOf(footGaitParameters, parameters)),
};

function createFootGait(rateHz: number, parameters: Parameters<typeof footGaitParameters>): Algorithm {
  const trackerValues = trackerLength(rateHz);
  const state = new Float64Array(trackerValues + REPORT_LENGTH);
  const { alignmentW, alignmentX, alignmentY, alignmentZ } = parameters;
  const frame = frameOfAlignment(alignmentW, alignmentX, alignmentY, alignmentZ);
  const tracker = createFootTracker(state, { rateHz, parameters, frame });
  const report = createFootReport(state, trackerValues, parameters);
  const half = halfWindow(rateHz);
  const times = { finalS: 0, endS: 0 };
  const to: { out: Float64Array; from: number } = { out: state, from: 0 };
  const { step } = tracker.finder;
  report.reset();
  return {
    definition: footGait,
    stateLength: state.length,
    update(input, from, out) {
      to.out = out;
      to.from = 0;
      if (tracker.update(input, from)) {
        const offset = tracker.first() - half;
        times.finalS = (offset + step.finalContact) / rateHz;
        times.endS = (offset + step.initialContact) / rateHz;
        to.from = report.step(step, times, to);
      }
      return report.isTurning() ? report.wait(tracker.count() / rateHz, to) : to.from;
    },
    reset() {
      tracker.reset();
      report.reset();
    },
    save: (into) => into.set(state),
    load: (from) => state.set(from),
  };
}
