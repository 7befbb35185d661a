/**
 * Owns how contacts at the lower back become walking: a bout begins with four steps of similar length in time and ends with a
 * pause; sides alternate within it and are decided by all the evidence so far. All state is in the array that it is given.
 */

import { GRID_HZ, type LumbarGrid } from '#motion/gait/lumbar-grid.ts';
import {
  beginRow,
  lumbarColumns,
  lumbarKinds,
  lumbarSides,
  type RowWriter,
} from '#motion/gait/lumbar-rows.ts';
import type { StepFinder } from '#motion/gait/lumbar-steps.ts';
import { createStrideReader, meanToTheLeft, strideLengthM } from '#motion/gait/lumbar-stride.ts';

/** Contacts that are remembered; four are needed at once. */
const KEPT = 8;
/** A bout of walking has two strides of each foot at least (Kluge 2021, doi:10.1371/journal.pone.0256541): four steps. */
const FIRST_CONTACTS = 4;
/** Longest over shortest of the first steps: starting to walk doubles none. */
const LEAST_REGULAR = 2.2;
/** Contacts nearer than this share of a step's time are one. */
const NEAREST_OF_STEP = 0.5;
/** An interval of two steps is one step that was missed; the other foot is next again. */
const MISSED_FROM = 1.7;
const MISSED_TO = 2.4;
/** What is left of the evidence after one more step: sides are decided by about the last ten. */
const EVIDENCE_KEPT = 0.9;

const at = {
  /** Numbers of the first contact of the run and of the next to come. */
  first: 0,
  next: 1,
  bout: 2,
  isConfirmed: 3,
  evidence: 4,
  /** Three values: the direction in the sensor's frame, the longer the surer. */
  ahead: 5,
  distance: 8,
  strides: 9,
  strideTime: 10,
  boutStart: 11,
  /** Contacts: place, number for the side (parity), and of the stride that begins there length and turn. */
  place: 12,
  order: 12 + KEPT,
  length: 12 + 2 * KEPT,
  turn: 12 + 3 * KEPT,
  trough: 12 + 4 * KEPT,
  period: 12 + 5 * KEPT,
} as const;
export const BOUT_STATE = 12 + 6 * KEPT;

export interface BoutSettings {
  readonly legM: number;
  readonly lengthFactor: number;
  readonly longestStepS: number;
  /** What is left of where ahead was found after one more stride; 1: all strides count alike. */
  readonly aheadKept: number;
  /** Forward in the sensor's frame; all 0: found from walking. */
  readonly forward: readonly [number, number, number];
}

export interface BoutFinder {
  /** A contact at `place` and the trough after it at `trough` (values of the grid), while steps take `periodS`. */
  contact(found: { place: number; trough: number; periodS: number }, rows: RowWriter): void;
  /** Time went on to `place` without a contact. */
  wait(place: number, rows: RowWriter): void;
  readonly bout: () => number;
  /** Where ahead is now, as angle from horizontal axis 1. */
  ahead(): number;
  /** Begins anew, but knows where ahead is. */
  again(): void;
}

/** Bits of arithmetic over the state that all of the following need. */
interface Run {
  readonly grid: LumbarGrid;
  readonly state: Float64Array;
  readonly settings: BoutSettings;
  readonly triple: Float64Array;
  readonly direction: Float64Array;
  readonly reader: ReturnType<typeof createStrideReader>;
  readonly steps: StepFinder;
}

