/**
 * Owns when a foot is on its way, from heel off to foot flat: the footfalls of one sensor on a foot or shoe, with gravity in the
 * accelerations or without it, in any mounting, of people who walk well or shuffle. A foot that stands turns slowly and feels a
 * steady acceleration; what counts as slow follows how fast this foot usually moves. Bounded by one window of readings and the
 * figures of the newest MEMORY footfalls.
 */

import {
  parametersOf,
  type Algorithm,
  type AlgorithmDefinition,
  type Parameters,
} from '#motion/algorithm.ts';

const jimenez = 'Jimenez, Seco, Prieto, Guevara 2010, doi:10.1109/WPNC.2010.5649300';

const parameters = {
  stillRateRadS: {
    default: (50 * Math.PI) / 180,
    min: 0.05,
    max: 5,
    unit: 'rad/s',
    summary: 'Angular rate that is one unit of movement.',
    source: `${jimenez}: a foot at rest turns by less than 50 deg/s.`,
  },
  stillAccMS2: {
    default: 3,
    min: 0.1,
    max: 20,
    unit: 'm/s2',
    summary: 'Standard deviation of the acceleration within the window that is one unit of movement.',
    source: `${jimenez}: 3 m/s2.`,
  },
  windowS: {
    default: 0.1,
    min: 0.02,
    max: 0.3,
    unit: 's',
    summary: 'Window that movement is measured in, centred.',
    source:
      'Shorter than the shortest foot flat of fast walking, about 0.2 s; longer than the ringing of a landing.',
  },
  stillShare: {
    default: 0.15,
    min: 0.02,
    max: 0.5,
    unit: '1',
    summary: 'Movement below this share of the usual peak of the foot is standing.',
    source: 'A foot that peaks at 300 to 350 deg/s, the usual one, then rests below the 50 deg/s above.',
  },
  shortestS: {
    default: 0.3,
    min: 0.1,
    max: 1,
    unit: 's',
    summary: 'Least duration of a footfall.',
    source: 'Fast swing of adults is 0.85 s times 36 % (GAITRite normals in data/norms) or longer.',
  },
  leastImpulse: {
    default: 0.15,
    min: 0,
    max: 0.9,
    unit: '1',
    summary: 'Footfalls with less of the usual impulse are taken for a foot that turns or shifts in place.',
    source: 'A foot that is put down within a seventh of its usual way has not stepped.',
  },
} as const;

type ActivityParameters = Parameters<typeof parameters>;

/** Columns of a row. */
export const FOOT_ACTIVITY = { start: 0, end: 1, peak: 2, impulse: 3 } as const;

/** Footfalls whose durations, gaps and impulses say what is usual: two lengths of a room. */
const MEMORY = 15;
/** Before so many footfalls nothing is called unusual. */
const LEAST_LEARNT = 4;
/** Shorter pauses are dips of the movement itself: a foot flat lasts longer. */
const BRIDGE_S = 0.08;
/** A part of a footfall, to be joined with the next, is not shorter. */
const PART_S = 0.15;
/** Two parts are one footfall when the pause is shorter than this share of the usual and both together last as long as usual. */
const JOIN_PAUSE = 0.5;
const JOIN_DURATION = 1.25;
/** A foot that stands for longer has stopped: such pauses are not usual ones. */
const LONGEST_PAUSE_S = 3;
/** A real footfall's peak is at least this many times the threshold of standing. */
const LEAST_PEAK = 2;
/** Standing is never looked for below or above this movement: noise and drift, and the start of a fast swing. */
const LEAST_THRESHOLD = 0.3;
const MOST_THRESHOLD = 2;
/** Movement from which the usual peak is learnt, as its upper tenth; what it is before any. */
const MOVING = 0.5;
const PEAK_QUANTILE = 0.9;
const FIRST_PEAK = 3;
/** Steps of the quantile in its logarithm per second of movement: at first, at last, and the time constant between. */
const FAST_LEARNING = 5;
const SLOW_LEARNING = 0.3;
const LEARNING_S = 2;
/** Missing readings repeat the last one for so long; then what was moving is given up. */
const LONGEST_HOLE_S = 0.25;
/** Both parts of a join and what lies between, in an unusually slow walker. */
const LATENCY_S = 2;

