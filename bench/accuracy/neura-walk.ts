/**
 * Owns the set neura_walk: body-worn sensors on a walking person beside an optical reference of hip, knee and ankle. Which sensor is on
 * which segment is all that is taken from the manifest; the reference is only subtracted at the very end.
 */

import {
  readAccuracyManifest,
  readAccuracyTable,
  type AccuracyRow,
  type AccuracySet,
  type AccuracyTable,
} from '#bench/accuracy/accuracy-set.ts';
import { segments, type BodyModel, type Placement, type Segment } from '#motion/body-model.ts';
import { trackBodyOffline, type PlacementReadings } from '#motion/joints/body-offline.ts';
import { createBodyTracker } from '#motion/joints/body-tracker.ts';

/**
 * The sagittal column of the reference. It counts all three joints about the axis to the left: hip and ankle are positive in extension and
 * plantarflexion, the knee in flexion. That is its convention, the same in every trial; ours is turned to it here.
 */
const JOINTS = [
  {
    metric: 'knee flexion',
    angle: 'knee-flexion',
    columns: ['knee_flexion', 'knee_1'],
    sign: 1,
    peeked: 2.8,
  },
  { metric: 'hip flexion', angle: 'hip-flexion', columns: ['hip_1'], sign: -1, peeked: 3.5 },
  { metric: 'ankle dorsiflexion', angle: 'ankle-dorsiflexion', columns: ['ankle_1'], sign: -1, peeked: 2.1 },
] as const;

/** Nobody stands still who turns faster than this, and a curve has a start pose when that lasted a second. */
const STILL_RAD_S = 0.3;
const STILL_LEAST_S = 1;
/** Ranges of motion are taken over this, a stride or a little more, where a joint moves by more than WALKING_DEG. */
const WINDOW_S = 1.5;
const WALKING_DEG = 20;

interface Trial {
  readonly name: string;
  readonly sensors: Map<Segment, AccuracyTable>;
  readonly references: { readonly side: 'left' | 'right'; readonly table: AccuracyTable }[];
}

interface Angles {
  readonly names: readonly string[];
  readonly rows: Float32Array;
  readonly count: number;
}

export const neuraWalk: AccuracySet = {
  name: 'neura_walk',
  method: [
    'Flexion of knee, hip and ankle from the sensors on pelvis, thigh, shank and foot (no magnetometer, no factory orientation), against',
    'Vicon, sample by sample over the whole trial. Which sensor sits on which segment is given; how it sits is found from standing still',
    '(up) and walking (axis, front and back). The neutral pose is published mean standing posture (pelvis 11.3, thigh 3.3, shank 5.2',
    'degrees of lean: Levine and Whittle 1996, Woodhull 1985), fixed before the reference was opened: nothing of the reference is used',
    'for axes, signs, offsets or headings. The zero of the reference is that of its skeleton model and not of a standing person (its ankle',
    'reads about 20 degrees of dorsiflexion in quiet standing), which RMSE contains in full. "From the start pose" counts both',
    'curves from their mean over the quiet standing in which the trial begins, as papers on inertial sensors do; "without mean" takes the',
    'mean difference out, which compares the curves only: both use the reference that much. "Live" is causal, from the moment an',
    'alignment is there. The manifest gives no sign of the reference: its hip and ankle were turned over after they were seen',
    'to run against ours (correlations of -0.96 and -0.97), which makes all three joints turn about the axis to the left.',
  ].join(' '),
  async measure(folder, step) {
    const rows: AccuracyRow[] = [];
    const trials = trialsOf(await readAccuracyManifest(folder));
    for (const [i, trial] of trials.entries()) {
      rows.push(...(await measureTrial(folder, trial)));
      step((i + 1) / trials.length);
    }
    return trials.length < 2 ? rows : [...rows, ...means(rows)];
  },
};

/** Files are named for segments (`r_thigh`), trials by what stands before; a second unit on a segment is not used. */
function trialsOf(tables: readonly AccuracyTable[]): Trial[] {
  const trials = new Map<string, Trial>();
  const trialOf = (prefix: string): Trial => {
    const name = prefix.replace(/[_/-]+$/, '') || 'S02 walk 1';
    const trial = trials.get(name) ?? { name, sensors: new Map(), references: [] };
    trials.set(name, trial);
    return trial;
  };
  for (const table of tables) {
    const base = table.file.replace(/\.[a-z0-9]+$/i, '');
    const sensor = /^(.*?)(?:([lr])_(thigh|shank|foot)|(pelvis))$/.exec(base);
    const reference = /^(.*?)vicon_angles_([LR])$/.exec(base);
    if (sensor !== null) {
      const side = sensor[2] === 'l' ? 'left' : 'right';
      const segment = (sensor[4] ?? `${side}-${sensor[3]}`) as Segment;
      trialOf(sensor[1]!).sensors.set(segment, table);
    } else if (reference !== null)
      trialOf(reference[1]!).references.push({ side: reference[2] === 'L' ? 'left' : 'right', table });
  }
  return [...trials.values()].filter(({ references }) => references.length > 0);
}

