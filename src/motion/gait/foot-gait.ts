/**
 * Owns gait from one sensor on a foot, as readings come: stances are found where the foot hardly moves, and what lies between
 * two of them is measured when the second is there. Keeps the last four seconds of readings; a step that takes longer is
 * none. The sensor may sit on the foot in any way.
 */

import {
  parametersOf,
  type Algorithm,
  type AlgorithmDefinition,
  type Parameters,
  type ParameterSpec,
} from '#motion/algorithm.ts';
import { footColumn, footColumns, footRowKind } from '#motion/gait/foot-rows.ts';
import { createStepFinder, FRAME_LENGTH } from '#motion/gait/foot-step.ts';
import { createFootSegment, type FootSegment } from '#motion/gait/foot-strapdown.ts';

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
  movingRadS: {
    default: 1.5,
    min: 0.3,
    max: 5,
    unit: 'rad/s',
    summary: 'the foot steps when its motion is at least this',
    source:
      'a fifth of the push-off of a healthy foot (8 rad/s, data/gaitmap), so that a fifth of normal speed is still seen',
  },
  standingShare: {
    default: 0.25,
    min: 0.05,
    max: 0.6,
    unit: '1',
    summary: 'the foot stands when its motion is less than this share of the highest of the step',
    source: 'synthetic walker: 0.02 while it stands, 0.6 at the slowest of the swing',
  },
  longestStrideS: {
    default: 3,
    min: 1,
    max: 3,
    unit: 's',
    summary: 'longest stride; after a longer break a new bout of walking begins',
    source:
      'Kluge et al. 2021, doi:10.1371/journal.pone.0256541: strides of 0.2 to 3 s, breaks of 3 s end a bout',
  },
  leastStepM: {
    default: 0.1,
    min: 0.02,
    max: 0.5,
    unit: 'm',
    summary: 'a shorter movement without a turn is no step',
    source: 'twice the usual error of a length',
  },
  stairM: {
    default: 0.1,
    min: 0.03,
    max: 0.3,
    unit: 'm',
    summary: 'change of height from which a stride is up or down',
    source:
      'less than the lowest usual riser (0.14 m) and more than twice the usual error of height (0.04 m)',
  },
  turnDeg: {
    default: 45,
    min: 20,
    max: 180,
    unit: 'deg',
    summary: 'smallest change of direction that is a turn',
    source: 'El-Gohary et al. 2014, doi:10.3390/s140100356',
  },
} as const;

/** Window over which motion is averaged: half of the shortest flat foot of brisk walking (0.2 s). */
const WINDOW_S = 0.1;

/**
 * Motion counts acceleration too, with this weight, rad/s per m/s2: the ratio of the highest angular velocity (10 rad/s)
 * to the highest acceleration (35 m/s2) of the synthetic foot. Late in the swing the foot turns little but brakes hard.
 */
const ACCELERATION_WEIGHT = 0.28;
const GRAVITY_M_S2 = 9.81;

/** The stillest moment of a stance is taken when none stiller followed for this long. */
const SETTLED_S = 0.1;

/** Below this motion, rad/s, the foot is at rest: ten times the noise and bias of usual sensors. */
const REST_RAD_S = 0.1;
/** A stance is taken anew after so long at rest, so that a step after long standing is not integrated from its beginning. */
const STANDING_S = 1;
/** The gyroscope's bias is learnt after so much rest, with this time constant. */
const BIAS_AFTER_S = 0.5;
const BIAS_TIME_S = 2;

/** Steps that turn by more belong to a turn: over twice the spread of the direction of single steps (4 degrees). */
const TURNING_DEG = 10;
/** A step on the spot is one when it turns by more than this. */
const STEP_TURN_DEG = 20;
const LEAST_SWING_S = 0.1;

/** Missing readings in a row that are bridged by a straight line: shorter than any feature of a contact. */
const BRIDGED_S = 0.025;

/** Values of state before the ring. */
const at = {
  count: 0,
  anchor: 1,
  anchorScore: 2,
  peak: 3,
  valley: 4,
  valleyScore: 5,
  lastInitial: 6,
  bout: 7,
  turnSum: 8,
  turnStart: 9,
  turnEnd: 10,
  restCount: 11,
  biasX: 12,
  biasY: 13,
  biasZ: 14,
  motion: 15,
  frame: 16,
  ring: 16 + FRAME_LENGTH,
} as const;

