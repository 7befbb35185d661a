/**
 * Owns when a foot stands: follows how much it moves, takes the stillest moment of each stance, and measures the step between
 * two of them when the second is certain. Keeps a little over three seconds of readings; what takes longer is no step.
 */

import type { Parameters, ParameterSpec } from '#motion/algorithm.ts';
import {
  createStepFinder,
  FRAME_LENGTH,
  type stepParameters,
  type StepFinder,
} from '#motion/gait/foot-step.ts';
import type { FootFrame } from '#motion/gait/foot-contacts.ts';
import { createFootSegment, type FootSegment, type Span } from '#motion/gait/foot-strapdown.ts';

export const trackerParameters = {
  movingRadS: {
    default: 1.5,
    min: 0.3,
    max: 5,
    unit: 'rad/s',
    summary: 'the foot steps when its motion is at least this',
    source:
      'a fifth of the push-off of a healthy foot (8 to 10 rad/s: synthetic walker, data/gaitmap), so that the slowest are seen',
  },
  standingShare: {
    default: 0.25,
    min: 0.05,
    max: 0.6,
    unit: '1',
    summary: 'the foot stands when its motion is less than this share of the highest of the step',
    source: 'synthetic walker: 0.02 while it stands, 0.6 at the slowest of the swing',
  },
} as const satisfies Readonly<Record<string, ParameterSpec>>;

/** Window over which motion is averaged: half of the shortest flat foot of brisk walking (0.2 s). */
export const WINDOW_S = 0.1;

/**
 * Motion counts acceleration too, with this weight, rad/s per m/s2: the ratio of the highest angular velocity (10 rad/s)
 * to the highest acceleration (35 m/s2) of the synthetic foot. Late in the swing the foot turns little but brakes hard.
 */
const ACCELERATION_WEIGHT = 0.28;
const GRAVITY_M_S2 = 9.81;

/** The stillest moment of a stance is taken when none stiller followed for this long. */
export const SETTLED_S = 0.1;

/** Longest time from stance to stance. */
export const LONGEST_STEP_S = 3;

/** Below this motion, rad/s, the foot is at rest: ten times the noise and bias of usual sensors. */
const REST_RAD_S = 0.1;
/** A stance is taken anew after so long at rest, so that a step after long standing is not integrated from its beginning. */
export const STANDING_S = 1;
/** The gyroscope's bias is learnt after so much rest, with this time constant. */
const BIAS_AFTER_S = 0.5;
const BIAS_TIME_S = 2;

/** Missing readings in a row that are bridged by a straight line: shorter than any feature of a contact. */
export const BRIDGED_S = 0.025;

/** What the tracker keeps, before its ring of readings. */
const at = {
  count: 0,
  anchor: 1,
  anchorScore: 2,
  peak: 3,
  valley: 4,
  valleyScore: 5,
  restCount: 6,
  bias: 7,
  motion: 10,
  /** Motion around the reading in the middle of the window: in the state, since a returned number would be allocated. */
  score: 11,
  frame: 12,
  ring: 12 + FRAME_LENGTH,
} as const;

/** Of a reading in the ring: acc, gyr without bias, motion squared. */
const SLOT = 7;

/** Readings around a moment over which its motion and its gravity are averaged, on each side. */
export function halfWindow(rateHz: number): number {
  return Math.max(1, Math.round((WINDOW_S / 2) * rateHz));
}

export interface FootTracker {
  /** The step that was measured last, and the frame of the foot as it was known then. */
  readonly finder: StepFinder;
  /** Number of readings so far. */
  count(): number;
  /** Takes a reading. True when a step ended; `first` and `last` are then the readings of its stances. */
  update(input: Float64Array, from: number): boolean;
  first(): number;
  last(): number;
  /** Copies what was learnt, in the sensor's frame: sums of the frame, bias of the gyroscope in rad/s. */
  learnt(): { readonly sums: Float64Array; readonly bias: Float64Array };
  reset(): void;
  readonly stateLength: number;
}

export interface FootTrackerOptions {
  readonly rateHz: number;
  readonly parameters: Parameters<typeof trackerParameters & typeof stepParameters>;
  /** Null: found from the steps. */
  readonly frame: FootFrame | null;
}

