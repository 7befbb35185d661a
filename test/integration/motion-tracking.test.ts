/**
 * Owns the known truth of joint angles: the synthetic walker, after standing still, with the errors of real sensors and
 * sensors that sit on the segments anyhow, through the whole chain from readings to angles.
 */

import { expect, test } from 'vitest';

import { normal, seededRandom, type Random } from '#base/random.ts';
import type { Alignment, BodyModel } from '#motion/body-model.ts';
import { standingLean } from '#motion/calibration/posture.ts';
import { trackBodyOffline, type PlacementReadings } from '#motion/joints/body-offline.ts';
import { createBodyTracker } from '#motion/joints/body-tracker.ts';
import {
  conjugate,
  fromAxisAngle,
  multiply,
  normalise,
  rotate,
  rotateInverse,
  slerp,
  toRotationVector,
} from '#motion/quaternion.ts';
import { createErrorModel, typicalErrors, type SensorErrors } from '#simulator/sensor-errors.ts';
import {
  createSyntheticWalker,
  SENSORS_LENGTH,
  SENSOR_STRIDE,
  walkerOfSeed,
  type LegAngles,
  type SyntheticWalker,
  type WalkerParameters,
} from '#simulator/synthetic-walker.ts';
import { POSE_LENGTH, POSE_STRIDE } from '#simulator/walker-pose.ts';
import { walkerSegments } from '#simulator/walker-body.ts';

const RATE_HZ = 100;
const STAND_S = 4;
const BEGIN_S = 0.5;
const DEG = Math.PI / 180;

interface Recording {
  readonly model: BodyModel;
  readonly readings: readonly PlacementReadings[];
  readonly walker: SyntheticWalker;
  /** Walker time is the recording's minus this. */
  readonly walkFromS: number;
}

interface Wearing {
  readonly seed: number;
  readonly seconds: number;
  readonly alignment: Alignment;
  /** Sensors sit on the segments by a turn of their own, anyhow. */
  readonly isTurned: boolean;
  readonly errors: SensorErrors | null;
  readonly stands: boolean;
  readonly walk?: Partial<WalkerParameters>;
}

function record({ seed, seconds, alignment, isTurned, errors, stands, walk }: Wearing): Recording {
  const walker = createSyntheticWalker(walkerOfSeed(seed, { ...walk, rateHz: RATE_HZ }));
  const random = seededRandom(seed * 7 + 1);
  const standS = stands ? STAND_S : 0;
  const walkFromS = stands ? STAND_S + BEGIN_S : 0;
  const count = Math.round(seconds * RATE_HZ);
  const truth = new Float64Array(SENSORS_LENGTH);
  const pose = new Float64Array(POSE_LENGTH);
  const timesUs = Float64Array.from({ length: count }, (_, i) => (i * 1e6) / RATE_HZ);
  const values = walkerSegments.map(() => new Float64Array(6 * count));
  const mountings = walkerSegments.map(() => (isTurned ? anyRotation(random) : Float64Array.of(1, 0, 0, 0)));
  walker.poseAt(0, pose);
  const starts = walkerSegments.map((_, s) => pose.slice(s * POSE_STRIDE + 3, s * POSE_STRIDE + 7));
  for (let i = 0; i < count; i++) {
    const timeS = i / RATE_HZ;
    if (timeS >= walkFromS) walker.sensorsAt(timeS - walkFromS, truth);
    for (const [s, segment] of walkerSegments.entries()) {
      if (timeS < walkFromS) {
        const standing = fromYTurn(standingLean(segment));
        writeBeginning({ standing, start: starts[s]!, timeS: timeS - standS }, truth, s * SENSOR_STRIDE);
      }
      for (const at of [0, 3]) {
        const vector = truth.slice(s * SENSOR_STRIDE + at, s * SENSOR_STRIDE + at + 3);
        rotate(mountings[s]!, vector, vector);
        for (let k = 0; k < 3; k++) values[s]![6 * i + at + k] = at === 0 ? vector[k]! : vector[k]! * DEG;
      }
    }
  }
  if (errors !== null) for (const [s, own] of values.entries()) addErrors(own, errors, seed * 100 + s);
  const model: BodyModel = {
    heightM: walker.parameters.heightM,
    placements: walkerSegments.map((segment) => ({
      stream: segment,
      segment,
      rateHz: RATE_HZ,
      acc: { axes: [0, 1, 2], scale: 1 },
      gyr: { axes: [3, 4, 5], scale: 1 },
      mag: null,
      alignment,
    })),
  };
  return { model, readings: values.map((own) => ({ timesUs, values: own })), walker, walkFromS };
}

