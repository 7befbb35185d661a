/**
 * Owns the axis of a hinge between two segments as both sensors see it: from angular velocities and accelerations (Seel, Schauer and Raisch
 * 2012, doi:10.1109/CCA.2012.6402423; 2014, doi:10.3390/s140406891) weighted as by Olsson, Kok, Seel and Halvorsen (2020,
 * doi:10.3390/s20123534), or from orientations. Each has a quality and, when it is bad, a reason; at most MOST_SAMPLES moments are used.
 */

import { conjugate, multiply, twistAngle, type Values } from '#motion/quaternion.ts';

export interface HingeAxis {
  /** Unit vectors in the frames of the proximal and the distal sensor. */
  readonly proximal: Float64Array;
  readonly distal: Float64Array;
  /** Whether both point along the axis in the same sense: only the accelerometers tell, and not when the axis stays level. */
  readonly hasCommonSense: boolean;
  /** 0 useless to 1. */
  readonly quality: number;
  readonly reason: string | null;
}

/** Readings of both sensors at the same moments: acc x, y, z (m/s2) and gyr x, y, z (rad/s), six values a moment. */
export interface HingeReadings {
  readonly proximal: Values;
  readonly distal: Values;
}

/** Evenly chosen among the usable ones; more would tell the same again. */
const MOST_SAMPLES = 2000;
const LEAST_SAMPLES = 50;
/** Turning slower than this is noise beside it (Olsson 2020 selects by the energy of the angular velocity). */
const LEAST_TURNING_RAD_S = 0.3;
/** The accelerometers share a component along the axis as far as they measure gravity alone. */
const MOST_PUSH_M_S2 = 1;
/** Ratio of the weights of angular velocity (rad/s) and acceleration (m/s2): Olsson 2020, section 4.2. */
const WEIGHT_RATIO = 50;
const STEPS = 30;
const GRAVITY_M_S2 = 9.81;
/** Residual as a share of the joint's own angular velocity at which an axis is useless: as if it wandered by 20 degrees. */
const USELESS_RESIDUAL = 0.35;

/**
 * Fits both axes by Gauss-Newton on the sphere from several starts. The plain fit to angular velocities fails where soft
 * tissue wobbles, so residuals count by Huber's loss and the accelerometers join in where they feel gravity alone.
 */
export function fitHingeAxis({ proximal, distal }: HingeReadings): HingeAxis {
  const samples = chooseSamples(proximal, distal);
  if (samples.turning.length < LEAST_SAMPLES)
    return {
      proximal: Float64Array.of(0, 1, 0),
      distal: Float64Array.of(0, 1, 0),
      hasCommonSense: false,
      quality: 0,
      reason: 'the joint hardly moved',
    };
  const data = { proximal, distal, ...samples };
  let best = { cost: Infinity, axes: new Float64Array(6) };
  for (const [a, b] of startsOf(data)) {
    const axes = Float64Array.of(...a, ...b);
    const cost = descend(data, axes);
    if (cost < best.cost) best = { cost, axes };
  }
  return judged(data, best.axes);
}

interface Samples {
  /** Moments (rows) where the joint turns, and where both sensors feel gravity alone. */
  readonly turning: Int32Array;
  readonly resting: Int32Array;
}
type Data = HingeReadings & Samples;

function chooseSamples(proximal: Values, distal: Values): Samples {
  const turning: number[] = [];
  const resting: number[] = [];
  const count = Math.floor(Math.min(proximal.length, distal.length) / 6);
  for (let i = 0; i < count; i++) {
    const rate = Math.max(lengthAt(proximal, 6 * i + 3), lengthAt(distal, 6 * i + 3));
    const push = Math.max(
      Math.abs(lengthAt(proximal, 6 * i) - GRAVITY_M_S2),
      Math.abs(lengthAt(distal, 6 * i) - GRAVITY_M_S2),
    );
    if (rate > LEAST_TURNING_RAD_S) turning.push(i);
    if (push < MOST_PUSH_M_S2) resting.push(i);
  }
  return { turning: thinned(turning), resting: thinned(resting) };
}

function thinned(rows: readonly number[]): Int32Array {
  const step = Math.max(1, rows.length / MOST_SAMPLES);
  return Int32Array.from({ length: Math.floor(rows.length / step) }, (_, i) => rows[Math.floor(i * step)]!);
}