async function measureTrial(folder: string, trial: Trial): Promise<AccuracyRow[]> {
  const worn = segments.filter((segment) => trial.sensors.has(segment));
  const placements: Placement[] = [];
  const readings: PlacementReadings[] = [];
  for (const segment of worn) {
    const table = trial.sensors.get(segment)!;
    placements.push({
      stream: table.file,
      segment,
      rateHz: table.rateHz,
      acc: { axes: [0, 1, 2], scale: 1 },
      gyr: { axes: [3, 4, 5], scale: 1 },
      mag: null,
      alignment: { kind: 'from-movement' },
    });
    readings.push(readingsOf(table, await readAccuracyTable(folder, table)));
  }
  const model: BodyModel = { heightM: null, placements };
  const stepUs = Math.round(1e6 / trial.references[0]!.table.rateHz);
  const { angleNames, count, rows } = trackBodyOffline(model, readings, stepUs);
  const offline: Angles = { names: angleNames, rows, count };
  const live = trackLive(model, readings, { stepUs, count });
  const still = stillSamples(readings, placements[0]!.rateHz);
  const out: AccuracyRow[] = [];
  for (const { side, table } of trial.references) {
    const reference = await readAccuracyTable(folder, table);
    for (const joint of JOINTS) {
      const column = table.columns.findIndex((name) => (joint.columns as readonly string[]).includes(name));
      if (column < 0) continue;
      const truth = columnOf(reference, { column, width: table.columns.length }).map((v) => v * joint.sign);
      const name = `${side}-${joint.angle}`;
      const row = (metric: string, ours: number | null, published: number | null): AccuracyRow => ({
        trials: `${trial.name}, ${side}`,
        metric,
        unit: 'deg',
        ours,
        published,
        publishedBy: published === null ? null : 'naive method that took axes and offsets from the reference',
      });
      const error = errorOf(truth, offline, { name, still });
      const causal = errorOf(truth, live, { name, still });
      out.push(row(`${joint.metric} RMSE without mean`, error.rmseWithoutMean, joint.peeked));
      out.push(row(`${joint.metric} RMSE from the start pose`, error.rmseFromStart, joint.peeked));
      out.push(row(`${joint.metric} RMSE`, error.rmse, null));
      out.push(row(`${joint.metric} mean error`, error.mean, null));
      out.push(row(`${joint.metric} RMSE without mean, live`, causal.rmseWithoutMean, null));
      const windowed = Math.round(WINDOW_S * table.rateHz);
      out.push(
        row(
          `${joint.metric} range, mean absolute error`,
          rangeError(truth, offline, { name, windowed }),
          null,
        ),
      );
      out.push(
        row(
          `${joint.metric} range, mean absolute error, live`,
          rangeError(truth, live, { name, windowed }),
          null,
        ),
      );
    }
  }
  return out;
}

/** Samples at the beginning in which no sensor moved, less the last 0.3 s; 0 when that is too short for a pose. */
function stillSamples(readings: readonly PlacementReadings[], rateHz: number): number {
  let still = Infinity;
  for (const { values } of readings) {
    let i = 0;
    while (6 * i < values.length && Math.hypot(...values.subarray(6 * i + 3, 6 * i + 6)) < STILL_RAD_S) i++;
    still = Math.min(still, i);
  }
  const samples = Math.floor(still - 0.3 * rateHz);
  return samples < STILL_LEAST_S * rateHz ? 0 : samples;
}

function readingsOf(table: AccuracyTable, values: Float64Array): PlacementReadings {
  const width = table.columns.length;
  const columns = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z'].map((c) => table.columns.indexOf(c));
  const timesUs = Float64Array.from({ length: table.rows }, (_, i) => Math.round((i * 1e6) / table.rateHz));
  const out = new Float64Array(6 * table.rows);
  for (let i = 0; i < table.rows; i++)
    for (let k = 0; k < 6; k++) out[6 * i + k] = values[i * width + columns[k]!]!;
  return { timesUs, values: out };
}

