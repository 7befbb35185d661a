/**
 * Owns what one stride of the lower back tells, between the initial contacts that bound and halve it: where ahead is, which
 * foot stands, how long the steps are, how much the person turned. Every answer takes a stride as periodic, so that
 * offsets and drift of the sensor fall out by themselves.
 */

import { GRAVITY_M_S2, GRID_HZ, type LumbarGrid } from '#motion/gait/lumbar-grid.ts';

/**
 * The body rolls over the standing foot as over an arc whose radius is 0.3 of the leg (Hansen, Childress and Knox 2004,
 * doi:10.1016/j.clinbiomech.2003.12.005; Adamczyk, Collins and Kuo 2006, doi:10.1242/jeb.02455): the pendulum's pivot goes
 * ahead with it. A step is then 1 / sqrt(1 - 0.3) = 1.195 times as long as that of an inverted pendulum on a point, which is
 * what Zijlstra and Hof 2003 (1.25) and Mobilise-D (1.18, Soltani 2021) found by fitting.
 */
export const ROLL_OVER = 0.3;
/** Both feet are on the ground for so much of a step at an adult's own pace (Perry and Burnfield 2010: 10 to 12 % of the stride). */
const DOUBLE_SUPPORT_OF_STEP = 0.22;
/** Hip above the ground, of the standing height (Drillis and Contini 1966, in Winter 2009). */
export const LEG_OF_HEIGHT = 0.53;

/**
 * Amplitude of the step's frequency in an acceleration that falls straight from +1 to -1 in single support and rises straight back
 * in double support (first Fourier coefficient of a skewed triangle).
 */
const TRIANGLE =
  (2 * Math.sin(Math.PI * DOUBLE_SUPPORT_OF_STEP)) /
  (Math.PI * Math.PI * DOUBLE_SUPPORT_OF_STEP * (1 - DOUBLE_SUPPORT_OF_STEP));

export interface StrideFeatures {
  /** Highest less lowest point of the path in the first and in the second step, m. */
  riseFirstM: number;
  riseSecondM: number;
  /** Amplitude of the acceleration ahead at the step's frequency, m/s2. */
  aheadMS2: number;
  /** To the left positive. */
  turnDeg: number;
  /** Where ahead is by this stride, weighted with its strength, along the horizontal axes. */
  ahead1: number;
  ahead2: number;
}

export interface StrideReader {
  readonly features: StrideFeatures;
  /** From the contacts `from` < `middle` < `to`, in values of the grid; `forward` is the angle from horizontal axis 1. */
  read(grid: LumbarGrid, contacts: Float64Array, forward: number): void;
}

/** Longest stride that is looked at: two of the longest steps. */
const MOST = 3 * GRID_HZ;

export function createStrideReader(): StrideReader {
  const speed = new Float64Array(MOST + 1);
  const path = new Float64Array(MOST + 1);
  const features: StrideFeatures = {
    riseFirstM: 0,
    riseSecondM: 0,
    aheadMS2: 0,
    turnDeg: 0,
    ahead1: 0,
    ahead2: 0,
  };
  return {
    features,
    read(grid, contacts, forward) {
      const from = Math.round(contacts[0]!);
      const half = Math.round(contacts[1]!) - from;
      const count = Math.min(MOST, Math.round(contacts[2]!) - from);
      integrate(grid.vertical, from, { count, speed, path });
      features.riseFirstM = rangeOf(path, 0, half);
      features.riseSecondM = rangeOf(path, half, count);
      readHorizontal(grid, { from, count, speed, forward }, features);
    },
  };
}

/** Speed and path along the vertical over one stride that ends at the height and speed with which it began. */
function integrate(
  acc: Float64Array,
  from: number,
  into: { count: number; speed: Float64Array; path: Float64Array },
): void {
  const { count, speed, path } = into;
  const mask = acc.length - 1;
  let mean = 0;
  for (let i = 0; i < count; i++) mean += acc[(from + i) & mask]!;
  mean /= count;
  let v = 0;
  let meanSpeed = 0;
  for (let i = 0; i < count; i++) {
    // Half of the step before and half of the one after belong to the value in the middle.
    const a = (acc[(from + i) & mask]! - mean) / GRID_HZ;
    v += a;
    speed[i] = v - a / 2;
    meanSpeed += speed[i]!;
  }
  meanSpeed /= count;
  let z = 0;
  for (let i = 0; i < count; i++) {
    speed[i] = speed[i]! - meanSpeed;
    z += speed[i]! / GRID_HZ;
    path[i] = z;
  }
}

