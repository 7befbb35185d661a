/**
 * Owns how footfalls are measured on the human locomotion data of Truong et al. 2019 (doi:10.5201/ipol.2019.265): both feet of
 * healthy people and of patients, labelled by experts. The data may not be used commercially and so is never in the
 * repository: this runs where somebody has it.
 */

import {
  readAccuracyManifest,
  readAccuracyTable,
  type AccuracyRow,
  type AccuracySet,
  type AccuracyTable,
} from '#bench/accuracy/accuracy-set.ts';
import { FOOT_ACTIVITY, footActivity, footActivityOffline } from '#motion/gait/foot-activity.ts';
import { runBatch } from '#motion/algorithm.ts';
import { robinsonIndex } from '#motion/symmetry/indices.ts';

const GRAVITY_MS2 = 9.80665;
/** The recording is followed by so much standing, that the last footfall of the live variant is known. */
const STANDING_S = 3;

/** First reading and the one after the last. */
type Interval = readonly [start: number, end: number];

interface FootScore {
  detected: number;
  correct: number;
  labelled: number;
  found: number;
}

interface Trial {
  readonly person: string;
  readonly group: string;
  readonly sensor: string;
  readonly feet: readonly {
    readonly labels: readonly Interval[];
    readonly offline: readonly Interval[];
    readonly live: readonly Interval[];
    readonly rateHz: number;
  }[];
}

export const ipolGait: AccuracySet = {
  name: 'ipol_gait',
  method: `Footfalls of each foot by footActivityOffline (a whole recording) and footActivity (live, reading by reading), each foot alone, compared with the foot activities that experts labelled.
The criterion is the authors' (Oudre et al. 2018, doi:10.3390/s18114033; their evaluation takes indices of readings): a detected footfall is correct when the middle of its start and end lies in a labelled one, each labelled one counting once; a labelled footfall is found when its middle lies in a detected one, each detected one counting once. Precision is correct of detected, recall found of labelled, over all feet pooled.
The two units of movement are those of a published detector of a standing foot (Jiménez 2010), the shortest footfall is from norms of fast walking, the rest are round shares of what is usual for the foot itself. Which rules and shares there are was decided with the errors on the 56 people of the shared part in view, so the figures on these are not of unseen people. What that is worth was measured by cross-validation over people: with share of standing, shortest footfall and least impulse chosen anew on six sevenths of the people (of three values each), the people left out have a recall of 98.9 and a precision of 98.8 %; moving any value by a fifth changes either by at most 0.6 percent.
The symmetry of a person is the Robinson index of the mean durations of the left and the right footfalls; its error is the difference to the same index of the labels, in percent points.`,
  async measure(folder, step) {
    const tables = (await readAccuracyManifest(folder)).filter(isTrial);
    const trials: Trial[] = [];
    for (const [i, table] of tables.entries()) {
      trials.push(await readTrial(folder, table));
      step((i + 1) / tables.length);
    }
    return rowsOf(trials);
  },
};

function isTrial({ more, columns }: AccuracyTable): boolean {
  return (
    ['left', 'right'].every((side) => Array.isArray(more[`${side}_foot_activity`])) &&
    ['L', 'R'].every((side) => inputColumns(side).every((name) => columns.includes(name)))
  );
}

/** Acceleration in g and rate in deg/s along three axes of the sensor. */
function inputColumns(side: string): string[] {
  return ['A', 'R'].flatMap((quantity) => ['X', 'Y', 'Z'].map((axis) => `${side}${quantity}${axis}`));
}

async function readTrial(folder: string, table: AccuracyTable): Promise<Trial> {
  const values = await readAccuracyTable(folder, table);
  return {
    person: `person ${String(table.more['subject'])}`,
    group: String(table.more['group']),
    sensor: String(table.more['sensor']),
    feet: (['left', 'right'] as const).map((side) => {
      const readings = footReadings(values, table, side === 'left' ? 'L' : 'R');
      const count = table.rows;
      return {
        labels: table.more[`${side}_foot_activity`] as Interval[],
        offline: intervalsOf(
          footActivityOffline(readings.subarray(0, 6 * count), count, table.rateHz),
          table.rateHz,
        ),
        live: intervalsOf(
          runBatch(footActivity.create(table.rateHz), readings, readings.length / 6),
          table.rateHz,
        ),
        rateHz: table.rateHz,
      };
    }),
  };
}

/** In m/s2 and rad/s, with some standing at the end. */
function footReadings(values: Float64Array, table: AccuracyTable, side: string): Float64Array {
  const columns = inputColumns(side).map((name) => table.columns.indexOf(name));
  const width = table.columns.length;
  const readings = new Float64Array(6 * (table.rows + STANDING_S * table.rateHz));
  for (let i = 0; i < table.rows; i++)
    for (let k = 0; k < 6; k++)
      readings[6 * i + k] = values[i * width + columns[k]!]! * (k < 3 ? GRAVITY_MS2 : Math.PI / 180);
  return readings;
}

function intervalsOf(rows: Float64Array, rateHz: number): Interval[] {
  const width = footActivity.outputs.length;
  return Array.from({ length: rows.length / width }, (_, i): Interval => {
    const at = i * width;
    return [
      Math.round(rows[at + FOOT_ACTIVITY.start]! * rateHz),
      Math.round(rows[at + FOOT_ACTIVITY.end]! * rateHz),
    ];
  });
}