/** Where things are in the state. */
const INDEX = 0;
const FILLED = 1;
const RING_AT = 2;
const MISSING = 3;
/** From here to LEARNT_END is what is learnt of the foot. */
const USUAL_PEAK = 4;
const MOVING_S = 5;
const FOOTFALLS = 6;
const PAUSES = 7;
const USUAL_DURATION = 8;
const USUAL_PAUSE = 9;
const USUAL_IMPULSE = 10;
const DURATIONS_AT = 11;
const PAUSES_AT = DURATIONS_AT + MEMORY;
const IMPULSES_AT = PAUSES_AT + MEMORY;
const LEARNT_END = IMPULSES_AT + MEMORY;
/** The movement that goes on: its first reading, the one after its last, peak, impulse. */
const IS_MOVING = LEARNT_END;
const MOVE = LEARNT_END + 1;
/** The same of the footfall that waits for a part to join it. */
const IS_WAITING = MOVE + 4;
const WAIT = IS_WAITING + 1;
const LAST_END = WAIT + 4;
/** Sums over the window: squared rate, three accelerations, squared acceleration. */
const SUMS = LAST_END + 1;
const RING = SUMS + 5;
const RING_WIDTH = 5;

export const footActivity: AlgorithmDefinition<typeof parameters> = {
  name: 'foot-activity',
  version: 1,
  summary: 'Footfalls of one foot, from heel off to foot flat, in healthy and impaired gait.',
  source: `Stillness by rate and spread of acceleration: ${jimenez}; footfalls as labelled by Truong et al. 2019, doi:10.5201/ipol.2019.265.`,
  parameters,
  inputs: ['acc_x (m/s2)', 'acc_y (m/s2)', 'acc_z (m/s2)', 'gyr_x (rad/s)', 'gyr_y (rad/s)', 'gyr_z (rad/s)'],
  outputs: ['start (s)', 'end (s)', 'peak (1)', 'impulse (m/s)'],
  maxRows: 1,
  latencyS: LATENCY_S,
  create: createFootActivity,
};

function createFootActivity(rateHz: number, given: Partial<ActivityParameters> = {}): Algorithm {
  const of = parametersOf(parameters, given);
  const window = 2 * Math.max(1, Math.round((of.windowS * rateHz) / 2)) + 1;
  const state = new Float64Array(RING + RING_WIDTH * window);
  // Numbers that pass between functions go through this, so that none is put on the heap.
  const measure = new Float64Array(2);
  const finder = createFootfallFinder(state, measure, rateHz, of);
  const reset = (): void => {
    state.fill(0);
    state[USUAL_PEAK] = FIRST_PEAK;
    state[LAST_END] = -1;
  };
  reset();
  return {
    definition: footActivity,
    update(input, at, out) {
      const index = state[INDEX]!;
      state[INDEX] = index + 1;
      if (!takeReading(state, window, input, at)) return 0;
      if (state[FILLED]! < window) return 0;
      measureMovement(state, window, of, measure);
      if (state[MISSING]! > LONGEST_HOLE_S * rateHz) measure.fill(0);
      return finder(index - (window - 1) / 2, out);
    },
    reset,
    stateLength: state.length,
    save: (into) => into.set(state),
    load: (from) => state.set(from.subarray(0, state.length)),
  };
}

/** Puts the reading into the window, the last one again when it is missing. False before the first. */
function takeReading(state: Float64Array, window: number, input: Float64Array, at: number): boolean {
  const ax = input[at]!;
  const ay = input[at + 1]!;
  const az = input[at + 2]!;
  const gx = input[at + 3]!;
  const gy = input[at + 4]!;
  const gz = input[at + 5]!;
  const place = RING + RING_WIDTH * state[RING_AT]!;
  if (Number.isFinite(ax + ay + az + gx + gy + gz)) {
    replace(state, place, 0, gx * gx + gy * gy + gz * gz);
    replace(state, place, 1, ax);
    replace(state, place, 2, ay);
    replace(state, place, 3, az);
    replace(state, place, 4, ax * ax + ay * ay + az * az);
    state[MISSING] = 0;
  } else {
    if (state[FILLED] === 0) return false;
    const before = RING + RING_WIDTH * ((state[RING_AT]! + window - 1) % window);
    for (let k = 0; k < RING_WIDTH; k++) replace(state, place, k, state[before + k]!);
    state[MISSING] = state[MISSING]! + 1;
  }
  if (state[FILLED]! < window) state[FILLED] = state[FILLED]! + 1;
  state[RING_AT] = (state[RING_AT]! + 1) % window;
  // Once a round the sums are made anew, so that rounding never gathers.
  if (state[RING_AT] === 0)
    for (let k = 0; k < RING_WIDTH; k++) {
      let sum = 0;
      for (let i = 0; i < window; i++) sum += state[RING + RING_WIDTH * i + k]!;
      state[SUMS + k] = sum;
    }
  return true;
}