/** How many values the state takes. */
export function trackerLength(rateHz: number): number {
  return at.ring + SLOT * ringReadings(rateHz);
}

function ringReadings(rateHz: number): number {
  return Math.ceil((LONGEST_STEP_S + SETTLED_S) * rateHz) + 4 * halfWindow(rateHz) + 4;
}

/** The state is the first trackerLength values of the array. */
export function createFootTracker(state: Float64Array, options: FootTrackerOptions): FootTracker {
  const { rateHz, parameters, frame } = options;
  const { movingRadS, standingShare } = parameters;
  const half = halfWindow(rateHz);
  const capacity = ringReadings(rateHz);
  const segment = createFootSegment(capacity);
  const finder = createStepFinder(segment, { given: frame, parameters });
  const span = { first: half, last: half, half, rateHz };
  const longest = LONGEST_STEP_S * rateHz;
  const bridged = Math.max(1, Math.floor(BRIDGED_S * rateHz));
  const keep = createKeeper(state, { rateHz, capacity });
  const measureMotion = createMotionMeter(state, half, capacity);
  let [first, last] = [0, 0];

  const stand = (center: number): void => {
    state[at.anchor] = center;
    state[at.anchorScore] = state[center === state[at.valley] ? at.valleyScore : at.score]!;
    state[at.peak] = 0;
    state[at.valley] = -1;
    state[at.valleyScore] = Number.POSITIVE_INFINITY;
  };

  /** The foot stands again at the valley: measures the step from the stance before. */
  const closeStep = (): boolean => {
    const valley = state[at.valley]! | 0;
    const anchor = state[at.anchor]! | 0;
    let isStep = false;
    if (anchor >= 0 && unroll(state, { segment, span, from: anchor, to: valley, capacity, bridged })) {
      isStep = finder.measure(span, state, at.frame);
      if (!isStep && state[at.valleyScore]! > REST_RAD_S) {
        // The foot only slowed down in its swing.
        state[at.valley] = -1;
        state[at.valleyScore] = Number.POSITIVE_INFINITY;
        return false;
      }
    }
    first = anchor;
    last = valley;
    stand(valley);
    return isStep;
  };

  const follow = (center: number): boolean => {
    const score = state[at.score]!;
    state[at.restCount] = score < REST_RAD_S ? state[at.restCount]! + 1 : 0;
    if (state[at.anchor]! >= 0 && center - state[at.anchor]! > longest) {
      state[at.anchor] = -1;
      state[at.anchorScore] = 0;
    }
    if (score > state[at.peak]!) state[at.peak] = score;
    const peak = state[at.peak]!;
    const hasStance = state[at.anchor]! >= 0;
    if (peak < movingRadS || !hasStance) {
      // The stillest moment is where the next step begins; who stands on gets a new one from time to time.
      const isLong = !hasStance || center - state[at.anchor]! >= STANDING_S * rateHz;
      if ((isLong && score < REST_RAD_S) || score < state[at.anchorScore]!) {
        stand(center);
        return false;
      }
      if (peak < movingRadS) return false;
    }
    if (score < standingShare * peak && score < state[at.valleyScore]!) {
      state[at.valley] = center;
      state[at.valleyScore] = score;
    }
    const valley = state[at.valley]!;
    return valley >= 0 && center - valley >= SETTLED_S * rateHz && closeStep();
  };

  const reset = (): void => {
    state.fill(0, 0, at.ring + SLOT * capacity);
    state[at.anchor] = -1;
    state[at.valley] = -1;
    state[at.valleyScore] = Number.POSITIVE_INFINITY;
  };
  reset();

  return {
    finder,
    count: () => state[at.count]!,
    first: () => first,
    last: () => last,
    update(input, from) {
      keep(input, from);
      const center = (state[at.count]! | 0) - half;
      state[at.count] = state[at.count]! + 1;
      if (center < half) return false;
      measureMotion(center);
      return follow(center);
    },
    learnt: () => ({
      sums: state.slice(at.frame, at.frame + FRAME_LENGTH),
      bias: state.slice(at.bias, at.bias + 3),
    }),
    reset,
    stateLength: trackerLength(rateHz),
  };
}