/** Of a reading in the ring: acc, gyr without bias, motion squared. */
const SLOT = 7;

const LONGEST_STEP_S = 3;
const latencyS = LONGEST_STEP_S + SETTLED_S + WINDOW_S / 2;

/**
 * Rows: foot-rows.ts. The contacts of a step, and the stride that it ends, come together when the foot stands again:
 * usually 0.3 s after the initial contact and 0.7 s after the final one; `latencyS` is the bound.
 */
export const footGait: AlgorithmDefinition<typeof footGaitParameters> = {
  name: 'foot-gait',
  version: 1,
  summary: 'Contacts, strides and turns from one inertial sensor on a foot',
  source:
    'Zero-velocity strapdown after Skog et al. 2010, doi:10.1109/TBME.2010.2060723, and Rampp et al. 2015, doi:10.1109/TBME.2014.2368211; contacts: docs/gait-foot.md',
  parameters: footGaitParameters,
  inputs: ['acc_x (m/s2)', 'acc_y (m/s2)', 'acc_z (m/s2)', 'gyr_x (rad/s)', 'gyr_y (rad/s)', 'gyr_z (rad/s)'],
  outputs: footColumns,
  maxRows: 4,
  latencyS,
  create: (rateHz, parameters) => createFootGait(rateHz, parametersOf(footGaitParameters, parameters)),
};

const WIDTH = footColumns.length;

