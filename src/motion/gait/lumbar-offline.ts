/**
 * Owns gait from the lower back over a whole recording, for review: the same steps as lumbar-gait.ts, but the step's length in
 * time is looked up around each moment, ahead is known from the beginning, and sides are decided by all the steps of a bout.
 * Memory grows with the recording: 32 bytes for every 10 ms and as much again.
 */

import { parametersOf, type Parameters } from '#motion/algorithm.ts';
import { BOUT_STATE, createBoutFinder, type BoutFinder } from '#motion/gait/lumbar-bout.ts';
import {
  createLumbarGrid,
  GRAVITY_M_S2,
  GRID_HZ,
  GRID_STATE,
  gridChannels,
  RING,
  type LumbarGrid,
} from '#motion/gait/lumbar-grid.ts';
import { lumbarParameters } from '#motion/gait/lumbar-gait.ts';
import { LUMBAR_MAX_ROWS, LUMBAR_WIDTH, lumbarColumns, type RowWriter } from '#motion/gait/lumbar-rows.ts';
import { decideSides } from '#motion/gait/lumbar-sides.ts';
import {
  createStepFinder,
  PERIOD_EVERY,
  USUAL_PERIOD_S,
  type StepFinder,
} from '#motion/gait/lumbar-steps.ts';
import { LEG_OF_HEIGHT } from '#motion/gait/lumbar-stride.ts';
import { createTurnFinder, TURN_STATE } from '#motion/gait/lumbar-turns.ts';

/** How far after a moment the autocorrelation is asked for, so that its window lies around the moment. */
const CENTRED = 150;
/** Standing still that is added to the end: longer than any kernel and than the longest step. */
const AFTER = 512;

/**
 * Rows of `count` readings (acc m/s2, gyr rad/s, six values each, missing ones NaN) as lumbar-rows.ts describes them, in the order of
 * time. Throws on parameters that are out of range.
 */
export function lumbarGaitOffline(
  readings: Float64Array,
  count: number,
  options: { readonly rateHz: number; readonly parameters?: Partial<Parameters<typeof lumbarParameters>> },
): Float64Array {
  const values = parametersOf(lumbarParameters, options.parameters ?? {});
  const { grid, length } = gridOf(readings, count, options.rateHz);
  const steps = createStepFinder();
  const contacts = allContacts(grid, length, { steps, leastBandMS2: values.leastBandMS2 });
  const bouts = createBoutFinder(grid, new Float64Array(BOUT_STATE), {
    steps,
    legM: LEG_OF_HEIGHT * values.heightM,
    lengthFactor: values.lengthFactor,
    longestStepS: values.longestStepS,
    aheadKept: 1,
    forward: [values.forwardX, values.forwardY, values.forwardZ],
  });
  walk(bouts, contacts, length);
  bouts.again();
  const rows = walk(bouts, contacts, length);
  const ahead = bouts.ahead();
  allTurns(grid, length, rows);
  return inOrder(decideSides(rows, grid, ahead));
}

/** The channels at 100 Hz of a whole recording, `length` values each and still standing after it; and the norm of the acceleration. */
export function gridOf(
  readings: Float64Array,
  count: number,
  rateHz: number,
): { grid: LumbarGrid; length: number; vertical: Float64Array; norm: Float64Array } {
  const most = Math.ceil((count / rateHz) * GRID_HZ) + 2 + AFTER;
  const ring = Math.max(RING, 2 ** Math.ceil(Math.log2(most)));
  const rings = new Float64Array(gridChannels.length * ring);
  const grid = createLumbarGrid(
    { rateHz, axis: mostLevelAxis(readings, count) },
    new Float64Array(GRID_STATE),
    rings,
  );
  let length = 0;
  for (let i = 0; i < count; i++) length = grid.push(readings, i * 6);
  const vertical = grid.vertical.subarray(0, length);
  const norm = vertical.map(
    (up, i) => Math.hypot(up + GRAVITY_M_S2, grid.horizontal1[i]!, grid.horizontal2[i]!) - GRAVITY_M_S2,
  );
  return { grid, length, vertical, norm };
}

/** The axis of the sensor that gravity was least along: it never comes near the vertical in upright walking. */
function mostLevelAxis(readings: Float64Array, count: number): number {
  const along = [0, 0, 0];
  for (let i = 0; i < count; i++)
    for (let k = 0; k < 3; k++) {
      const value = Math.abs(readings[i * 6 + k]!);
      if (Number.isFinite(value)) along[k] = along[k]! + value;
    }
  return along.indexOf(Math.min(...along));
}

interface FoundContact {
  readonly place: number;
  readonly trough: number;
  readonly periodS: number;
}

function allContacts(
  grid: LumbarGrid,
  length: number,
  { steps, leastBandMS2 }: { steps: StepFinder; leastBandMS2: number },
): FoundContact[] {
  const contacts: FoundContact[] = [];
  let periodS = USUAL_PERIOD_S;
  let before = 0;
  let last = 0;
  for (let place = 0; place < length + AFTER / 2; place++) {
    if (place % PERIOD_EVERY === 0) periodS = steps.periodAt(grid.vertical, place + CENTRED, periodS);
    const band = steps.bandAt(grid.vertical, place, periodS);
    if (last > before && last >= band && last > leastBandMS2)
      contacts.push({
        place: steps.contactBefore(grid.vertical, place - 1, periodS),
        trough: place - 1,
        periodS,
      });
    before = last;
    last = band;
  }
  return contacts;
}

function walk(bouts: BoutFinder, contacts: readonly FoundContact[], length: number): number[] {
  const writer: RowWriter = { out: new Float64Array(LUMBAR_MAX_ROWS * LUMBAR_WIDTH), count: 0 };
  const rows: number[] = [];
  const take = (): void => {
    for (let i = 0; i < writer.count * LUMBAR_WIDTH; i++) rows.push(writer.out[i]!);
    writer.count = 0;
  };
  for (const contact of contacts) {
    bouts.wait(contact.place, writer);
    bouts.contact(contact, writer);
    take();
  }
  bouts.wait(length + 10 * GRID_HZ, writer);
  take();
  return rows;
}

function allTurns(grid: LumbarGrid, length: number, rows: number[]): void {
  const writer: RowWriter = { out: new Float64Array(LUMBAR_MAX_ROWS * LUMBAR_WIDTH), count: 0 };
  const turns = createTurnFinder(grid, new Float64Array(TURN_STATE));
  for (let place = 0; place < length + AFTER / 2; place++) {
    turns.step(place, writer, Number.NaN);
    for (let i = 0; i < writer.count * LUMBAR_WIDTH; i++) rows.push(writer.out[i]!);
    writer.count = 0;
  }
}

function inOrder(rows: readonly (readonly number[])[]): Float64Array {
  const ordered = rows.toSorted((a, b) => a[lumbarColumns.timeS]! - b[lumbarColumns.timeS]!);
  return Float64Array.from(ordered.flat());
}
