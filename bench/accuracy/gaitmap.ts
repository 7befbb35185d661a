/** Owns the set `gaitmap`: contacts and stride lengths of a foot's sensor against motion capture, live and offline. */

import { AppError } from '#base/errors.ts';
import {
  readAccuracyManifest,
  readAccuracyTable,
  type AccuracyRow,
  type AccuracySet,
  type AccuracyTable,
} from '#bench/accuracy/accuracy-set.ts';
import { readGaitmapReferences, type GaitmapReference } from '#bench/accuracy/gaitmap-reference.ts';
import { runBatch } from '#motion/algorithm.ts';
import { footGait } from '#motion/gait/foot-gait.ts';
import { footGaitOffline } from '#motion/gait/foot-offline.ts';
import { footColumn, footRowKind } from '#motion/gait/foot-rows.ts';

const SENSORS = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z'];
const STANDARD_GRAVITY_M_S2 = 9.80665;

/** A contact is found when one of ours is within a quarter of a step of it. */
const FOUND_WITHIN_S = 0.15;

const RAMPP = 'Rampp 2015 in gaitmap, both feet of the 2 x 20 m walk';
const published: Readonly<Record<string, number>> = {
  'initial contact, bias': 48,
  'initial contact, standard deviation': 10,
  'initial contact, found': (100 * 54) / 57,
  'final contact, bias': 16,
  'final contact, standard deviation': 4,
  'final contact, found': (100 * 54) / 57,
};

/** What is measured of strides, and its unit. */
const strideUnits: Readonly<Record<string, string>> = {
  'stride length': 'cm',
  'stride time': 'ms',
  'stance time': 'ms',
  'swing time': 'ms',
  'stride speed': 'cm/s',
};

export const gaitmapSet: AccuracySet = {
  name: 'gaitmap',
  method:
    'Contacts by foot-gait with its defaults, which are from papers and the synthetic walker (docs/gait-foot.md), the ' +
    'alignment found from the walk itself; positive is late. A contact is found when one of ours is within 150 ms; those ' +
    'of ours between the contacts of a known stride that belong to none lower the precision. No value was fitted to this ' +
    'set, but the features of both contacts and of the drift were chosen with their errors on it in sight ' +
    '(docs/gait-foot.md lists what was compared), so its figures flatter a little. Motion capture is at 100 Hz, so that ' +
    '3 ms of the spread are its own; stride borders are ' +
    'whole readings at 102.4 Hz, and where in the landing they lie is not told. Lengths are from least velocity to ' +
    'least velocity of a marker at the heel. In the turn of the 2 x 20 m walk the reference has one stride of 2.3 s where ' +
    'the foot was put down twice: ours has the second half of it, and one contact of each kind more. ' +
    'Live gives each stride when the foot stands again; offline knows the whole recording.',
  async measure(folder, step) {
    const tables = (await readAccuracyManifest(folder)).filter(({ columns }) =>
      SENSORS.every((column) => columns.includes(column)),
    );
    const references = await readGaitmapReferences(folder, tables);
    if (references.length === 0) throw new AppError('not-found', 'no list of strides belongs to a table');
    const pool = new Map<string, Tally>();
    const rows: AccuracyRow[] = [];
    for (const [i, reference] of references.entries()) {
      const readings = await readFoot(folder, reference.table);
      for (const [way, found] of [
        ['live', liveRows(readings, reference.table.rateHz)],
        ['offline', footGaitOffline(readings, reference.table.rateHz).rows],
      ] as const) {
        const tallies = compare(reference, found);
        rows.push(...rowsOf(reference.table.file.replace(/\.[^.]*$/, ''), way, tallies));
        addTo(pool, way, tallies);
      }
      step((i + 1) / references.length);
    }
    for (const way of ['live', 'offline']) {
      const tallies = new Map(
        [...pool]
          .filter(([key]) => key.endsWith(way))
          .map(([key, tally]) => [key.slice(0, -way.length), tally]),
      );
      rows.push(...rowsOf('all', way, tallies));
    }
    return rows;
  },
};

/** Six values a row, in m/s2 and rad/s. */
async function readFoot(folder: string, table: AccuracyTable): Promise<Float64Array> {
  const values = await readAccuracyTable(folder, table);
  const units = JSON.stringify(table.more['units'] ?? '');
  const acc = /\bg\b/.test(units) && !units.includes('m/s') ? STANDARD_GRAVITY_M_S2 : 1;
  const gyr = units.includes('rad/s') ? 1 : Math.PI / 180;
  const places = SENSORS.map((column) => table.columns.indexOf(column));
  const readings = new Float64Array(table.rows * SENSORS.length);
  for (let i = 0; i < table.rows; i++)
    for (const [k, place] of places.entries())
      readings[i * SENSORS.length + k] = values[i * table.columns.length + place]! * (k < 3 ? acc : gyr);
  return readings;
}

function liveRows(readings: Float64Array, rateHz: number): Float64Array {
  return runBatch(footGait.create(rateHz), readings, readings.length / SENSORS.length);
}

/** Errors of what was found, in the unit of the metric; how many there are to find; how many of ours were none. */
interface Tally {
  readonly errors: number[];
  known: number;
  extra: number;
}

