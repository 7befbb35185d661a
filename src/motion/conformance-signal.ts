/**
 * Owns the signal that every algorithm is put through: a foot that rests and walks, then a lower back that does, made from
 * smooth motion so that no data file is needed. It is plausible, not faithful: nothing is to be tuned or judged by it.
 */

import { seededRandom } from '#base/random.ts';

const GRAVITY = 9.81;
/** Horizontal and vertical part of a mid-latitude magnetic field in uT. */
const FIELD_NORTH = 20;
const FIELD_DOWN = 44;

const REST_S = 3;
const WALK_S = 16;
const STRIDE_S = 1.1;
/** Of a stride, from heel strike to toe off. */
const STANCE_SHARE = 0.6;
const STRIDE_M = 1.3;

interface Pose {
  forwardM: number;
  upM: number;
  /** About the left axis, nose down positive. */
  pitchRad: number;
}

/** From 0 to 1 with no jerk at the ends. */
function smooth(x: number): number {
  const t = Math.min(1, Math.max(0, x));
  return t * t * t * (10 - 15 * t + 6 * t * t);
}

function footPose(walkedS: number, pose: Pose): void {
  const stride = Math.floor(walkedS / STRIDE_S);
  const phase = walkedS / STRIDE_S - stride;
  const swing = (phase - STANCE_SHARE) / (1 - STANCE_SHARE);
  pose.forwardM = STRIDE_M * (stride + smooth(swing));
  pose.upM = 0.12 * (smooth(2 * swing) - smooth(2 * swing - 1));
  // Heel rises before toe off, toes are up at heel strike and come down after it.
  const heelRise = smooth((phase - 0.4) / 0.2) - smooth((swing - 0.05) / 0.5);
  const fromStrideBefore = stride === 0 ? 0 : 1 - smooth(phase / 0.1);
  const toesUp = phase > STANCE_SHARE ? smooth((swing - 0.5) / 0.4) : fromStrideBefore;
  pose.pitchRad = 1.1 * heelRise - 0.35 * toesUp;
}

function backPose(walkedS: number, pose: Pose): void {
  const step = (4 * Math.PI * walkedS) / STRIDE_S;
  const start = smooth(walkedS);
  pose.forwardM = (STRIDE_M / STRIDE_S) * walkedS + start * 0.02 * Math.sin(step);
  pose.upM = start * (0.025 * Math.cos(step) + 0.006 * Math.cos(2 * step + 0.5));
  pose.pitchRad = start * 0.05 * Math.sin(step + 0.4);
}

/** Seconds of the whole signal. */
export const SIGNAL_S = 3 * REST_S + 2 * WALK_S;

function poseAt(timeS: number, pose: Pose): void {
  const backStartS = 2 * REST_S + WALK_S;
  if (timeS < backStartS - REST_S / 2) footPose(Math.min(WALK_S, Math.max(0, timeS - REST_S)), pose);
  else backPose(Math.min(WALK_S, Math.max(0, timeS - backStartS)), pose);
}

/** 1 while walking, 0 at rest. */
function activityAt(timeS: number): number {
  const inRound = timeS % (REST_S + WALK_S);
  return smooth(inRound - REST_S) * (1 - smooth(inRound - REST_S - WALK_S + 1));
}

/** Everything that a column may be made of, at one moment. */
interface Moment {
  timeS: number;
  /** Specific force in the sensor, m/s2: x forward, y left, z up, turned nose down by the pitch. */
  readonly acc: Float64Array;
  readonly gyr: Float64Array;
  readonly mag: Float64Array;
}

/** One value of a column, by the beginning of its name. */
type Column = (moment: Moment) => number;

/** Readings, row by row, with the columns that are named `acc_x (m/s2)`, `gyr_y (rad/s)`, `mag_z (uT)` and the like. */
export function conformanceReadings(columns: readonly string[], rateHz: number, seed = 1): Float64Array {
  const random = seededRandom(seed);
  const count = Math.round(SIGNAL_S * rateHz);
  const makers = columns.map((column, i) => columnMaker(column, i));
  const noise = columns.map((column) =>
    column.startsWith('acc') ? 0.2 : column.startsWith('gyr') ? 0.02 : 0.04,
  );
  const moment = {
    timeS: 0,
    acc: new Float64Array(3),
    gyr: new Float64Array(3),
    mag: new Float64Array(3),
  };
  const readings = new Float64Array(count * columns.length);
  for (let i = 0; i < count; i++) {
    sense(i / rateHz, moment);
    for (let k = 0; k < columns.length; k++)
      readings[i * columns.length + k] = makers[k]!(moment) + noise[k]! * (random.next() - 0.5);
  }
  return readings;
}

function columnMaker(column: string, index: number): Column {
  const axis = 'xyz'.indexOf(column.charAt(4));
  if (column.startsWith('acc_')) return ({ acc }) => acc[axis]!;
  if (column.startsWith('gyr_')) return ({ gyr }) => gyr[axis]!;
  if (column.startsWith('mag_')) return ({ mag }) => mag[axis]!;
  // Whatever else an algorithm reads, something that moves.
  return ({ timeS }) => Math.sin(2 * Math.PI * timeS * (0.7 + 0.1 * index));
}

const before: Pose = { forwardM: 0, upM: 0, pitchRad: 0 };
const now: Pose = { forwardM: 0, upM: 0, pitchRad: 0 };
const after: Pose = { forwardM: 0, upM: 0, pitchRad: 0 };
/** Of the differences that velocity and acceleration are taken from. */
const STEP_S = 0.002;

function sense(timeS: number, moment: Moment): void {
  const { acc, gyr, mag } = moment;
  poseAt(timeS - STEP_S, before);
  poseAt(timeS, now);
  poseAt(timeS + STEP_S, after);
  const sine = Math.sin(now.pitchRad);
  const cosine = Math.cos(now.pitchRad);
  const forward = (after.forwardM - 2 * now.forwardM + before.forwardM) / STEP_S ** 2;
  const up = (after.upM - 2 * now.upM + before.upM) / STEP_S ** 2 + GRAVITY;
  const sway = 0.4 * activityAt(timeS);
  moment.timeS = timeS;
  acc[0] = cosine * forward - sine * up;
  acc[2] = sine * forward + cosine * up;
  gyr[0] = sway * Math.sin(3 * timeS);
  gyr[1] = (after.pitchRad - before.pitchRad) / (2 * STEP_S);
  gyr[2] = sway * Math.sin(3 * timeS + 2);
  mag[0] = cosine * FIELD_NORTH + sine * FIELD_DOWN;
  mag[2] = sine * FIELD_NORTH - cosine * FIELD_DOWN;
}