/** The axes that either sensor turns about most, and the two others, in all pairs of the first two. */
function startsOf(data: Data): [Float64Array, Float64Array][] {
  const first = turningAxes(data.proximal, data.turning);
  const second = turningAxes(data.distal, data.turning);
  const starts: [Float64Array, Float64Array][] = [];
  for (const a of first) for (const b of second) starts.push([a, b], [a, b.map((v) => -v)]);
  return starts;
}

/** Principal axes of the angular velocity, the strongest first. */
function turningAxes(values: Values, rows: Int32Array): Float64Array[] {
  const square = new Float64Array(9);
  for (const row of rows)
    for (let i = 0; i < 3; i++)
      for (let k = 0; k < 3; k++)
        square[3 * i + k] = square[3 * i + k]! + values[6 * row + 3 + i]! * values[6 * row + 3 + k]!;
  const first = strongestAxis(square);
  let energy = 0;
  for (let i = 0; i < 3; i++)
    for (let k = 0; k < 3; k++) energy += first[i]! * square[3 * i + k]! * first[k]!;
  const rest = square.map((v, at) => v - energy * first[Math.floor(at / 3)]! * first[at % 3]!);
  return [first, strongestAxis(rest)];
}

/** The eigenvector of the largest eigenvalue of a symmetric, non-negative 3 x 3 matrix, by repeated squaring. */
function strongestAxis(matrix: Float64Array): Float64Array {
  let power = matrix;
  for (let n = 0; n < 24; n++) {
    const next = new Float64Array(9);
    let scale = 0;
    for (let i = 0; i < 9; i++) scale = Math.max(scale, Math.abs(power[i]!));
    if (!(scale > 0)) return Float64Array.of(0, 1, 0);
    for (let i = 0; i < 3; i++)
      for (let k = 0; k < 3; k++)
        for (let j = 0; j < 3; j++)
          next[3 * i + k] = next[3 * i + k]! + (power[3 * i + j]! * power[3 * j + k]!) / (scale * scale);
    power = next;
  }
  const column = [0, 1, 2].reduce((best, i) => (power[4 * i]! > power[4 * best]! ? i : best), 0);
  const axis = Float64Array.of(power[column]!, power[3 + column]!, power[6 + column]!);
  normaliseAt(axis, 0);
  return axis;
}

/** One residual and its derivative by the six components of both axes. */
interface Residual {
  value: number;
  readonly by: Float64Array;
}

/** |w1 x j1| - |w2 x j2|: what is left across the axis is common to both segments. */
function turningResidual({ proximal, distal }: Data, axes: Values, row: number, out: Residual): void {
  out.value = acrossAxis(proximal, 6 * row + 3, { axes, at: 0, sign: 1 }, out.by);
  out.value -= acrossAxis(distal, 6 * row + 3, { axes, at: 3, sign: -1 }, out.by);
}

function acrossAxis(
  values: Values,
  at: number,
  of: { axes: Values; at: number; sign: number },
  by: Float64Array,
): number {
  const along =
    values[at]! * of.axes[of.at]! +
    values[at + 1]! * of.axes[of.at + 1]! +
    values[at + 2]! * of.axes[of.at + 2]!;
  const length = lengthAt(values, at);
  const across = Math.sqrt(Math.max(1e-12, length * length - along * along));
  for (let i = 0; i < 3; i++) by[of.at + i] = (-of.sign * along * values[at + i]!) / across;
  return across;
}

/** a1 j1 - a2 j2: gravity along the axis is common to both. */
function restingResidual({ proximal, distal }: Data, axes: Values, row: number, out: Residual): void {
  out.value = 0;
  for (let i = 0; i < 3; i++) {
    out.by[i] = proximal[6 * row + i]!;
    out.by[3 + i] = -distal[6 * row + i]!;
    out.value += out.by[i]! * axes[i]! + out.by[3 + i]! * axes[3 + i]!;
  }
}