/** By what is measured: `initial contact`, `stance time`, ... */
function compare(reference: GaitmapReference, found: Float64Array): ReadonlyMap<string, Tally> {
  const width = footGait.outputs.length;
  const { rateHz } = reference.table;
  const rows = Array.from({ length: found.length / width }, (_, i) =>
    found.subarray(i * width, (i + 1) * width),
  );
  const timesOf = (kind: number): number[] =>
    rows.filter((row) => row[footColumn.kind] === kind).map((row) => row[footColumn.time]! * rateHz);
  const name = reference.kind === 'events' ? 'initial contact' : 'stride border';
  const initial = contacts(reference, reference.initial, timesOf(footRowKind.initialContact));
  const tallies = new Map<string, Tally>([[name, initial]]);
  if (reference.final.length > 0)
    tallies.set('final contact', contacts(reference, reference.final, timesOf(footRowKind.finalContact)));
  const strides = rows.filter((row) => row[footColumn.kind] === footRowKind.stride);
  for (const [what, tally] of strideErrors(reference, strides)) if (tally.known > 0) tallies.set(what, tally);
  return tallies;
}

function contacts(reference: GaitmapReference, known: readonly number[], ours: readonly number[]): Tally {
  const { rateHz } = reference.table;
  const reach = FOUND_WITHIN_S * rateHz;
  const free = new Set(ours);
  const errors: number[] = [];
  for (const time of known) {
    const nearest = [...free].toSorted((a, b) => Math.abs(a - time) - Math.abs(b - time))[0];
    if (nearest === undefined || Math.abs(nearest - time) > reach) continue;
    free.delete(nearest);
    errors.push((1000 * (nearest - time)) / rateHz);
  }
  // At the ends of a span lie contacts that this list may leave out: they are no false ones.
  const extra = [...free].filter((time) =>
    reference.strides.some(({ from, to }) => time > from + reach && time < to - reach),
  ).length;
  return { errors, known: known.length, extra };
}

/** Of the strides that end with known contacts; times only of those that also begin with one. */
function strideErrors(
  reference: GaitmapReference,
  ours: readonly Float64Array[],
): ReadonlyMap<string, Tally> {
  const { rateHz } = reference.table;
  const tallies = new Map<string, Tally>(Object.keys(strideUnits).map((what) => [what, newTally()]));
  const add = (what: string, known: number, our: number): void => {
    if (!Number.isFinite(known)) return;
    const tally = tallies.get(what)!;
    tally.known += 1;
    if (Number.isFinite(our)) tally.errors.push(our - known);
  };
  for (const { from, final, to, lengthM } of reference.strides) {
    const at = (row: Float64Array, column: number): number => row[column]!;
    const distance = (row: Float64Array): number => Math.abs(at(row, footColumn.time) - to / rateHz);
    const nearest = ours.toSorted((a, b) => distance(a) - distance(b))[0];
    const stride = nearest !== undefined && distance(nearest) <= FOUND_WITHIN_S ? nearest : null;
    const length = stride === null ? Number.NaN : at(stride, footColumn.length);
    add('stride length', 100 * lengthM, 100 * length);
    const isWhole =
      stride !== null && Math.abs(at(stride, footColumn.start) - from / rateHz) <= FOUND_WITHIN_S;
    const ms = (a: number, b: number): number =>
      isWhole ? 1000 * (at(stride, b) - at(stride, a)) : Number.NaN;
    const timeMs = ms(footColumn.start, footColumn.time);
    add('stride time', (1000 * (to - from)) / rateHz, timeMs);
    add('stance time', (1000 * (final - from)) / rateHz, ms(footColumn.start, footColumn.final));
    add('swing time', (1000 * (to - final)) / rateHz, ms(footColumn.final, footColumn.time));
    add('stride speed', (100 * lengthM * rateHz) / (to - from), (1e5 * length) / timeMs);
  }
  return tallies;
}

function newTally(): Tally {
  return { errors: [], known: 0, extra: 0 };
}

function addTo(pool: Map<string, Tally>, way: string, tallies: ReadonlyMap<string, Tally>): void {
  for (const [what, { errors, known, extra }] of tallies) {
    const sum = pool.get(what + way) ?? newTally();
    sum.errors.push(...errors);
    sum.known += known;
    sum.extra += extra;
    pool.set(what + way, sum);
  }
}

function rowsOf(trials: string, way: string, tallies: ReadonlyMap<string, Tally>): AccuracyRow[] {
  const rows: AccuracyRow[] = [];
  for (const [what, { errors, known, extra }] of tallies) {
    const unit = strideUnits[what] ?? 'ms';
    const add = (measure: string, rowUnit: string, ours: number | null): void => {
      const figure = trials === 'all' ? published[`${what}, ${measure}`] : undefined;
      rows.push({
        trials,
        metric: `${what}, ${measure}, ${way}`,
        unit: rowUnit,
        ours,
        published: figure ?? null,
        publishedBy: figure === undefined ? null : RAMPP,
      });
    };
    const center = mean(errors);
    add('bias', unit, center);
    add(
      'standard deviation',
      unit,
      center === null ? null : Math.sqrt(mean(errors.map((e) => (e - center) ** 2))!),
    );
    add('mean absolute error', unit, mean(errors.map(Math.abs)));
    add('found', '%', known === 0 ? null : (100 * errors.length) / known);
    if (strideUnits[what] === undefined)
      add('precision', '%', errors.length === 0 ? null : (100 * errors.length) / (errors.length + extra));
  }
  return rows;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
