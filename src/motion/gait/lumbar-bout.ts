/**
 * Owns how contacts at the lower back become walking: a bout begins with four steps of similar length in time and ends with a
 * pause; sides alternate within it and are decided by all the evidence so far. All state is in the array that it is given.
 */

import { GRID_HZ, type LumbarGrid } from '#motion/gait/lumbar-grid.ts';
import { gaussianSlope, ringAnswer } from '#motion/gait/lumbar-kernels.ts';
import {
  beginRow,
  lumbarColumns,
  lumbarKinds,
  lumbarSides,
  type RowWriter,
} from '#motion/gait/lumbar-rows.ts';
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
const AHEAD_KEPT = 0.95;

/** Final contact: end of double support, 0.2 of a step's time to 0.4 after the other foot's initial contact. */
const FINAL_AFTER = 0.25;
const FINAL_SPREAD = 0.12;
const FINAL_LATEST = 0.6;
const FINAL_SIGMA_S = 0.04;

const at = {
  /** Numbers of the first contact of the run and of the next to come. */
  first: 0,
  next: 1,
  bout: 2,
  isConfirmed: 3,
  evidence: 4,
  ahead1: 5,
  ahead2: 6,
  distance: 7,
  strides: 8,
  strideTime: 9,
  boutStart: 10,
  axisChanges: 11,
  /** Contacts: place, number for the side (parity), and of the stride that begins there length and turn. */
  place: 12,
  order: 12 + KEPT,
  length: 12 + 2 * KEPT,
  turn: 12 + 3 * KEPT,
} as const;
export const BOUT_STATE = 12 + 4 * KEPT;

export interface BoutSettings {
  readonly legM: number;
  readonly lengthFactor: number;
  readonly longestStepS: number;
  /** Forward in the sensor's frame; all 0: found from walking. */
  readonly forward: readonly [number, number, number];
}

export interface BoutFinder {
  /** A contact at `place` (values of the grid), while steps take `periodS`. */
  contact(place: number, periodS: number, rows: RowWriter): void;
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
  readonly reader: ReturnType<typeof createStrideReader>;
  readonly fall: ReturnType<typeof gaussianSlope>;
}

export function createBoutFinder(grid: LumbarGrid, state: Float64Array, settings: BoutSettings): BoutFinder {
  const run: Run = {
    grid,
    state,
    settings,
    triple: new Float64Array(3),
    reader: createStrideReader(),
    fall: gaussianSlope(FINAL_SIGMA_S * GRID_HZ),
  };
  return {
    contact(place, periodS, rows) {
      const last = placeOf(run, state[at.next]! - 1);
      if (hasContact(run)) {
        const gapS = (place - last) / GRID_HZ;
        if (gapS < NEAREST_OF_STEP * periodS) return;
        if (gapS > settings.longestStepS) close(run, rows);
      }
      add(run, place, periodS);
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
      for (let i = 0; i < state.length; i++)
        if (i !== at.ahead1 && i !== at.ahead2 && i !== at.axisChanges) state[i] = 0;
    },
  };
}

function hasContact({ state }: Run): boolean {
  return state[at.next]! > state[at.first]!;
}

function placeOf({ state }: Run, contact: number): number {
  return state[at.place + (contact & (KEPT - 1))]!;
}

function add(run: Run, place: number, periodS: number): void {
  const { state } = run;
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
  state[at.length + slot] = Number.NaN;
  state[at.next] = contact + 1;
}

/** Reads the stride that begins with `contact`, now that its last contact is there. */
function measure(run: Run, contact: number): void {
  const { grid, state, settings, triple, reader } = run;
  for (let i = 0; i < 3; i++) triple[i] = placeOf(run, contact + i);
  if (triple[2]! - triple[0]! > 2 * settings.longestStepS * GRID_HZ) return;
  const { features } = reader;
  if (state[at.axisChanges] !== grid.axisChanges()) {
    state[at.axisChanges] = grid.axisChanges();
    state[at.ahead1] = 0;
    state[at.ahead2] = 0;
  }
  reader.read(grid, triple, aheadOf(run));
  state[at.ahead1] = AHEAD_KEPT * state[at.ahead1]! + features.ahead1;
  state[at.ahead2] = AHEAD_KEPT * state[at.ahead2]! + features.ahead2;
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
  return Math.atan2(state[at.ahead2]!, state[at.ahead1]!);
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
    const final = finalContact(run, place, placeOf(run, contact + 1));
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

/** Of the other foot, while `place` has just taken the load: the steepest fall of the vertical acceleration. */
function finalContact(run: Run, place: number, next: number): number {
  const step = next - place;
  const expected = place + FINAL_AFTER * step;
  let best = 0;
  let found = expected;
  for (let i = Math.round(place); i <= place + FINAL_LATEST * step; i++) {
    const slope = -ringAnswer(run.fall, run.grid.vertical, i);
    const away = (i - expected) / (FINAL_SPREAD * step);
    const score = slope * Math.exp(-0.5 * away * away);
    if (score > best) {
      best = score;
      found = i;
    }
  }
  return found;
}