/** Gauss-Newton with damping; steps along the axes themselves are held back. Returns the cost, and the axes in place. */
function descend(data: Data, axes: Float64Array): number {
  const weights = { turning: Math.sqrt(WEIGHT_RATIO), resting: 1 / Math.sqrt(WEIGHT_RATIO) };
  const residual: Residual = { value: 0, by: new Float64Array(6) };
  const normal = new Float64Array(42);
  let cost = Infinity;
  for (let step = 0; step < STEPS; step++) {
    normal.fill(0);
    let sum = 0;
    for (const row of data.turning) {
      turningResidual(data, axes, row, residual);
      sum += addResidual(normal, residual, weights.turning);
    }
    for (const row of data.resting) {
      restingResidual(data, axes, row, residual);
      sum += addResidual(normal, residual, weights.resting);
    }
    if (Math.abs(cost - sum) < 1e-9 * sum) return sum;
    cost = sum;
    for (const at of [0, 3]) holdLength(normal, axes, at);
    solve(normal);
    for (let i = 0; i < 6; i++) axes[i] = axes[i]! - normal[36 + i]!;
    normaliseAt(axes, 0);
    normaliseAt(axes, 3);
  }
  return cost;
}

/** Into the normal equations (6 x 6, then the right side), by Huber's loss with its bend at 1 (weighted). Returns the cost. */
function addResidual(normal: Float64Array, { value, by }: Residual, weight: number): number {
  const size = Math.abs(value * weight);
  const share = (size > 1 ? 1 / size : 1) * weight * weight;
  for (let i = 0; i < 6; i++) {
    for (let k = 0; k < 6; k++) normal[6 * i + k] = normal[6 * i + k]! + share * by[i]! * by[k]!;
    normal[36 + i] = normal[36 + i]! + share * by[i]! * value;
  }
  return size > 1 ? size - 0.5 : (size * size) / 2;
}

function holdLength(normal: Float64Array, axes: Values, at: number): void {
  let trace = 0;
  for (let i = 0; i < 6; i++) trace += normal[7 * i]!;
  for (let i = 0; i < 3; i++)
    for (let k = 0; k < 3; k++) {
      const index = 6 * (at + i) + at + k;
      normal[index] = normal[index]! + trace * axes[at + i]! * axes[at + k]! + (i === k ? 1e-9 * trace : 0);
    }
}

/** Gauss elimination with pivots, in place; the solution stands where the right side did. */
function solve(normal: Float64Array): void {
  for (let i = 0; i < 6; i++) {
    let pivot = i;
    for (let r = i + 1; r < 6; r++)
      if (Math.abs(normal[6 * r + i]!) > Math.abs(normal[6 * pivot + i]!)) pivot = r;
    for (let k = 0; k < 6; k++) swap(normal, 6 * i + k, 6 * pivot + k);
    swap(normal, 36 + i, 36 + pivot);
    const diagonal = normal[7 * i]!;
    for (let r = 0; r < 6; r++) {
      if (r === i || diagonal === 0) continue;
      const factor = normal[6 * r + i]! / diagonal;
      for (let k = i; k < 6; k++) normal[6 * r + k] = normal[6 * r + k]! - factor * normal[6 * i + k]!;
      normal[36 + r] = normal[36 + r]! - factor * normal[36 + i]!;
    }
  }
  for (let i = 0; i < 6; i++) normal[36 + i] = normal[7 * i] === 0 ? 0 : normal[36 + i]! / normal[7 * i]!;
}

function swap(values: Float64Array, a: number, b: number): void {
  const kept = values[a]!;
  values[a] = values[b]!;
  values[b] = kept;
}