/** Puts readings into the ring. A missing one is NaN there, with the motion of the one before. */
function createKeeper(
  state: Float64Array,
  { rateHz, capacity }: { rateHz: number; capacity: number },
): (input: Float64Array, from: number) => void {
  const restReadings = BIAS_AFTER_S * rateHz;
  const biasGain = 1 / (BIAS_TIME_S * rateHz);
  return (input, from) => {
    const slot = at.ring + SLOT * ((state[at.count]! | 0) % capacity);
    const ax = input[from]!;
    const ay = input[from + 1]!;
    const az = input[from + 2]!;
    const gx = input[from + 3]! - state[at.bias]!;
    const gy = input[from + 4]! - state[at.bias + 1]!;
    const gz = input[from + 5]! - state[at.bias + 2]!;
    const pull = ACCELERATION_WEIGHT * (Math.sqrt(ax * ax + ay * ay + az * az) - GRAVITY_M_S2);
    const motion = gx * gx + gy * gy + gz * gz + pull * pull;
    if (!Number.isFinite(motion)) {
      state.fill(Number.NaN, slot, slot + 6);
      state[slot + 6] = state[at.motion]!;
      return;
    }
    state[slot] = ax;
    state[slot + 1] = ay;
    state[slot + 2] = az;
    state[slot + 3] = gx;
    state[slot + 4] = gy;
    state[slot + 5] = gz;
    state[slot + 6] = motion;
    state[at.motion] = motion;
    if (state[at.restCount]! >= restReadings) {
      state[at.bias] = state[at.bias]! + biasGain * gx;
      state[at.bias + 1] = state[at.bias + 1]! + biasGain * gy;
      state[at.bias + 2] = state[at.bias + 2]! + biasGain * gz;
    }
  };
}

/** A function that writes the root mean square of the motion around a reading, rad/s, to the state. */
function createMotionMeter(state: Float64Array, half: number, capacity: number): (center: number) => void {
  return (center) => {
    let sum = 0;
    let slot = (center - half) % capacity;
    for (let n = 0; n <= 2 * half; n++) {
      sum += state[at.ring + SLOT * slot + 6]!;
      slot = slot + 1 === capacity ? 0 : slot + 1;
    }
    state[at.score] = Math.sqrt(sum / (2 * half + 1));
  };
}

/** Copies readings around [from, to] into the segment; false when too many in a row are missing. */
function unroll(
  state: Float64Array,
  job: {
    segment: FootSegment;
    span: Span & { last: number };
    from: number;
    to: number;
    capacity: number;
    bridged: number;
  },
): boolean {
  const { segment, span, from, to, capacity, bridged } = job;
  const count = to - from + 1 + 2 * span.half;
  let slot = (from - span.half) % capacity;
  for (let i = 0; i < count; i++) {
    const ring = at.ring + SLOT * slot;
    for (let axis = 0; axis < 3; axis++) {
      segment.acc[3 * i + axis] = state[ring + axis]!;
      segment.gyr[3 * i + axis] = state[ring + 3 + axis]!;
    }
    slot = slot + 1 === capacity ? 0 : slot + 1;
  }
  span.last = count - 1 - span.half;
  return bridgeGaps(segment, count, bridged);
}

/** Fills gaps of at most `most` readings by straight lines; false when there is a longer one, or one at an end. */
export function bridgeGaps({ acc, gyr }: FootSegment, count: number, most: number): boolean {
  let good = -1;
  for (let i = 0; i < count; i++) {
    if (Number.isNaN(acc[3 * i]!)) continue;
    const gap = i - good - 1;
    if (gap > 0 && (good < 0 || gap > most)) return false;
    for (let k = 1; k <= gap; k++) {
      const part = k / (gap + 1);
      for (let axis = 0; axis < 3; axis++) {
        const [before, after, here] = [3 * good + axis, 3 * i + axis, 3 * (good + k) + axis];
        acc[here] = (1 - part) * acc[before]! + part * acc[after]!;
        gyr[here] = (1 - part) * gyr[before]! + part * gyr[after]!;
      }
    }
    good = i;
  }
  return good === count - 1;
}