export function createBoutFinder(
  grid: LumbarGrid,
  state: Float64Array,
  { steps, ...settings }: BoutSettings & { readonly steps: StepFinder },
): BoutFinder {
  const run: Run = {
    grid,
    state,
    settings,
    triple: new Float64Array(3),
    direction: new Float64Array(3),
    reader: createStrideReader(),
    steps,
  };
  return {
    contact(found, rows) {
      const { place, periodS } = found;
      const last = placeOf(run, state[at.next]! - 1);
      if (hasContact(run)) {
        const gapS = (place - last) / GRID_HZ;
        if (gapS < NEAREST_OF_STEP * periodS) return;
        if (gapS > settings.longestStepS) close(run, rows);
      }
      add(run, found);
      if (state[at.next]! - state[at.first]! >= 3) measure(run, state[at.next]! - 3);
      if (state[at.isConfirmed] === 1) {
        settle(run, state[at.next]! - 2, rows);
      } else if (state[at.next]! - state[at.first]! >= FIRST_CONTACTS) {
        if (isRegular(run)) confirm(run, rows);
        else state[at.first] = state[at.first]! + 1;
      }
    },
    wait(place, rows) {
      if (!hasContact(run)) return;
      const gapS = (place - placeOf(run, state[at.next]! - 1)) / GRID_HZ;
      if (gapS > settings.longestStepS + 0.5) close(run, rows);
    },
    bout: () => (state[at.isConfirmed] === 1 ? state[at.bout]! : Number.NaN),
    ahead: () => aheadOf(run),
    again() {
      for (let i = 0; i < state.length; i++) if (i < at.ahead || i >= at.ahead + 3) state[i] = 0;
    },
  };
}

function hasContact({ state }: Run): boolean {
  return state[at.next]! > state[at.first]!;
}

function placeOf({ state }: Run, contact: number): number {
  return state[at.place + (contact & (KEPT - 1))]!;
}

function add(run: Run, found: { place: number; trough: number; periodS: number }): void {
  const { state } = run;
  const { place, trough, periodS } = found;
  const contact = state[at.next]!;
  let order = 0;
  if (hasContact(run)) {
    const steps = (place - placeOf(run, contact - 1)) / (periodS * GRID_HZ);
    const isMissed = steps > MISSED_FROM && steps < MISSED_TO;
    order = state[at.order + ((contact - 1) & (KEPT - 1))]! + (isMissed ? 2 : 1);
  }
  const slot = contact & (KEPT - 1);
  state[at.place + slot] = place;
  state[at.order + slot] = order;
  state[at.trough + slot] = trough;
  state[at.period + slot] = periodS;
  state[at.length + slot] = Number.NaN;
  state[at.next] = contact + 1;
}

/** Reads the stride that begins with `contact`, now that its last contact is there. */
function measure(run: Run, contact: number): void {
  const { grid, state, settings, triple, direction, reader } = run;
  for (let i = 0; i < 3; i++) triple[i] = placeOf(run, contact + i);
  if (triple[2]! - triple[0]! > 2 * settings.longestStepS * GRID_HZ) return;
  const { features } = reader;
  reader.read(grid, triple, aheadOf(run));
  grid.directionOf(features.ahead1, features.ahead2, direction);
  for (let k = 0; k < 3; k++) state[at.ahead + k] = settings.aheadKept * state[at.ahead + k]! + direction[k]!;
  const forward = aheadOf(run);
  reader.read(grid, triple, forward);
  const slot = contact & (KEPT - 1);
  state[at.length + slot] = settings.lengthFactor * strideLengthM(features, settings.legM);
  state[at.turn + slot] = features.turnDeg;
  // On the left foot the body is thrown to the right (Hof 2008: the lateral pendulum), before it on the right foot to the left.
  const before = meanToTheLeft(grid, triple[0]!, triple[1]!, forward);
  const after = meanToTheLeft(grid, triple[1]!, triple[2]!, forward);
  const parity = state[at.order + ((contact + 1) & (KEPT - 1))]! & 1 ? -1 : 1;
  state[at.evidence] = EVIDENCE_KEPT * state[at.evidence]! + parity * (before - after);
}

function aheadOf({ grid, state, settings }: Run): number {
  const [x, y, z] = settings.forward;
  if (x !== 0 || y !== 0 || z !== 0) return grid.angleOf(x, y, z);
  return grid.angleOf(state[at.ahead]!, state[at.ahead + 1]!, state[at.ahead + 2]!);
}

function isRegular(run: Run): boolean {
  let shortest = Number.POSITIVE_INFINITY;
  let longest = 0;
  for (let i = 1; i < FIRST_CONTACTS; i++) {
    const contact = run.state[at.next]! - FIRST_CONTACTS + i;
    const gap = placeOf(run, contact) - placeOf(run, contact - 1);
    shortest = Math.min(shortest, gap);
    longest = Math.max(longest, gap);
  }
  return longest <= LEAST_REGULAR * shortest;
}