function replace(state: Float64Array, place: number, k: number, value: number): void {
  state[SUMS + k] = state[SUMS + k]! + value - state[place + k]!;
  state[place + k] = value;
}

/** Movement in units of standing still, and the spread of the acceleration in m/s2. */
function measureMovement(
  state: Float64Array,
  window: number,
  of: ActivityParameters,
  into: Float64Array,
): void {
  const rate = Math.max(0, state[SUMS]! / window);
  const x = state[SUMS + 1]! / window;
  const y = state[SUMS + 2]! / window;
  const z = state[SUMS + 3]! / window;
  const variance = Math.max(0, state[SUMS + 4]! / window - x * x - y * y - z * z);
  into[0] = Math.sqrt(rate / of.stillRateRadS ** 2 + variance / of.stillAccMS2 ** 2);
  into[1] = Math.sqrt(variance);
}

type FootfallFinder = (at: number, out: Float64Array) => number;

/** Takes the movement in `measure` at each reading in turn and writes a row when a footfall is certain. */
function createFootfallFinder(
  state: Float64Array,
  measure: Float64Array,
  rateHz: number,
  of: ActivityParameters,
): FootfallFinder {
  const sorted = new Float64Array(MEMORY);

  const learnPeak = (): void => {
    const movement = measure[0]!;
    if (movement < MOVING) return;
    const movingS = state[MOVING_S]! + 1 / rateHz;
    state[MOVING_S] = movingS;
    const pace = Math.max(SLOW_LEARNING, FAST_LEARNING / (1 + movingS / LEARNING_S)) / rateHz;
    const direction = movement > state[USUAL_PEAK]! ? PEAK_QUANTILE : PEAK_QUANTILE - 1;
    state[USUAL_PEAK] = state[USUAL_PEAK]! * Math.exp(pace * direction);
  };

  const learn = (listAt: number, count: number, value: number): number => {
    state[listAt + (count % MEMORY)] = value;
    const known = Math.min(count + 1, MEMORY);
    for (let i = 0; i < known; i++) {
      const next = state[listAt + i]!;
      let k = i;
      for (; k > 0 && sorted[k - 1]! > next; k--) sorted[k] = sorted[k - 1]!;
      sorted[k] = next;
    }
    return sorted[known >> 1]!;
  };

  /** Writes the waiting footfall unless it is none, and learns from it. */
  const give = (out: Float64Array): number => {
    state[IS_WAITING] = 0;
    const start = state[WAIT]!;
    const end = state[WAIT + 1]!;
    const impulse = state[WAIT + 3]!;
    if (end - start < of.shortestS * rateHz) return 0;
    const isStep = state[FOOTFALLS]! < LEAST_LEARNT || impulse > of.leastImpulse * state[USUAL_IMPULSE]!;
    const pause = start - state[LAST_END]!;
    if (state[LAST_END]! >= 0 && pause < LONGEST_PAUSE_S * rateHz) {
      state[USUAL_PAUSE] = learn(PAUSES_AT, state[PAUSES]!, pause);
      state[PAUSES] = state[PAUSES]! + 1;
    }
    state[LAST_END] = end;
    state[USUAL_DURATION] = learn(DURATIONS_AT, state[FOOTFALLS]!, end - start);
    state[USUAL_IMPULSE] = learn(IMPULSES_AT, state[FOOTFALLS]!, impulse);
    state[FOOTFALLS] = state[FOOTFALLS]! + 1;
    if (!isStep) return 0;
    out[FOOT_ACTIVITY.start] = start / rateHz;
    out[FOOT_ACTIVITY.end] = end / rateHz;
    out[FOOT_ACTIVITY.peak] = state[WAIT + 2]!;
    out[FOOT_ACTIVITY.impulse] = impulse;
    return 1;
  };

  const longestJoin = (): number =>
    state[PAUSES]! < LEAST_LEARNT ? 0 : JOIN_DURATION * state[USUAL_DURATION]!;
  const longestPause = (): number => (state[PAUSES]! < LEAST_LEARNT ? 0 : JOIN_PAUSE * state[USUAL_PAUSE]!);

  /** The movement is over: joins it to the one that waits, or lets it wait in its place. */
  const close = (threshold: number, out: Float64Array): number => {
    state[IS_MOVING] = 0;
    const start = state[MOVE]!;
    const end = state[MOVE + 1]!;
    if (state[MOVE + 2]! <= LEAST_PEAK * threshold || end - start < PART_S * rateHz) return 0;
    let rows = 0;
    if (state[IS_WAITING] === 1) {
      if (start - state[WAIT + 1]! < longestPause() && end - state[WAIT]! < longestJoin()) {
        state[WAIT + 1] = end;
        state[WAIT + 2] = Math.max(state[WAIT + 2]!, state[MOVE + 2]!);
        state[WAIT + 3] = state[WAIT + 3]! + state[MOVE + 3]!;
        return 0;
      }
      rows = give(out);
    }
    state.copyWithin(WAIT, MOVE, MOVE + 4);
    state[IS_WAITING] = 1;
    return rows;
  };

  return (at, out) => {
    learnPeak();
    const movement = measure[0]!;
    const threshold = Math.min(MOST_THRESHOLD, Math.max(LEAST_THRESHOLD, of.stillShare * state[USUAL_PEAK]!));
    const isMoving = movement > threshold;
    if (isMoving && state[IS_MOVING] === 0) {
      state[IS_MOVING] = 1;
      state[MOVE] = at;
      state[MOVE + 2] = 0;
      state[MOVE + 3] = 0;
    }
    if (state[IS_MOVING] === 1) {
      state[MOVE + 3] = state[MOVE + 3]! + measure[1]! / rateHz;
      if (isMoving) {
        state[MOVE + 1] = at + 1;
        if (movement > state[MOVE + 2]!) state[MOVE + 2] = movement;
      } else if (at + 1 - state[MOVE + 1]! >= BRIDGE_S * rateHz) return close(threshold, out);
    }
    if (state[IS_WAITING] === 0) return 0;
    const canJoin =
      state[IS_MOVING] === 1
        ? state[MOVE]! - state[WAIT + 1]! < longestPause() && at - state[WAIT]! < longestJoin()
        : at - state[WAIT + 1]! < longestPause();
    return canJoin ? 0 : give(out);
  };
}