/** Standing, then half a second of turning evenly into the pose in which walking begins; only gravity is felt. */
function writeBeginning(
  { standing, start, timeS }: { standing: Float64Array; start: Float64Array; timeS: number },
  out: Float64Array,
  at: number,
): void {
  const now = standing.slice();
  const gyr = new Float64Array(3);
  if (timeS > 0) {
    slerp(standing, start, timeS / BEGIN_S, now);
    const turn = new Float64Array(4);
    conjugate(standing, turn);
    multiply(turn, start, turn);
    toRotationVector(turn, gyr);
  }
  const acc = Float64Array.of(0, 0, 9.81);
  rotateInverse(now, acc, acc);
  for (let k = 0; k < 3; k++) {
    out[at + k] = acc[k]!;
    out[at + 3 + k] = gyr[k]! / BEGIN_S / DEG;
  }
}

function fromYTurn(angleRad: number): Float64Array {
  const out = new Float64Array(4);
  fromAxisAngle(Float64Array.of(0, 1, 0), angleRad, out);
  return out;
}

function anyRotation(random: Random): Float64Array {
  const out = Float64Array.from({ length: 4 }, () => normal(random));
  normalise(out, out);
  return out;
}

function addErrors(values: Float64Array, errors: SensorErrors, seed: number): void {
  const count = values.length / 6;
  const added = new Float32Array(6 * count);
  createErrorModel(errors, { seed, rateHz: RATE_HZ, axes: 6 }).add(0, count, added);
  for (let i = 0; i < values.length; i++) values[i] = values[i]! + added[i]! * (i % 6 < 3 ? 1 : DEG);
}

const TRUTH: Readonly<Record<string, keyof LegAngles>> = {
  'hip-flexion': 'hipFlexion',
  'hip-adduction': 'hipAdduction',
  'hip-internal-rotation': 'hipInternalRotation',
  'knee-flexion': 'kneeFlexion',
  'ankle-dorsiflexion': 'ankleDorsiflexion',
};

interface Angles {
  readonly names: readonly string[];
  readonly firstUs: number;
  readonly rows: Float32Array;
}

/** Root mean square over [fromS, end) by angle without its side, both sides together, degrees. */
function errorsOf(
  { names, firstUs, rows }: Angles,
  { walker, walkFromS }: Recording,
  fromS: number,
): Record<string, number> {
  const squares: Record<string, number> = {};
  const count = rows.length / names.length;
  let used = 0;
  for (let i = 0; i < count; i++) {
    const timeS = firstUs / 1e6 + i / 100;
    if (timeS < fromS) continue;
    used++;
    const truth = walker.jointAnglesAt(timeS - walkFromS);
    for (const side of ['left', 'right'] as const)
      for (const [angle, key] of Object.entries(TRUTH)) {
        const error = rows[i * names.length + names.indexOf(`${side}-${angle}`)]! - truth[side][key];
        squares[angle] = (squares[angle] ?? 0) + error * error;
      }
  }
  return Object.fromEntries(
    Object.entries(squares).map(([angle, sum]) => [angle, Math.sqrt(sum / used / 2)]),
  );
}

function trackLive({
  model,
  readings,
}: Recording): Angles & { readonly tracker: ReturnType<typeof createBodyTracker> } {
  const tracker = createBodyTracker(model);
  const row = new Float32Array(tracker.angleNames.length);
  const rows: number[] = [];
  let firstUs = Number.NaN;
  for (let i = 0; i < readings[0]!.timesUs.length; i++)
    for (const [p, { timesUs, values }] of readings.entries()) {
      tracker.update(p, timesUs[i]!, values, 6 * i);
      for (let timeUs = tracker.takeRow(row); !Number.isNaN(timeUs); timeUs = tracker.takeRow(row)) {
        if (Number.isNaN(firstUs)) firstUs = timeUs;
        rows.push(...row);
      }
    }
  return { names: tracker.angleNames, firstUs, rows: Float32Array.from(rows), tracker };
}

const worn: Wearing = {
  seed: 11,
  seconds: 24,
  alignment: { kind: 'from-movement' },
  isTurned: true,
  errors: typicalErrors,
  stands: true,
};

const FLEXIONS = ['hip-flexion', 'knee-flexion', 'ankle-dorsiflexion'];

test.each([11, 12])(
  'sensors worn anyhow find their segments and follow the walk of walker %i, offline and live',
  (seed) => {
    const recording = record({ ...worn, seed });
    const { angleNames, firstUs, rows, alignments } = trackBodyOffline(recording.model, recording.readings);
    for (const { quality, reason } of alignments) expect([quality > 0.5, reason]).toEqual([true, null]);
    const offline = errorsOf({ names: angleNames, firstUs, rows }, recording, 8);
    for (const angle of Object.keys(TRUTH)) expect(offline[angle]).toBeLessThan(1);
    const live = trackLive(recording);
    expect(live.tracker.alignments().every(({ isFixed }) => isFixed)).toBe(true);
    const causal = errorsOf(live, recording, 16);
    for (const angle of Object.keys(TRUTH)) expect(causal[angle]).toBeLessThan(2);
  },
);

