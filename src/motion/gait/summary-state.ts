/**
 * Owns what a summary of strides remembers, and how each contact, stride, cycle and turn changes it: constant memory and work
 * for each, whatever the length of the session. Plain data that JSON keeps bit for bit.
 */

import type { Side } from '#motion/body-model.ts';
import { addToTally, createTally, type Tally } from '#motion/gait/tally.ts';
import type { Contact, Cycle, Stride, Turn } from '#motion/results.ts';
import { robinsonIndex } from '#motion/symmetry/indices.ts';
import type { TrunkRegularity } from '#motion/symmetry/trunk-regularity.ts';
import { addToTrend, createTrend, type TrendState } from '#motion/symmetry/trend.ts';

/** A stride that turns by more is one of a turn: Mariani 2010, doi:10.1016/j.jbiomech.2010.07.003. */
export const STEADY_TURN_DEG = 20;
/** Initial contacts that are kept of each foot: a stride looks back to its own beginning only, within two or three. */
const MAX_CONTACTS = 16;
/** Steady strides whose cycles may still come: a cycle comes with its stride or just after it. */
const MAX_STARTS = 64;
/** Angles of the whole body, three to a joint, are fewer. More are left out. */
export const MAX_ANGLES = 64;

export type Quantity =
  | 'speed'
  | 'cadence'
  | 'stride-length'
  | 'stride-time'
  | 'step-time'
  | 'stance-time'
  | 'swing-time'
  | 'stance-share'
  | 'swing-share'
  | 'double-support'
  | 'clearance';

/** Of one stride; the step time is not in it. */
const quantities: Readonly<Record<Exclude<Quantity, 'step-time'>, (stride: Stride) => number | null>> = {
  speed: (stride) => stride.speedMS,
  cadence: (stride) => stride.cadenceStepsPerMin,
  'stride-length': (stride) => stride.strideLengthM,
  'stride-time': (stride) => stride.strideTimeS,
  'stance-time': (stride) => stride.stanceTimeS,
  'swing-time': (stride) => stride.swingTimeS,
  'stance-share': (stride) =>
    stride.stanceTimeS === null ? null : (100 * stride.stanceTimeS) / stride.strideTimeS,
  'swing-share': (stride) =>
    stride.swingTimeS === null ? null : (100 * stride.swingTimeS) / stride.strideTimeS,
  'double-support': (stride) => stride.doubleSupportPercent,
  clearance: (stride) => (stride.clearanceM === null ? null : 100 * stride.clearanceM),
};
const strideQuantities = Object.entries(quantities) as readonly (readonly [
  keyof typeof quantities,
  (stride: Stride) => number | null,
])[];
export const meanQuantities: readonly Quantity[] = [...strideQuantities.map(([name]) => name), 'step-time'];

export const trendQuantities = ['speed', 'cadence', 'stride-time', 'stride-length'] as const;

export interface SideState {
  strides: number;
  steady: number;
  tallies: Record<Quantity, Tally>;
  /** Newest initial contacts, in order. */
  contactsUs: number[];
  /** Beginnings of the newest steady strides. */
  startsUs: number[];
  metres: number;
  lengths: number;
  lastSwing: { endUs: number; swingTimeS: number } | null;
}

export interface SummaryState {
  left: SideState;
  right: SideState;
  firstUs: number | null;
  bouts: number;
  bout: { index: number; startUs: number; endUs: number } | null;
  /** Of the bouts before the last. */
  walkingUs: number;
  turns: { angle: Tally; time: Tally } | null;
  trends: Record<(typeof trendQuantities)[number], TrendState>;
  swingIndexTrend: TrendState;
  ranges: Record<string, { left: Tally; right: Tally }>;
  /** Null: no sensor on the trunk. */
  regularity: { step: Tally; stride: Tally; symmetry: Tally } | null;
}

export function createSummaryState(): SummaryState {
  return {
    left: createSide(),
    right: createSide(),
    firstUs: null,
    bouts: 0,
    bout: null,
    walkingUs: 0,
    turns: null,
    trends: {
      speed: createTrend(),
      cadence: createTrend(),
      'stride-time': createTrend(),
      'stride-length': createTrend(),
    },
    swingIndexTrend: createTrend(),
    ranges: {},
    regularity: null,
  };
}

function createSide(): SideState {
  return {
    strides: 0,
    steady: 0,
    tallies: Object.fromEntries(meanQuantities.map((name) => [name, createTally()])) as Record<
      Quantity,
      Tally
    >,
    contactsUs: [],
    startsUs: [],
    metres: 0,
    lengths: 0,
    lastSwing: null,
  };
}

/** Straight ahead and on the level, as far as it is known. */
export function isSteady(stride: Stride): boolean {
  return (
    (stride.terrain === null || stride.terrain === 'level') &&
    (stride.turnDeg === null || Math.abs(stride.turnDeg) <= STEADY_TURN_DEG)
  );
}

