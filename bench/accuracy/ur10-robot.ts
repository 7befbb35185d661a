/**
 * Owns the set ur10_robot: orientations of sensors on the links of a robot arm beside its joint encoders. The encoders give the pose in
 * which a trial begins and, by their speed alone, the moment; axes come from the orientations themselves.
 */

import {
  readAccuracyManifest,
  readAccuracyTable,
  type AccuracyRow,
  type AccuracySet,
  type AccuracyTable,
} from '#bench/accuracy/accuracy-set.ts';
import { bestShift } from '#bench/accuracy/time-shift.ts';
import { hingeAngles, hingeOfOrientations } from '#motion/calibration/hinge-axis.ts';
import { conjugate, multiply, normalise, rotate } from '#motion/quaternion.ts';

const DEG = Math.PI / 180;

/**
 * Joints of a UR10 between two links that carry sensors. `nominal` is the axis of the sensor before the joint that the joint's axis is nearest
 * to, from how the sensors are screwed on: it says the sense of the axis, and the axis itself where a joint does not move. Lift and
 * elbow of a UR10 are parallel and level, the pan is upright (Universal Robots, kinematics of the UR10).
 */
const JOINTS = [
  { name: 'shoulder_pan_joint', proximal: 'Imu_13', distal: 'Imu_14', nominal: [0, 0, 1] },
  { name: 'shoulder_lift_joint', proximal: 'Imu_14', distal: 'Imu_15', nominal: [0, 1, 0] },
  { name: 'elbow_joint', proximal: 'Imu_15', distal: 'Imu_16', nominal: [0, 0, 1] },
] as const;

/** Common grid of both recordings. */
const STEP_S = 0.008;
/** The pose at the beginning is the mean over this. */
const START_S = 0.2;
/** Of a trial in which no joint turns by more, nothing was published. */
const MOVING_DEG = 10;

export const ur10Robot: AccuracySet = {
  name: 'ur10_robot',
  method: [
    'Angles of the three joints of a UR10 between links with sensors (pan, lift, elbow; the wrists carry none), against the encoders, as RMSE.',
    'Each axis is the main axis of the relative orientation of its two sensors over the trial; a joint that turns by less than 10 degrees',
    'keeps the nominal axis of its sensor, which otherwise only says the sense. The pan is the median of three headings: of the link after',
    'it, and of the level axis of lift and elbow as the two sensors beyond see it. Of the encoders are used: the mean pose of',
    'the first 0.2 s, which is where angles are counted from, and the sum of the absolute speeds of the joints, whose best correlation with',
    'ours is the shift between the two clocks. In the recording of the repository the robot stands still.',
  ].join(' '),
  async measure(folder, step) {
    const tables = (await readAccuracyManifest(folder)).filter(({ columns }) => columns.length > 0);
    const imus = tables.filter(({ columns }) => columns.includes('Imu_14.W'));
    const rows: AccuracyRow[] = [];
    const pairs = pairsOf(
      imus,
      tables.filter(({ columns }) => columns.includes('elbow_joint')),
    );
    for (const [i, [imu, encoders]] of pairs.entries()) {
      rows.push(...(await measureTrial(folder, imu, encoders)));
      step((i + 1) / pairs.length);
    }
    return rows;
  },
};

/** What follows the kind in a file's name is the trial: `imu_quat_static`, `encoders_static`. */
function trialOf({ file }: AccuracyTable): string {
  return file.replace(/\.[a-z0-9]+$/i, '').replace(/^(imu_quat|imu|quat|encoders?)_?/, '');
}

/** Recordings of one trial by its name; those that are named otherwise go together in the order of the manifest. */
function pairsOf(
  imus: readonly AccuracyTable[],
  encoders: readonly AccuracyTable[],
): [AccuracyTable, AccuracyTable][] {
  const named = (table: AccuracyTable, others: readonly AccuracyTable[]): AccuracyTable | undefined =>
    others.find((other) => trialOf(other) === trialOf(table));
  const left = encoders.filter((table) => named(table, imus) === undefined);
  return imus.flatMap((imu) => {
    const partner = named(imu, encoders) ?? left.shift();
    return partner === undefined ? [] : [[imu, partner]];
  });
}

async function measureTrial(
  folder: string,
  imu: AccuracyTable,
  encoders: AccuracyTable,
): Promise<AccuracyRow[]> {
  const readings = await readAccuracyTable(folder, imu);
  const truth = await readAccuracyTable(folder, encoders);
  const reference = JOINTS.map(({ name }) => resampled(truth, encoders, name));
  const angles = jointAngles(readings, imu);
  const shift = bestShift(speedOf(angles), speedOf(reference));
  const first = Math.max(0, -shift);
  const until = Math.min(reference[0]!.length, angles[0]!.length - shift);
  const rows: AccuracyRow[] = [];
  const trial = trialOf(imu) || 'robot arm';
  for (const [j, { name }] of JOINTS.entries()) {
    const errors = reference[j]!.subarray(first, until).map(
      (value, i) => angles[j]![first + i + shift]! - value,
    );
    const start = mean(errors.subarray(0, Math.round(START_S / STEP_S)));
    const rmse = Math.sqrt(mean(errors.map((error) => (error - start) ** 2)));
    rows.push(rowOf(trial, `${name} RMSE`, rmse));
  }
  const largest = rowOf(trial, 'largest joint RMSE', Math.max(...rows.map(({ ours }) => ours!)));
  const ranges = angles.map((angle) => Math.max(...angle) - Math.min(...angle));
  if (Math.max(...ranges) < MOVING_DEG) return [...rows, largest];
  return [
    ...rows,
    { ...largest, published: 1.7, publishedBy: 'naive method, 1.3 and 1.7 on two joints that move' },
  ];
}