function judged(data: Data, axes: Float64Array): HingeAxis {
  const residual: Residual = { value: 0, by: new Float64Array(6) };
  let squares = 0;
  let joint = 0;
  let jointReversed = 0;
  for (const row of data.turning) {
    turningResidual(data, axes, row, residual);
    squares += residual.value ** 2;
    let first = 0;
    let second = 0;
    for (let i = 0; i < 3; i++) {
      first += data.proximal[6 * row + 3 + i]! * axes[i]!;
      second += data.distal[6 * row + 3 + i]! * axes[3 + i]!;
    }
    joint += (second - first) ** 2;
    jointReversed += (second + first) ** 2;
  }
  let same = 0;
  let opposite = 0;
  let lengthwise = 0;
  for (const row of data.resting) {
    let first = 0;
    let second = 0;
    for (let i = 0; i < 3; i++) {
      first += data.proximal[6 * row + i]! * axes[i]!;
      second += data.distal[6 * row + i]! * axes[3 + i]!;
    }
    same += (first - second) ** 2;
    opposite += (first + second) ** 2;
    lengthwise += first ** 2 + second ** 2;
  }
  // At least 2 m/s2 of gravity along the axis, and one sense clearly better than the other.
  const isSteep = lengthwise > 2 * 4 * data.resting.length && data.resting.length > 0;
  const turning = Math.max(1e-12, Math.min(joint, jointReversed));
  const share = Math.sqrt(squares / turning) / USELESS_RESIDUAL;
  const quality = Math.max(0, 1 - share);
  return {
    proximal: axes.slice(0, 3),
    distal: axes.slice(3, 6),
    hasCommonSense: isSteep && same < 0.25 * opposite,
    quality,
    reason: quality < 0.5 ? 'the two segments do not move as by a hinge' : null,
  };
}

export interface OrientationHinge {
  /** Unit vector in the proximal sensor's frame; its sense is arbitrary. */
  readonly axis: Float64Array;
  /** Range of the turn about it, rad. */
  readonly rangeRad: number;
  readonly quality: number;
  readonly reason: string | null;
}

/** Turning by less than this says no axis: 10 degrees. */
const LEAST_RANGE_RAD = (10 * Math.PI) / 180;

/**
 * The axis of a hinge from the distal orientation in the proximal sensor's frame, four values a moment: all turns away from
 * one of them are about it.
 */
export function hingeOfOrientations(relative: Values): OrientationHinge {
  const turns = turnsFromFirst(relative);
  const square = new Float64Array(9);
  for (let at = 0; at < turns.length; at += 4)
    for (let i = 0; i < 3; i++)
      for (let k = 0; k < 3; k++)
        square[3 * i + k] = square[3 * i + k]! + turns[at + 1 + i]! * turns[at + 1 + k]!;
  const axis = strongestAxis(square);
  let least = Infinity;
  let most = -Infinity;
  let along = 0;
  for (let at = 0; at < turns.length; at += 4) {
    const angle = twistAngle(turns.subarray(at, at + 4), axis);
    least = Math.min(least, angle);
    most = Math.max(most, angle);
    along += (turns[at + 1]! * axis[0]! + turns[at + 2]! * axis[1]! + turns[at + 3]! * axis[2]!) ** 2;
  }
  const all = square[0]! + square[4]! + square[8]!;
  const rangeRad = Math.max(0, most - least);
  const quality = all > 0 ? Math.max(0, 1 - 2 * Math.sqrt(Math.max(0, 1 - along / all))) : 0;
  if (rangeRad < LEAST_RANGE_RAD) return { axis, rangeRad, quality: 0, reason: 'the joint hardly moved' };
  return { axis, rangeRad, quality, reason: quality < 0.5 ? 'it turned about other axes too' : null };
}

/** How far the joint turned about the axis since the first moment, rad, continued beyond half a turn. */
export function hingeAngles(relative: Values, axis: Values): Float64Array {
  const turns = turnsFromFirst(relative);
  const out = new Float64Array(turns.length / 4);
  for (let i = 0; i < out.length; i++) {
    const angle = twistAngle(turns.subarray(4 * i, 4 * i + 4), axis);
    const before = i === 0 ? 0 : out[i - 1]!;
    out[i] = angle - 2 * Math.PI * Math.round((angle - before) / (2 * Math.PI));
  }
  return out;
}

/** Each orientation after the first one's inverse, in the proximal frame. */
function turnsFromFirst(relative: Values): Float64Array {
  const inverse = new Float64Array(4);
  conjugate(relative.subarray(0, 4), inverse);
  const out = new Float64Array(relative.length);
  for (let at = 0; at < relative.length; at += 4)
    multiply(relative.subarray(at, at + 4), inverse, out.subarray(at, at + 4));
  return out;
}

function lengthAt(values: Values, at: number): number {
  return Math.sqrt(values[at]! ** 2 + values[at + 1]! ** 2 + values[at + 2]! ** 2);
}

function normaliseAt(values: Float64Array, at: number): void {
  const length = lengthAt(values, at);
  for (let i = 0; i < 3; i++) values[at + i] = values[at + i]! / length;
}