/** Readings of a foot that stands, to end the last footfall of a recording. */
const STANDING_S = 3;

/**
 * The same over a whole recording of `count` readings of the six inputs: what is usual of the foot is learnt from all of it
 * first, so that the first steps are judged as the others are. Rows as those of the streaming one.
 */
export function footActivityOffline(
  readings: Float64Array,
  count: number,
  rateHz: number,
  given: Partial<ActivityParameters> = {},
): Float64Array {
  const algorithm = createFootActivity(rateHz, given);
  const width = footActivity.inputs.length;
  const columns = footActivity.outputs.length;
  const out = new Float64Array(columns);
  for (let i = 0; i < count; i++) algorithm.update(readings, i * width, out);
  const learnt = new Float64Array(algorithm.stateLength);
  algorithm.save(learnt);
  algorithm.reset();
  const state = new Float64Array(algorithm.stateLength);
  algorithm.save(state);
  state.set(learnt.subarray(USUAL_PEAK, LEARNT_END), USUAL_PEAK);
  algorithm.load(state);
  const rows: number[] = [];
  const standing = new Float64Array(width);
  if (count > 0) standing.set(readings.subarray((count - 1) * width, (count - 1) * width + 3));
  for (let i = 0; i < count + STANDING_S * rateHz; i++) {
    const written =
      i < count ? algorithm.update(readings, i * width, out) : algorithm.update(standing, 0, out);
    for (let k = 0; k < written * columns; k++) rows.push(out[k]!);
  }
  return Float64Array.from(rows);
}