function rowOf(trials: string, metric: string, ours: number): AccuracyRow {
  return { trials, metric, unit: 'deg', ours, published: null, publishedBy: null };
}

/** A joint's column on the common grid, straight lines between the encoder's values. */
function resampled(values: Float64Array, { columns, rows }: AccuracyTable, name: string): Float64Array {
  const width = columns.length;
  const column = columns.indexOf(name);
  const time = (i: number): number => values[i * width]! - values[0]!;
  const out = new Float64Array(Math.floor(time(rows - 1) / STEP_S) + 1);
  for (let i = 0, at = 0; i < out.length; i++) {
    while (at < rows - 2 && time(at + 1) < i * STEP_S) at++;
    const share = Math.min(1, Math.max(0, (i * STEP_S - time(at)) / (time(at + 1) - time(at))));
    out[i] = (1 - share) * values[at * width + column]! + share * values[(at + 1) * width + column]!;
  }
  return out;
}

/** Of each joint, degrees from its angle in the first moment, on the common grid. */
function jointAngles(values: Float64Array, table: AccuracyTable): Float64Array[] {
  const orientation = (name: string): Float64Array => orientationsOf(values, table, name);
  const found = JOINTS.map(({ proximal, distal, nominal }) => {
    const before = orientation(proximal);
    const after = orientation(distal);
    const relative = relativeOf(before, after);
    const { axis, reason } = hingeOfOrientations(relative);
    const expected = Float64Array.from(nominal);
    const isLost = reason === 'the joint hardly moved';
    const sense = dot(axis, expected) < 0 ? -1 : 1;
    return { after, before, relative, axis: isLost ? expected : axis.map((v) => sense * v) };
  });
  const angles = found.map(({ relative, axis }) => hingeAngles(relative, axis));
  const [, , elbow] = found as [(typeof found)[0], (typeof found)[0], (typeof found)[0]];
  // The elbow's axis in the sensor beyond it, where it is as fixed as in the one before it.
  const beyond = new Float64Array(3);
  rotate(inverseAt(elbow.relative, 0), elbow.axis, beyond);
  const headings = [
    angles[0]!,
    headingsOf(elbow.before, elbow.axis),
    headingsOf(elbow.after, beyond),
  ] as const;
  const pan = angles[0]!.map((_, i) => median(headings[0][i]!, headings[1][i]!, headings[2][i]!));
  return [pan, angles[1]!, angles[2]!].map((angle) => angle.map((v) => v / DEG));
}

function orientationsOf(values: Float64Array, { columns, rows }: AccuracyTable, name: string): Float64Array {
  const width = columns.length;
  const at = ['W', 'X', 'Y', 'Z'].map((part) => columns.indexOf(`${name}.${part}`));
  const count = Math.floor((values[(rows - 1) * width]! - values[0]!) / STEP_S) + 1;
  const out = new Float64Array(4 * count);
  const q = new Float64Array(4);
  for (let i = 0, row = 0; i < count; i++) {
    while (row < rows - 1 && values[row * width]! - values[0]! < i * STEP_S - 1e-9) row++;
    for (let k = 0; k < 4; k++) q[k] = values[row * width + at[k]!]!;
    normalise(q, q);
    out.set(q, 4 * i);
  }
  return out;
}

function inverseAt(values: Float64Array, i: number): Float64Array {
  const out = new Float64Array(4);
  conjugate(values.subarray(4 * i, 4 * i + 4), out);
  return out;
}

function relativeOf(before: Float64Array, after: Float64Array): Float64Array {
  const out = new Float64Array(before.length);
  for (let i = 0; 4 * i < before.length; i++)
    multiply(inverseAt(before, i), after.subarray(4 * i, 4 * i + 4), out.subarray(4 * i, 4 * i + 4));
  return out;
}

/** Heading of a level axis that is fixed in the sensor, from its first one on, rad. */
function headingsOf(orientations: Float64Array, axis: Float64Array): Float64Array {
  const out = new Float64Array(orientations.length / 4);
  const line = new Float64Array(3);
  let first = 0;
  for (let i = 0; i < out.length; i++) {
    rotate(orientations.subarray(4 * i, 4 * i + 4), axis, line);
    const heading = Math.atan2(line[1]!, line[0]!);
    if (i === 0) first = heading;
    const turned = heading - first;
    const before = i === 0 ? 0 : out[i - 1]!;
    out[i] = turned - 2 * Math.PI * Math.round((turned - before) / (2 * Math.PI));
  }
  return out;
}

/** Sum of the absolute speeds of the joints, degrees a step. */
function speedOf(angles: readonly Float64Array[]): Float64Array {
  return angles[0]!.map((_, i) =>
    i === 0 ? 0 : angles.reduce((sum, angle) => sum + Math.abs(angle[i]! - angle[i - 1]!), 0),
  );
}

function dot(a: Float64Array, b: Float64Array): number {
  return a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]!;
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
