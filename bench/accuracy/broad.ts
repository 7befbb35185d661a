/** Owns the set `broad`: orientation against cameras, by the authors' measure, beside what they and VQF's authors published. */

import { AppError } from '#base/errors.ts';
import {
  readAccuracyManifest,
  readAccuracyTable,
  type AccuracyRow,
  type AccuracySet,
  type AccuracyTable,
} from '#bench/accuracy/accuracy-set.ts';
import { orientationError, type OrientationError } from '#bench/accuracy/orientation-error.ts';
import { runBatch, type AlgorithmDefinition } from '#motion/algorithm.ts';
import { madgwick } from '#motion/orientation/madgwick.ts';
import { mahony } from '#motion/orientation/mahony.ts';
import { vqfOffline } from '#motion/orientation/vqf-offline.ts';
import { vqf, vqf9, vqf9Basic } from '#motion/orientation/vqf.ts';

const SENSORS = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z', 'mag_x', 'mag_y', 'mag_z'];
const REFERENCE = ['opt_qw', 'opt_qx', 'opt_qy', 'opt_qz'];

export const broad: AccuracySet = {
  name: 'broad',
  method:
    'Root mean square, over the samples marked as movement, of the turn between our orientation and that of the cameras, ' +
    'as broad_utils.py of the data set computes it; both are east, north, up, and no offset is taken off. All parameters ' +
    'are the defaults of VQF, which its authors found over six data sets of which this is one; we chose none. Those of ' +
    'Madgwick and Mahony are the ones with the least mean error over all 39 trials of this set, which favours them; their ' +
    'published figures come from the code that was in use in 2021, ours from the papers. The figures without magnetometer ' +
    'are of the inclination alone, since their heading is free. The offline variant looks ahead.',
  async measure(folder, step) {
    const tables = (await readAccuracyManifest(folder)).filter(({ columns }) =>
      [...SENSORS, ...REFERENCE, 'movement'].every((column) => columns.includes(column)),
    );
    const rows: AccuracyRow[] = [];
    for (const [i, table] of tables.entries()) {
      rows.push(...(await measureTrial(folder, table)));
      step((i + 1) / tables.length);
    }
    return [...rows, ...meansOf(rows)];
  },
};

interface Trial {
  readonly table: AccuracyTable;
  readonly readings: Float64Array;
  readonly values: Float64Array;
}

async function measureTrial(folder: string, table: AccuracyTable): Promise<AccuracyRow[]> {
  const values = await readAccuracyTable(folder, table);
  const places = SENSORS.map((column) => table.columns.indexOf(column));
  const width = table.columns.length;
  const readings = new Float64Array(table.rows * SENSORS.length);
  for (let i = 0; i < table.rows; i++)
    for (const [k, place] of places.entries()) readings[i * SENSORS.length + k] = values[i * width + place]!;
  const trial = { table, readings, values };
  return [
    ...rowsOf(
      trial,
      'VQF',
      errorOf(trial, run(trial, vqf9)),
      publishedVqf(table, 'reference_vqf_v2_full_rmse_deg'),
    ),
    ...rowsOf(
      trial,
      'VQF without magnetometer',
      { inclinationDeg: errorOf(trial, run(trial, vqf)).inclinationDeg },
      { inclinationDeg: numberAt(table, 'reference_vqf_v2_full_rmse_deg', 'inc6D') },
    ),
    ...rowsOf(trial, 'VQF offline', errorOf(trial, offline(trial)), {}),
    ...rowsOf(
      trial,
      'basic VQF',
      errorOf(trial, run(trial, vqf9Basic)),
      publishedVqf(table, 'reference_basic'),
    ),
    ...rowsOf(trial, 'Madgwick', errorOf(trial, run(trial, madgwick)), {
      totalDeg: numberAt(table, 'madgwick_tagp_total_deg'),
    }),
    ...rowsOf(trial, 'Mahony', errorOf(trial, run(trial, mahony)), {
      totalDeg: numberAt(table, 'mahony_tagp_total_deg'),
    }),
  ];
}