test.each([
  ['limping on the right', { heightM: 1.7, cadenceStepsPerMin: 80, stepLengthM: 0.5, asymmetry: 0.2 }],
  ['limping on the left', { heightM: 1.7, cadenceStepsPerMin: 70, stepLengthM: 0.45, asymmetry: -0.2 }],
  ['a child', { heightM: 1.15, cadenceStepsPerMin: 130, stepLengthM: 0.4 }],
] as const)('front and back are found in every gait: %s', (_, walk) => {
  const recording = record({ ...worn, seconds: 26, walk });
  const { angleNames, firstUs, rows, alignments } = trackBodyOffline(recording.model, recording.readings);
  const offline = errorsOf({ names: angleNames, firstUs, rows }, recording, 8);
  const causal = errorsOf(trackLive(recording), recording, 18);
  for (const angle of FLEXIONS) {
    expect(offline[angle]).toBeLessThan(2);
    expect(causal[angle]).toBeLessThan(2);
  }
  for (const { quality } of alignments) expect(quality).toBeGreaterThan(0.4);
});

test('of a slow walk the legs are found, and a pelvis that hardly goes up and down says that it is uncertain', () => {
  const walk = { heightM: 1.7, cadenceStepsPerMin: 62, stepLengthM: 0.45 };
  const recording = record({ ...worn, seconds: 26, walk });
  const { angleNames, firstUs, rows, alignments } = trackBodyOffline(recording.model, recording.readings);
  const errors = errorsOf({ names: angleNames, firstUs, rows }, recording, 8);
  for (const angle of FLEXIONS) expect(errors[angle]).toBeLessThan(2);
  expect(alignments[0]!.quality).toBeLessThan(0.4);
  expect(alignments[0]!.reason).toBe('front and back could not be told apart');
  for (const { quality, reason } of alignments.slice(1))
    expect([quality > 0.9, reason]).toEqual([true, null]);
});

test('sensors that sit as their segments need no movement', () => {
  const aligned: Wearing = { ...worn, isTurned: false, alignment: { kind: 'aligned' }, stands: false };
  // Without errors: 20 mg of bias are 1.1 degrees a sensor, which only standing still would take out.
  const recording = record({ ...aligned, errors: null });
  const errors = errorsOf(trackLive(recording), recording, 6);
  for (const angle of FLEXIONS) expect(errors[angle]).toBeLessThan(1);
});

test('a wearer who never stood still gets the neutral pose of average walking, and is told', () => {
  const recording = record({ ...worn, seconds: 40, stands: false });
  const live = trackLive(recording);
  const errors = errorsOf(live, recording, 32);
  for (const angle of FLEXIONS) expect(errors[angle]).toBeLessThan(12);
  const thigh = live.tracker.alignments()[1]!;
  expect(thigh.quality).toBeLessThan(0.7);
  expect(thigh.reason).toContain('never stood still');
});

test('a tracker that goes on from a saved state gives the same bits', () => {
  const recording = record({ ...worn, seconds: 14 });
  const { model, readings } = recording;
  const whole = trackLive(recording);
  const count = readings[0]!.timesUs.length;
  for (const cut of [1, 0.3 * count, 0.45 * count, 0.9 * count].map(Math.floor)) {
    const first = createBodyTracker(model);
    pushRange(first, readings, [0, cut]);
    const state = new Float64Array(first.stateLength);
    first.save(state);
    const second = createBodyTracker(model);
    second.load(state);
    const rows = pushRange(second, readings, [cut, count]);
    expect(rows).toEqual(whole.rows.slice(whole.rows.length - rows.length));
    expect(second.alignments()).toEqual(whole.tracker.alignments());
  }
});

function pushRange(
  tracker: ReturnType<typeof createBodyTracker>,
  readings: readonly PlacementReadings[],
  [from, until]: readonly [number, number],
): Float32Array {
  const row = new Float32Array(tracker.angleNames.length);
  const rows: number[] = [];
  for (let i = from; i < until; i++)
    for (const [p, { timesUs, values }] of readings.entries()) {
      tracker.update(p, timesUs[i]!, values, 6 * i);
      while (!Number.isNaN(tracker.takeRow(row))) rows.push(...row);
    }
  return Float32Array.from(rows);
}