function createFootGait(rateHz: number, parameters: Parameters<typeof footGaitParameters>): Algorithm {
  const half = Math.max(1, Math.round((WINDOW_S / 2) * rateHz));
  const capacity = Math.ceil((LONGEST_STEP_S + SETTLED_S) * rateHz) + 4 * half + 4;
  const state = new Float64Array(at.ring + SLOT * capacity);
  const segment = createFootSegment(capacity);
  const { alignmentW, alignmentX, alignmentY, alignmentZ } = parameters;
  const hasAlignment = alignmentW !== 0 || alignmentX !== 0 || alignmentY !== 0 || alignmentZ !== 0;
  const given = hasAlignment ? [alignmentW, alignmentX, alignmentY, alignmentZ] : null;
  const finder = createStepFinder(segment, { given, levelM: parameters.stairM });
  const { step } = finder;
  const span = { first: half, last: half, half, rateHz };
  const restReadings = BIAS_AFTER_S * rateHz;
  const biasGain = 1 / (BIAS_TIME_S * rateHz);
  let rows = 0;

  const reset = (): void => {
    state.fill(0);
    state[at.anchor] = -1;
    state[at.valley] = -1;
    state[at.valleyScore] = Number.POSITIVE_INFINITY;
    state[at.lastInitial] = Number.NaN;
    state[at.bout] = -1;
    state[at.turnSum] = 0;
  };
  reset();

  /** Puts the reading into the ring. A missing one is NaN there, with the motion of the one before. */
  const store = (input: Float64Array, from: number): void => {
    const slot = at.ring + SLOT * (state[at.count]! % capacity);
    let isMissing = false;
    for (let axis = 0; axis < 6; axis++) if (!Number.isFinite(input[from + axis])) isMissing = true;
    if (isMissing) {
      for (let axis = 0; axis < 6; axis++) state[slot + axis] = Number.NaN;
      state[slot + 6] = state[at.motion]!;
      return;
    }
    const [ax, ay, az] = [input[from]!, input[from + 1]!, input[from + 2]!];
    const gx = input[from + 3]! - state[at.biasX]!;
    const gy = input[from + 4]! - state[at.biasY]!;
    const gz = input[from + 5]! - state[at.biasZ]!;
    const pull = ACCELERATION_WEIGHT * (Math.sqrt(ax * ax + ay * ay + az * az) - GRAVITY_M_S2);
    const motion = gx * gx + gy * gy + gz * gz + pull * pull;
    state[slot] = ax;
    state[slot + 1] = ay;
    state[slot + 2] = az;
    state[slot + 3] = gx;
    state[slot + 4] = gy;
    state[slot + 5] = gz;
    state[slot + 6] = motion;
    state[at.motion] = motion;
    if (state[at.restCount]! >= restReadings) {
      state[at.biasX] = state[at.biasX]! + biasGain * gx;
      state[at.biasY] = state[at.biasY]! + biasGain * gy;
      state[at.biasZ] = state[at.biasZ]! + biasGain * gz;
    }
  };

  /** Root mean square of the motion around a reading, rad/s. */
  const scoreAround = (center: number): number => {
    let sum = 0;
    let slot = (center - half) % capacity;
    for (let n = 0; n <= 2 * half; n++) {
      sum += state[at.ring + SLOT * slot + 6]!;
      slot = slot + 1 === capacity ? 0 : slot + 1;
    }
    return Math.sqrt(sum / (2 * half + 1));
  };

  /** Copies readings around [from, to] into the segment; false when too many in a row are missing. */
  const unroll = (from: number, to: number): boolean => {
    const count = to - from + 1 + 2 * half;
    let slot = (from - half) % capacity;
    for (let i = 0; i < count; i++) {
      const ring = at.ring + SLOT * slot;
      for (let axis = 0; axis < 3; axis++) {
        segment.acc[3 * i + axis] = state[ring + axis]!;
        segment.gyr[3 * i + axis] = state[ring + 3 + axis]!;
      }
      slot = slot + 1 === capacity ? 0 : slot + 1;
    }
    span.last = count - 1 - half;
    return bridge(segment, count, Math.max(1, Math.floor(BRIDGED_S * rateHz)));
  };

  const writeRow = (out: Float64Array, kind: number, timeS: number): number => {
    const row = rows++ * WIDTH;
    out.fill(Number.NaN, row, row + WIDTH);
    out[row + footColumn.kind] = kind;
    out[row + footColumn.time] = timeS;
    out[row + footColumn.bout] = state[at.bout]!;
    return row;
  };

  const endTurn = (out: Float64Array): void => {
    if (Math.abs(state[at.turnSum]!) >= parameters.turnDeg) {
      const row = writeRow(out, footRowKind.turn, state[at.turnEnd]!);
      out[row + footColumn.start] = state[at.turnStart]!;
      out[row + footColumn.turn] = state[at.turnSum]!;
    }
    state[at.turnSum] = 0;
  };

  /** Adds a step to the turn under way, or ends that. */
  const followTurn = (out: Float64Array, startS: number, endS: number): void => {
    const sum = state[at.turnSum]!;
    const turns = Math.abs(step.turnDeg) >= TURNING_DEG;
    if (sum !== 0 && !(turns && Math.sign(sum) === Math.sign(step.turnDeg))) endTurn(out);
    if (!turns) return;
    if (state[at.turnSum] === 0) state[at.turnStart] = startS;
    state[at.turnSum] = state[at.turnSum]! + step.turnDeg;
    state[at.turnEnd] = endS;
  };

  const writeStride = (out: Float64Array, times: { startS: number; finalS: number; endS: number }): void => {
    const row = writeRow(out, footRowKind.stride, times.endS);
    out[row + footColumn.start] = times.startS;
    out[row + footColumn.final] = times.finalS;
    out[row + footColumn.length] = step.lengthM;
    out[row + footColumn.heightChange] = step.heightChangeM;
    out[row + footColumn.clearance] = step.clearanceM;
    out[row + footColumn.turn] = step.turnDeg;
    out[row + footColumn.pitch] = step.pitchInitial;
    out[row + footColumn.pitchFinal] = step.pitchFinal;
    out[row + footColumn.terrain] =
      Math.abs(step.heightChangeM) < parameters.stairM ? 0 : Math.sign(step.heightChangeM);
  };

  /** Rows of the step in the segment, whose first reading is `offset`. */
  const report = (out: Float64Array, offset: number): void => {
    const isStep = step.lengthM >= parameters.leastStepM || Math.abs(step.turnDeg) >= STEP_TURN_DEG;
    const endS = (offset + step.initialContact) / rateHz;
    const finalS = (offset + step.finalContact) / rateHz;
    if (!isStep || !(endS - finalS >= LEAST_SWING_S)) return;
    const startS = state[at.lastInitial]!;
    const continues = endS - startS <= parameters.longestStrideS && finalS > startS;
    if (!continues) {
      endTurn(out);
      state[at.bout] = state[at.bout]! + 1;
    }
    followTurn(out, finalS, endS);
    let row = writeRow(out, footRowKind.finalContact, finalS);
    out[row + footColumn.pitch] = step.pitchFinal;
    row = writeRow(out, footRowKind.initialContact, endS);
    out[row + footColumn.pitch] = step.pitchInitial;
    if (continues) writeStride(out, { startS, finalS, endS });
    state[at.lastInitial] = endS;
  };

  const stand = (center: number, score: number): void => {
    state[at.anchor] = center;
    state[at.anchorScore] = score;
    state[at.peak] = 0;
    state[at.valley] = -1;
    state[at.valleyScore] = Number.POSITIVE_INFINITY;
  };

  /** The foot stands again at the valley: measures the step from the stance before. */
  const closeStep = (out: Float64Array): void => {
    const valley = state[at.valley]!;
    const score = state[at.valleyScore]!;
    const anchor = state[at.anchor]!;
    if (anchor >= 0 && unroll(anchor, valley)) {
      if (finder.measure(span, state, at.frame)) report(out, anchor - half);
      else if (score > REST_RAD_S) {
        // The foot only slowed down in its swing.
        state[at.valley] = -1;
        state[at.valleyScore] = Number.POSITIVE_INFINITY;
        return;
      }
    }
    stand(valley, score);
  };

  const follow = (center: number, score: number, out: Float64Array): void => {
    state[at.restCount] = score < REST_RAD_S ? state[at.restCount]! + 1 : 0;
    const anchor = state[at.anchor]!;
    if (anchor >= 0 && center - anchor > LONGEST_STEP_S * rateHz) {
      state[at.anchor] = -1;
      state[at.anchorScore] = 0;
    }
    if (score > state[at.peak]!) state[at.peak] = score;
    const peak = state[at.peak]!;
    const age = state[at.anchor]! < 0 ? Number.POSITIVE_INFINITY : center - state[at.anchor]!;
    if (peak < parameters.movingRadS || age === Number.POSITIVE_INFINITY) {
      // The stillest moment is where the next step begins; who stands on gets a new one from time to time.
      const isStill = score < REST_RAD_S && age >= STANDING_S * rateHz;
      if (isStill || score < state[at.anchorScore]!) {
        stand(center, score);
        return;
      }
      if (peak < parameters.movingRadS) return;
    }
    if (score < parameters.standingShare * peak && score < state[at.valleyScore]!) {
      state[at.valley] = center;
      state[at.valleyScore] = score;
    }
    const valley = state[at.valley]!;
    if (valley >= 0 && center - valley >= SETTLED_S * rateHz) closeStep(out);
  };

  return {
    definition: footGait,
    stateLength: state.length,
    update(input, from, out) {
      rows = 0;
      store(input, from);
      const center = state[at.count]! - half;
      state[at.count] = state[at.count]! + 1;
      if (center < half) return 0;
      follow(center, scoreAround(center), out);
      if (state[at.turnSum] !== 0 && center / rateHz - state[at.turnEnd]! > parameters.longestStrideS)
        endTurn(out);
      return rows;
    },
    reset,
    save: (into) => into.set(state),
    load: (from) => state.set(from),
  };
}

/** Fills gaps of at most `most` readings by straight lines; false when there is a longer one, or one at an end. */
function bridge({ acc, gyr }: FootSegment, count: number, most: number): boolean {
  let good = -1;
  for (let i = 0; i < count; i++) {
    if (Number.isNaN(acc[3 * i]!)) continue;
    const gap = i - good - 1;
    if (gap > 0) {
      if (good < 0 || gap > most) return false;
      for (let k = 1; k <= gap; k++) {
        const part = k / (gap + 1);
        for (let axis = 0; axis < 3; axis++) {
          const before = 3 * good + axis;
          const to = 3 * i + axis;
          const here = 3 * (good + k) + axis;
          acc[here] = (1 - part) * acc[before]! + part * acc[to]!;
          gyr[here] = (1 - part) * gyr[before]! + part * gyr[to]!;
        }
      }
    }
    good = i;
  }
  return good === count - 1;
}