function confirm(run: Run, rows: RowWriter): void {
  const { state } = run;
  state[at.isConfirmed] = 1;
  state[at.boutStart] = placeOf(run, state[at.first]!);
  state[at.distance] = 0;
  state[at.strides] = 0;
  state[at.strideTime] = 0;
  beginRow(rows, lumbarKinds.boutStart, {
    timeS: state[at.boutStart]! / GRID_HZ,
    side: Number.NaN,
    bout: state[at.bout]!,
  });
  for (let contact = state[at.first]!; contact < state[at.next]! - 1; contact++) settle(run, contact, rows);
}

function sideOf({ state }: Run, contact: number): number {
  const parity = state[at.order + (contact & (KEPT - 1))]! & 1 ? -1 : 1;
  return state[at.evidence]! * parity >= 0 ? lumbarSides.left : lumbarSides.right;
}

/** Says all that is known of a contact once the next one came: itself, the other foot's final contact, the stride to here. */
function settle(run: Run, contact: number, rows: RowWriter): void {
  const { state } = run;
  const side = sideOf(run, contact);
  const place = placeOf(run, contact);
  const bout = state[at.bout]!;
  beginRow(rows, lumbarKinds.initialContact, { timeS: place / GRID_HZ, side, bout });
  if (contact + 1 < state[at.next]!) {
    const final = finalOf(run, contact);
    beginRow(rows, lumbarKinds.finalContact, { timeS: final / GRID_HZ, side: 1 - side, bout });
  }
  if (contact - 2 >= state[at.first]!) stride(run, contact, rows);
}

/** The stride that ends with `contact`. */
function stride(run: Run, contact: number, rows: RowWriter): void {
  const { state } = run;
  const slot = (contact - 2) & (KEPT - 1);
  const lengthM = state[at.length + slot]!;
  const steps = state[at.order + (contact & (KEPT - 1))]! - state[at.order + slot]!;
  if (!Number.isFinite(lengthM) || steps !== 2) return;
  const startS = placeOf(run, contact - 2) / GRID_HZ;
  const timeS = placeOf(run, contact) / GRID_HZ;
  const row = beginRow(rows, lumbarKinds.stride, {
    timeS,
    side: sideOf(run, contact),
    bout: state[at.bout]!,
  });
  const { out } = rows;
  out[row + lumbarColumns.startS] = startS;
  out[row + lumbarColumns.lengthM] = lengthM;
  out[row + lumbarColumns.speedMS] = lengthM / (timeS - startS);
  out[row + lumbarColumns.cadence] = 120 / (timeS - startS);
  out[row + lumbarColumns.turnDeg] = state[at.turn + slot]!;
  state[at.distance] = state[at.distance]! + lengthM;
  state[at.strides] = state[at.strides]! + 1;
  state[at.strideTime] = state[at.strideTime]! + timeS - startS;
}

/** A pause: the last contact is settled, the bout ends, the next contact begins a new run. */
function close(run: Run, rows: RowWriter): void {
  const { state } = run;
  if (state[at.isConfirmed] === 1) {
    const last = state[at.next]! - 1;
    settle(run, last, rows);
    const startS = state[at.boutStart]! / GRID_HZ;
    const endS = placeOf(run, last) / GRID_HZ;
    const row = beginRow(rows, lumbarKinds.boutEnd, { timeS: endS, side: Number.NaN, bout: state[at.bout]! });
    const speedMS = state[at.distance]! / state[at.strideTime]!;
    rows.out[row + lumbarColumns.startS] = startS;
    rows.out[row + lumbarColumns.lengthM] = speedMS * (endS - startS);
    rows.out[row + lumbarColumns.speedMS] = speedMS;
    rows.out[row + lumbarColumns.cadence] = (120 * state[at.strides]!) / state[at.strideTime]!;
    state[at.bout] = state[at.bout]! + 1;
  }
  state[at.isConfirmed] = 0;
  state[at.evidence] = 0;
  state[at.first] = state[at.next]!;
}

/** Of the foot behind, after the trough of this contact. */
function finalOf({ grid, state, steps }: Run, contact: number): number {
  const slot = contact & (KEPT - 1);
  return steps.finalAfter(grid.vertical, state[at.trough + slot]!, state[at.period + slot]!);
}