/** A contact must be added before the stride that it lies in. */
export function addContact(state: SummaryState, { side, kind, timeUs }: Contact): void {
  if (kind !== 'initial') return;
  const { contactsUs } = state[side];
  if (contactsUs.includes(timeUs)) return;
  contactsUs.push(timeUs);
  if (contactsUs.length > 1 && contactsUs.at(-2)! > timeUs) contactsUs.sort((a, b) => a - b);
  if (contactsUs.length > MAX_CONTACTS) contactsUs.shift();
}

export function addStride(state: SummaryState, stride: Stride): void {
  const of = state[stride.side];
  of.strides += 1;
  if (stride.strideLengthM !== null) {
    of.metres += stride.strideLengthM;
    of.lengths += 1;
  }
  addToBouts(state, stride);
  state.firstUs ??= stride.startUs;
  if (!isSteady(stride)) return;
  of.steady += 1;
  for (const [name, valueOf] of strideQuantities) addToTally(of.tallies[name], valueOf(stride));
  addToTally(of.tallies['step-time'], stepTimeS(stride, state[otherSide(stride.side)].contactsUs));
  of.startsUs.push(stride.startUs);
  if (of.startsUs.length > MAX_STARTS) of.startsUs.shift();
  const minutes = (stride.endUs - state.firstUs) / 60e6;
  for (const name of trendQuantities)
    addToTrend(state.trends[name], minutes, quantities[name](stride) ?? NaN);
  addSwingIndex(state, stride, minutes);
}

/** The step that ends with the stride: from the other foot's only initial contact within it. */
function stepTimeS({ startUs, endUs }: Stride, contactsUs: readonly number[]): number | null {
  const within = contactsUs.filter((timeUs) => timeUs > startUs && timeUs < endUs);
  return within.length === 1 ? (endUs - within[0]!) / 1e6 : null;
}

function addToBouts(state: SummaryState, { bout: index, startUs, endUs }: Stride): void {
  const { bout } = state;
  if (bout !== null && index <= bout.index) {
    bout.startUs = Math.min(bout.startUs, startUs);
    bout.endUs = Math.max(bout.endUs, endUs);
    return;
  }
  if (bout !== null) state.walkingUs += bout.endUs - bout.startUs;
  state.bouts += 1;
  state.bout = { index, startUs, endUs };
}

/** Robinson index of the swing with that of the last stride of the other foot, where the two strides overlap. */
function addSwingIndex(
  state: SummaryState,
  { side, startUs, endUs, swingTimeS }: Stride,
  minutes: number,
): void {
  if (swingTimeS === null) return;
  state[side].lastSwing = { endUs, swingTimeS };
  const other = state[otherSide(side)].lastSwing;
  if (other === null || other.endUs <= startUs) return;
  const left = side === 'left' ? swingTimeS : other.swingTimeS;
  const right = side === 'left' ? other.swingTimeS : swingTimeS;
  addToTrend(state.swingIndexTrend, minutes, robinsonIndex(left, right) ?? NaN);
}

/** Of a stretch of steady strides; null says that there is a sensor on the trunk, but no stretch yet. */
export function addRegularity(state: SummaryState, stretch: TrunkRegularity | null): void {
  state.regularity ??= { step: createTally(), stride: createTally(), symmetry: createTally() };
  if (stretch === null) return;
  addToTally(state.regularity.step, stretch.step);
  addToTally(state.regularity.stride, stretch.stride);
  addToTally(state.regularity.symmetry, stretch.symmetry);
}

/** The range of every angle of the cycle of a steady stride, which must have been added. */
export function addCycle(state: SummaryState, { side, startUs, curves }: Cycle): void {
  const isCounted = state[side].startsUs.includes(startUs);
  let names = Object.keys(state.ranges).length;
  for (const [name, curve] of Object.entries(curves)) {
    if (state.ranges[name] === undefined) {
      if (names >= MAX_ANGLES) continue;
      state.ranges[name] = { left: createTally(), right: createTally() };
      names += 1;
    }
    if (isCounted) addToTally(state.ranges[name][side], rangeOf(curve));
  }
}

/** Null when a value is missing: the missing part may have been the highest. */
function rangeOf(curve: Float32Array): number | null {
  let min = Infinity;
  let max = -Infinity;
  for (const value of curve) {
    if (!Number.isFinite(value)) return null;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return curve.length === 0 ? null : max - min;
}

export function addTurn(state: SummaryState, { startUs, endUs, angleDeg }: Turn): void {
  state.turns ??= { angle: createTally(), time: createTally() };
  addToTally(state.turns.angle, Math.abs(angleDeg));
  addToTally(state.turns.time, (endUs - startUs) / 1e6);
}

function otherSide(side: Side): Side {
  return side === 'left' ? 'right' : 'left';
}
