/**
 * Owns what gait from the lower back is worth on recordings of Mobilise-D with references: contacts, sides, stride length,
 * speed and cadence of each reference bout, and how well bouts are found. Whatever trials the manifest lists.
 */

import { join } from 'node:path';

import {
  readAccuracyManifest,
  readAccuracyTable,
  type AccuracyRow,
  type AccuracySet,
  type AccuracyTable,
} from '#bench/accuracy/accuracy-set.ts';
import { mobgapSystems, readReferenceBouts, type MobgapSystem } from '#bench/accuracy/mobgap-reference.ts';
import {
  addBout,
  emptyTally,
  figuresOf,
  foundOf,
  type Found,
  type Tally,
} from '#bench/accuracy/mobgap-tally.ts';
import { runBatch } from '#motion/algorithm.ts';
import { lumbarGait } from '#motion/gait/lumbar-gait.ts';
import { lumbarGaitOffline } from '#motion/gait/lumbar-offline.ts';
import {
  finalContactsMcCamley,
  initialContactsIonescu,
  initialContactsShin,
} from '#motion/gait/lumbar-published.ts';

const DEG = Math.PI / 180;

/** Manifests may say the person's height; those that we know do not. */
function heightOf({ more }: AccuracyTable): number | null {
  const value = more['height_m'] ?? more['heightM'];
  return typeof value === 'number' ? value : null;
}

/** acc in m/s2 and gyr in rad/s, six a reading, in the order of the file: the mounting is left to the algorithm. */
async function readingsOf(folder: string, table: AccuracyTable): Promise<Float64Array> {
  const values = await readAccuracyTable(folder, table);
  const width = table.columns.length;
  const names = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z'];
  const places = names.map((name) => table.columns.indexOf(name));
  const named = table.more['units'];
  const units = typeof named === 'string' ? named : '';
  const accScale = /m\/s/.test(units) ? 1 : 9.80665;
  const gyrScale = /rad\/s/.test(units) ? 1 : DEG;
  const readings = new Float64Array(table.rows * 6);
  for (let i = 0; i < table.rows; i++)
    for (const [k, place] of places.entries())
      readings[i * 6 + k] = values[i * width + place]! * (k < 3 ? accScale : gyrScale);
  return readings;
}

const ways = ['offline', 'live', 'Ionescu', 'Shin', 'McCamley'] as const;
type Way = (typeof ways)[number];

/** What the published methods that stand beside ours find. */
const partOf: Partial<Record<Way, string>> = { Ionescu: 'initial', Shin: 'initial', McCamley: 'final' };
const nothing: Found = { contacts: [], finals: [], strides: [], bouts: [] };

function findAll(readings: Float64Array, table: AccuracyTable): Record<Way, Found> {
  const heightM = heightOf(table);
  const given = heightM === null ? {} : { heightM };
  const { rateHz, rows } = table;
  return {
    offline: foundOf(lumbarGaitOffline(readings, rows, { rateHz, parameters: given })),
    live: foundOf(runBatch(lumbarGait.create(rateHz, given), readings, rows)),
    Ionescu: { ...nothing, contacts: timed(initialContactsIonescu(readings, rows, rateHz)) },
    Shin: { ...nothing, contacts: timed(initialContactsShin(readings, rows, rateHz)) },
    McCamley: { ...nothing, finals: timed(finalContactsMcCamley(readings, rows, rateHz)) },
  };
}

function timed(times: Float64Array): Found['contacts'] {
  return Array.from(times, (timeS) => ({ timeS, isLeft: false }));
}

const published: Readonly<Record<string, readonly [number, string]>> = {
  'initial contact error': [60, 'Mobilise-D laboratory, Kirk 2024 (mobgap on HA001: Shin 54, Ionescu 71)'],
  'initial contact F1': [0.92, 'Mobilise-D laboratory, Kirk 2024'],
  'stride length error': [0.1, 'Mobilise-D laboratory, Kirk 2024'],
  'walking speed error': [0.084, 'Mobilise-D laboratory, Kirk 2024'],
  'cadence error': [3.3, 'Mobilise-D laboratory, Kirk 2024'],
};

function rowsOf(trials: string, way: Way, system: MobgapSystem, tally: Tally): AccuracyRow[] {
  const part = partOf[way];
  return figuresOf(tally)
    .filter(({ metric }) => part === undefined || metric.startsWith(part))
    .map(({ metric, unit, value }) => {
      const [figure, by] = (way === 'offline' && trials === 'all' && published[metric]) || [null, null];
      const name = part === undefined ? metric : `${metric} of our ${way}`;
      return {
        trials,
        metric: `${name}, ${way === 'live' ? 'live, ' : ''}${system}`,
        unit,
        ours: value,
        published: figure,
        publishedBy: by,
      };
    });
}

export const mobgapSet: AccuracySet = {
  name: 'mobgap',
  method:
    'One sensor at the lower back. The algorithm gets the whole recording and neither axes nor bouts nor body height (1.70 m ' +
    'is taken where the manifest has none): it finds the mounting from gravity and walking. Against the micro walking bouts of ' +
    'each reference system, as Mobilise-D compares: contacts between start and end of a reference bout are paired one to one ' +
    'with the nearest reference contact within 250 ms, the nearest pairs first; a contact up to 250 ms outside the bout may be ' +
    'paired but is no false one. The contact error is the mean absolute difference of the pairs, bias their mean (positive: ' +
    'late). Stride length and speed are means over our strides within a reference bout, cadence is our steps in it over the ' +
    "time from its first to its last; each against the reference's mean over strides, and the error is the mean absolute " +
    'difference over the bouts in which we have any. Sides are counted over pairs. Bout agreement is by time: share of the ' +
    'time of reference bouts that we call walking, and the reverse. Our Ionescu, Shin and McCamley are those methods as we ' +
    'understand the papers. Constants are from papers, mechanics and the synthetic walker (docs/gait-lower-back.md). Two choices ' +
    'were made after these recordings of HA001 had been seen: the lesser of two pendulums gives the length, not their mean, and the ' +
    'band of a step is at 0.8 of its time; for HA001 the figures are not blind to these two, nor to the measure of cadence, which was ' +
    'settled after they had been seen.',
  async measure(folder, step) {
    const tables = (await readAccuracyManifest(folder)).filter(
      ({ columns, more }) => columns.includes('acc_x') && typeof more['reference_file'] === 'string',
    );
    const rows: AccuracyRow[] = [];
    const whole = new Map<string, Tally>();
    for (const [i, table] of tables.entries()) {
      const readings = await readingsOf(folder, table);
      const references = await readReferenceBouts(join(folder, String(table.more['reference_file'])));
      const found = findAll(readings, table);
      for (const system of mobgapSystems) {
        if (references[system].length === 0) continue;
        for (const way of ways) {
          const tally = emptyTally();
          const all = whole.get(`${way} ${system}`) ?? emptyTally();
          whole.set(`${way} ${system}`, all);
          for (const one of [tally, all])
            addBout(one, references[system], found[way], table.rows / table.rateHz);
          const trial = table.file.replace(/\.[a-z0-9]+$/i, '');
          if (way === 'offline') rows.push(...rowsOf(trial, way, system, tally));
        }
      }
      step((i + 1) / tables.length);
    }
    for (const system of mobgapSystems)
      for (const way of ways) {
        const tally = whole.get(`${way} ${system}`);
        if (tally !== undefined) rows.push(...rowsOf('all', way, system, tally));
      }
    return rows;
  },
};