function rangeOf(values: Float64Array, from: number, to: number): number {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = from; i < to; i++) {
    if (values[i]! < low) low = values[i]!;
    if (values[i]! > high) high = values[i]!;
  }
  return Math.max(0, high - low);
}

function readHorizontal(
  grid: LumbarGrid,
  stride: { from: number; count: number; speed: Float64Array; forward: number },
  into: StrideFeatures,
): void {
  const { from, count, speed, forward } = stride;
  const mask = grid.yaw.length - 1;
  const turn = (4 * Math.PI) / count;
  const stepCos = Math.cos(turn);
  const stepSin = Math.sin(turn);
  const [along1, along2] = [Math.cos(forward), Math.sin(forward)];
  let cos = 1;
  let sin = 0;
  let real = 0;
  let imaginary = 0;
  let yaw = 0;
  into.ahead1 = 0;
  into.ahead2 = 0;
  for (let i = 0; i < count; i++) {
    const place = (from + i) & mask;
    const h1 = grid.horizontal1[place]!;
    const h2 = grid.horizontal2[place]!;
    // What the body loses in height it gains in speed: ahead is where it accelerates while it sinks (Cavagna 1977).
    into.ahead1 -= h1 * speed[i]!;
    into.ahead2 -= h2 * speed[i]!;
    const ahead = h1 * along1 + h2 * along2;
    real += ahead * cos;
    imaginary += ahead * sin;
    yaw += grid.yaw[place]!;
    const next = cos * stepCos - sin * stepSin;
    sin = sin * stepCos + cos * stepSin;
    cos = next;
  }
  into.aheadMS2 = (2 / count) * Math.sqrt(real * real + imaginary * imaginary);
  into.turnDeg = ((yaw / GRID_HZ) * 180) / Math.PI;
}

/**
 * Length of the stride, m: the lesser of what two inverted pendulums say, for whatever else the body does (turning on the spot,
 * bending a knee, leaning) adds to one of the movements and takes from none. Up and down, a step that lifts the
 * body by h is 2 sqrt((2 l h - h2) / (1 - 0.3)) long (Zijlstra and Hof 2003, doi:10.1016/S0966-6362(02)00190-X, with the
 * arc of the foot). Ahead, the body accelerates by g (1 - 0.3) / l for every metre that it is ahead of its foot.
 */
export function strideLengthM(features: StrideFeatures, legM: number): number {
  const { riseFirstM, riseSecondM, aheadMS2 } = features;
  const rising = pendulumM(riseFirstM, legM) + pendulumM(riseSecondM, legM);
  const swung = (2 * aheadMS2 * legM) / (GRAVITY_M_S2 * (1 - ROLL_OVER) * TRIANGLE * SWING_SHARE);
  return Math.min(rising, swung);
}

/** Half the step, of which single support is the part: how far ahead of its foot the body is at its end, of the step. */
const SWING_SHARE = (1 - DOUBLE_SUPPORT_OF_STEP) / 2;

/** Step of an inverted pendulum that rises by `riseM`. */
export function pendulumM(riseM: number, legM: number): number {
  return 2 * Math.sqrt(Math.max(0, 2 * legM * riseM - riseM * riseM) / (1 - ROLL_OVER));
}

/** Mean acceleration to the left from contact `from` to contact `to`, m/s2. */
export function meanToTheLeft(grid: LumbarGrid, from: number, to: number, forward: number): number {
  const [along1, along2] = [-Math.sin(forward), Math.cos(forward)];
  const first = Math.round(from);
  const mask = grid.yaw.length - 1;
  const count = Math.max(1, Math.min(MOST, Math.round(to) - first));
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const place = (first + i) & mask;
    sum += grid.horizontal1[place]! * along1 + grid.horizontal2[place]! * along2;
  }
  return sum / count;
}