/** What the live tracker gives, reading by reading in the order of time. */
function trackLive(
  model: BodyModel,
  readings: readonly PlacementReadings[],
  { stepUs, count }: { stepUs: number; count: number },
): Angles {
  const tracker = createBodyTracker(model, stepUs);
  const width = tracker.angleNames.length;
  const rows = new Float32Array(count * width).fill(Number.NaN);
  const row = new Float32Array(width);
  const take = (): void => {
    for (let timeUs = tracker.takeRow(row); !Number.isNaN(timeUs); timeUs = tracker.takeRow(row)) {
      const at = Math.round(timeUs / stepUs);
      if (at < count) rows.set(row, at * width);
    }
  };
  const next = readings.map(() => 0);
  for (;;) {
    let first = -1;
    for (const [p, { timesUs }] of readings.entries())
      if (
        next[p]! < timesUs.length &&
        (first < 0 || timesUs[next[p]!]! < readings[first]!.timesUs[next[first]!]!)
      )
        first = p;
    if (first < 0) break;
    const i = next[first]!++;
    tracker.update(first, readings[first]!.timesUs[i]!, readings[first]!.values, 6 * i);
    take();
  }
  return { names: tracker.angleNames, rows, count };
}

function columnOf(values: Float64Array, { column, width }: { column: number; width: number }): Float64Array {
  return Float64Array.from({ length: values.length / width }, (_, i) => values[i * width + column]!);
}

/** Mean over windows of the absolute difference of the ranges of motion; windows in which nobody walks are left out. */
function rangeError(
  truth: Float64Array,
  angles: Angles,
  { name, windowed }: { name: string; windowed: number },
): number | null {
  const width = angles.names.length;
  const column = angles.names.indexOf(name);
  const ours = columnOf(Float64Array.from(angles.rows), { column, width });
  const errors: number[] = [];
  for (let at = 0; column >= 0 && at + windowed <= Math.min(truth.length, ours.length); at += windowed) {
    const range = rangeOf(ours.subarray(at, at + windowed));
    const expected = rangeOf(truth.subarray(at, at + windowed));
    if (range > WALKING_DEG && !Number.isNaN(expected)) errors.push(Math.abs(range - expected));
  }
  return errors.length === 0 ? null : errors.reduce((sum, error) => sum + error, 0) / errors.length;
}

/** NaN when any value is. */
function rangeOf(values: Float64Array): number {
  return Math.max(...values) - Math.min(...values);
}

interface CurveError {
  readonly rmse: number | null;
  readonly rmseWithoutMean: number | null;
  readonly rmseFromStart: number | null;
  readonly mean: number | null;
}

function errorOf(
  truth: Float64Array,
  angles: Angles,
  { name, still }: { name: string; still: number },
): CurveError {
  const column = angles.names.indexOf(name);
  const sum = { all: 0, squares: 0, count: 0, start: 0, startCount: 0 };
  for (let i = 0; column >= 0 && i < Math.min(truth.length, angles.count); i++) {
    const error = angles.rows[i * angles.names.length + column]! - truth[i]!;
    if (Number.isNaN(error)) continue;
    sum.count++;
    sum.all += error;
    sum.squares += error * error;
    if (i >= still) continue;
    sum.start += error;
    sum.startCount++;
  }
  if (sum.count === 0) return { rmse: null, rmseWithoutMean: null, rmseFromStart: null, mean: null };
  const mean = sum.all / sum.count;
  const variance = Math.max(0, sum.squares / sum.count - mean * mean);
  const start = sum.startCount === 0 ? null : sum.start / sum.startCount;
  return {
    rmse: Math.sqrt(sum.squares / sum.count),
    rmseWithoutMean: Math.sqrt(variance),
    rmseFromStart: start === null ? null : Math.sqrt(variance + (mean - start) ** 2),
    mean,
  };
}

function means(rows: readonly AccuracyRow[]): AccuracyRow[] {
  return [...new Set(rows.map(({ metric }) => metric))].map((metric) => {
    const own = rows.filter((row) => row.metric === metric && row.ours !== null);
    const ours = own.length === 0 ? null : own.reduce((sum, row) => sum + row.ours!, 0) / own.length;
    const first = rows.find((row) => row.metric === metric)!;
    return { ...first, trials: 'all', ours };
  });
}