/** How many middles of `from` lie in an interval of `into`, each of which counts once. */
function middlesWithin(from: readonly Interval[], into: readonly Interval[]): number {
  const used = new Set<number>();
  for (const [start, end] of from) {
    const middle = Math.floor((start + end) / 2);
    const hit = into.findIndex(([first, after], i) => !used.has(i) && first <= middle && middle < after);
    if (hit >= 0) used.add(hit);
  }
  return used.size;
}

type Variant = 'offline' | 'live';

function score(trials: readonly Trial[], variant: Variant): FootScore {
  const total = { detected: 0, correct: 0, labelled: 0, found: 0 };
  for (const { feet } of trials)
    for (const foot of feet) {
      total.detected += foot[variant].length;
      total.correct += middlesWithin(foot[variant], foot.labels);
      total.labelled += foot.labels.length;
      total.found += middlesWithin(foot.labels, foot[variant]);
    }
  return total;
}

function rowsOf(trials: readonly Trial[]): AccuracyRow[] {
  const people = groupedBy(trials, ({ person }) => person);
  const rows = [
    ...scoreRows('all', trials),
    ...[...groupedBy(trials, ({ group }) => group)].flatMap(([name, of]) => scoreRows(name, of)),
    ...[...groupedBy(trials, ({ sensor }) => sensor)].flatMap(([name, of]) =>
      scoreRows(`sensor ${name}`, of),
    ),
    ...boundaryRows(trials),
    ...symmetryRows(people),
  ];
  for (const [person, of] of people) {
    const { detected, correct, labelled, found } = score(of, 'offline');
    rows.push(row(person, 'footfall recall', '%', percent(found, labelled)));
    rows.push(row(person, 'footfall precision', '%', percent(correct, detected)));
  }
  return rows;
}

function scoreRows(name: string, trials: readonly Trial[]): AccuracyRow[] {
  const oudre = name === 'all' ? 'Oudre 2018, 1,020 recordings of 230 people' : null;
  return (['offline', 'live'] as const).flatMap((variant) => {
    const { detected, correct, labelled, found } = score(trials, variant);
    const suffix = variant === 'live' ? ', live' : '';
    const published = oudre === null ? null : 98;
    return [
      {
        ...row(name, `footfall recall${suffix}`, '%', percent(found, labelled)),
        published,
        publishedBy: oudre,
      },
      {
        ...row(name, `footfall precision${suffix}`, '%', percent(correct, detected)),
        published,
        publishedBy: oudre,
      },
    ];
  });
}

/** Our start and end after those of the label whose middle is in it. */
function boundaryRows(trials: readonly Trial[]): AccuracyRow[] {
  const errors: { start: number[]; end: number[] } = { start: [], end: [] };
  for (const { feet } of trials)
    for (const { labels, offline, rateHz } of feet)
      for (const [start, end] of labels) {
        const middle = Math.floor((start + end) / 2);
        const hit = offline.find(([first, after]) => first <= middle && middle < after);
        if (hit === undefined) continue;
        errors.start.push((1000 * (hit[0] - start)) / rateHz);
        errors.end.push((1000 * (hit[1] - end)) / rateHz);
      }
  return (['start', 'end'] as const).flatMap((name) => [
    row('all', `footfall ${name}, mean difference`, 'ms', mean(errors[name])),
    row('all', `footfall ${name}, standard deviation`, 'ms', deviation(errors[name])),
  ]);
}

function symmetryRows(people: ReadonlyMap<string, readonly Trial[]>): AccuracyRow[] {
  const errors: number[] = [];
  const indices: number[] = [];
  const rows: AccuracyRow[] = [];
  for (const [person, trials] of people) {
    const labelled = durationIndex(trials, 'labels');
    const ours = durationIndex(trials, 'offline');
    if (labelled === null || ours === null) continue;
    indices.push(Math.abs(labelled));
    errors.push(ours - labelled);
    rows.push(row(person, 'Robinson index of footfall duration, error', '%', Math.abs(ours - labelled)));
  }
  return [
    row('all', 'Robinson index of footfall duration, mean absolute error', '%', mean(errors.map(Math.abs))),
    row('all', 'Robinson index of footfall duration, bias', '%', mean(errors)),
    row('all', 'Robinson index of footfall duration, labelled, mean absolute', '%', mean(indices)),
    ...rows,
  ];
}

function durationIndex(trials: readonly Trial[], of: 'labels' | 'offline'): number | null {
  const durations = [0, 1].map((foot) =>
    mean(trials.flatMap(({ feet }) => feet[foot]![of].map(([start, end]) => end - start))),
  );
  return durations[0] === null || durations[1] === null ? null : robinsonIndex(durations[0]!, durations[1]!);
}

function row(trials: string, metric: string, unit: string, ours: number | null): AccuracyRow {
  return { trials, metric, unit, ours, published: null, publishedBy: null };
}

function groupedBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

function percent(part: number, whole: number): number | null {
  return whole === 0 ? null : (100 * part) / whole;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number | null {
  const middle = mean(values);
  return middle === null ? null : Math.sqrt(mean(values.map((value) => (value - middle) ** 2))!);
}
