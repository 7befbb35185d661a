/** Owns the set `vqf_golden`: our VQF against the numbers of its authors' implementation, reading by reading. */

import { AppError } from '#base/errors.ts';
import {
  readAccuracyManifest,
  readAccuracyTable,
  type AccuracyRow,
  type AccuracySet,
  type AccuracyTable,
} from '#bench/accuracy/accuracy-set.ts';
import { runBatch, type AlgorithmDefinition } from '#motion/algorithm.ts';
import { vqf, vqf9, vqf9Basic, vqfBasic } from '#motion/orientation/vqf.ts';

const SENSORS = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z', 'mag_x', 'mag_y', 'mag_z'];

/** Columns of the reference, and where ours are: of the six-axis or the nine-axis variant, by the beginning of the name. */
const QUANTITIES = [
  {
    metric: 'orientation without magnetometer',
    unit: '1',
    nine: false,
    columns: { q6w: 'q_w', q6x: 'q_x', q6y: 'q_y', q6z: 'q_z' },
  },
  {
    metric: 'orientation with magnetometer',
    unit: '1',
    nine: true,
    columns: { q9w: 'q_w', q9x: 'q_x', q9y: 'q_y', q9z: 'q_z' },
  },
  { metric: 'heading difference', unit: 'rad', nine: true, columns: { delta: 'delta' } },
  {
    metric: 'gyroscope bias',
    unit: 'rad/s',
    nine: true,
    columns: { bias_x: 'bias_x', bias_y: 'bias_y', bias_z: 'bias_z' },
  },
  {
    metric: 'standard deviation of the bias',
    unit: 'rad/s',
    nine: true,
    columns: { biasSigma: 'bias_sigma' },
  },
  { metric: 'rest', unit: '1', nine: true, columns: { rest: 'rest' } },
  { metric: 'magnetic disturbance', unit: '1', nine: true, columns: { magDist: 'mag_disturbed' } },
] as const;

export const vqfGolden: AccuracySet = {
  name: 'vqf_golden',
  method:
    'Largest absolute difference, over all rows, between our streaming VQF and the C++ implementation of its authors in ' +
    'double precision with default parameters, on the recording that they test with. Nothing is aligned, signs of ' +
    'quaternions included.',
  async measure(folder, step) {
    const tables = await readAccuracyManifest(folder);
    const input = tables.find(({ columns }) => SENSORS.every((column) => columns.includes(column)));
    const references = tables.filter(({ columns }) => columns.includes('q6w'));
    if (input === undefined || references.length === 0)
      throw new AppError(
        'malformed-message',
        'the manifest lists no readings, or no outputs of the reference',
      );
    const readings = await readAccuracyTable(folder, input);
    const rows: AccuracyRow[] = [];
    for (const [i, table] of references.entries()) {
      const reference = await readAccuracyTable(folder, table);
      rows.push(...compare({ input, readings, table, reference }));
      step((i + 1) / references.length);
    }
    const largest = Math.max(...rows.map(({ ours }) => ours ?? 0));
    return [
      ...rows,
      {
        trials: 'all',
        metric: 'largest difference',
        unit: '1',
        ours: largest,
        published: null,
        publishedBy: null,
      },
    ];
  },
};

interface Comparison {
  readonly input: AccuracyTable;
  readonly readings: Float64Array;
  readonly table: AccuracyTable;
  readonly reference: Float64Array;
}

function compare(comparison: Comparison): AccuracyRow[] {
  const { input, table, reference } = comparison;
  // What knows of rest is the full variant.
  const isFull = table.columns.includes('rest');
  const six = run(comparison, isFull ? vqf : vqfBasic);
  const nine = run(comparison, isFull ? vqf9 : vqf9Basic);
  const stride = Math.round(input.rows / table.rows);
  return QUANTITIES.filter(({ columns }) =>
    Object.keys(columns).every((column) => table.columns.includes(column)),
  ).map((quantity) => {
    const ours = quantity.nine ? nine : six;
    const pairs = Object.entries(quantity.columns).map(([theirs, name]) => ({
      theirs: table.columns.indexOf(theirs),
      ours: ours.definition.outputs.findIndex((output) => output.startsWith(`${name} `)),
    }));
    let largest = 0;
    for (let i = 0; i < table.rows; i++)
      for (const pair of pairs) {
        const given = ours.rows[i * stride * ours.definition.outputs.length + pair.ours]!;
        const difference = Math.abs(given - reference[i * table.columns.length + pair.theirs]!);
        // A value that is unknown is as wrong as can be.
        largest = Math.max(largest, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
      }
    return {
      trials: table.file.replace(/\.[a-z0-9]+$/, ''),
      metric: `${quantity.metric}, largest difference`,
      unit: quantity.unit,
      ours: largest,
      published: null,
      publishedBy: null,
    };
  });
}

function run(
  { input, readings }: Comparison,
  definition: AlgorithmDefinition,
): { definition: AlgorithmDefinition; rows: Float64Array } {
  const places = definition.inputs.map((name) => input.columns.indexOf(name.split(' ')[0]!));
  const given = new Float64Array(input.rows * places.length);
  for (let i = 0; i < input.rows; i++)
    for (const [k, place] of places.entries())
      given[i * places.length + k] = readings[i * input.columns.length + place]!;
  return { definition, rows: runBatch(definition.create(input.rateHz), given, input.rows) };
}