/** Four values a reading. */
function run({ table, readings }: Trial, definition: AlgorithmDefinition): Float64Array {
  const inputs = definition.inputs.length;
  const given =
    inputs === SENSORS.length
      ? readings
      : Float64Array.from({ length: table.rows * inputs }, (_, i) => {
          const row = Math.floor(i / inputs);
          return readings[row * SENSORS.length + (i - row * inputs)]!;
        });
  const rows = runBatch(definition.create(table.rateHz), given, table.rows);
  const width = definition.outputs.length;
  return Float64Array.from({ length: 4 * table.rows }, (_, i) => rows[Math.floor(i / 4) * width + (i % 4)]!);
}

function offline({ table, readings }: Trial): Float64Array {
  const three = (first: number): Float64Array =>
    Float64Array.from(
      { length: 3 * table.rows },
      (_, i) => readings[Math.floor(i / 3) * SENSORS.length + first + (i % 3)]!,
    );
  return vqfOffline({ rateHz: table.rateHz, accMS2: three(0), gyrRadS: three(3), mag: three(6) }).quaternions;
}

function errorOf({ table, values }: Trial, quaternions: Float64Array): OrientationError {
  const width = table.columns.length;
  const movement = table.columns.indexOf('movement');
  const reference = REFERENCE.map((column) => table.columns.indexOf(column));
  return orientationError({
    count: table.rows,
    counts: (i) => values[i * width + movement]! > 0.5,
    read(i, estimated, optical) {
      for (let k = 0; k < 4; k++) {
        estimated[k] = quaternions[4 * i + k]!;
        optical[k] = values[i * width + reference[k]!]!;
      }
    },
  });
}

type SomeErrors = { readonly [K in keyof OrientationError]?: number | null };

const PARTS = [
  ['totalDeg', 'error'],
  ['headingDeg', 'heading error'],
  ['inclinationDeg', 'inclination error'],
] as const;

const PUBLISHERS: Readonly<Record<string, string>> = {
  VQF: 'reference implementation 2.x on this trial',
  'VQF without magnetometer': 'reference implementation 2.x on this trial',
  'basic VQF': 'reference implementation 2.x on this trial',
  Madgwick: 'Laidig 2021',
  Mahony: 'Laidig 2021',
};

function rowsOf(trial: Trial, algorithm: string, ours: SomeErrors, published: SomeErrors): AccuracyRow[] {
  return PARTS.flatMap(([part, words]) => {
    const value = ours[part];
    const theirs = published[part] ?? null;
    if (value === undefined) return [];
    return [
      {
        trials: trial.table.file.replace(/\.[a-z0-9]+$/, ''),
        metric: `${algorithm}, ${words}`,
        unit: 'deg RMS',
        ours: value,
        published: theirs,
        publishedBy: theirs === null ? null : (PUBLISHERS[algorithm] ?? null),
      },
    ];
  });
}

function publishedVqf(table: AccuracyTable, key: string): SomeErrors {
  return {
    totalDeg: numberAt(table, key, 'total_rmse_deg'),
    headingDeg: numberAt(table, key, 'heading_rmse_deg'),
    inclinationDeg: numberAt(table, key, 'inclination_rmse_deg'),
  };
}

/** Null where the manifest has none. */
function numberAt(table: AccuracyTable, key: string, inner?: string): number | null {
  const value = table.more[key];
  const found = inner === undefined ? value : (value as Record<string, unknown> | undefined)?.[inner];
  if (found === undefined || found === null) return null;
  if (typeof found !== 'number')
    throw new AppError('malformed-message', `${table.file}: ${key} is no number`);
  return found;
}

/** The mean of the trials, which is how the authors report; published only where every trial has a figure. */
function meansOf(rows: readonly AccuracyRow[]): AccuracyRow[] {
  const metrics = [...new Set(rows.map(({ metric }) => metric))];
  const mean = (values: readonly (number | null)[]): number | null =>
    values.includes(null) ? null : values.reduce<number>((sum, value) => sum + value!, 0) / values.length;
  return metrics.map((metric) => {
    const same = rows.filter((row) => row.metric === metric);
    const published = mean(same.map((row) => row.published));
    return {
      ...same[0]!,
      trials: 'all',
      ours: mean(same.map(({ ours }) => ours)),
      published,
      publishedBy: published === null ? null : same[0]!.publishedBy,
    };
  });
}
