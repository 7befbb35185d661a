/**
 * Owns where pelvis and feet of a synthetic walker are over one loop of strides, as smooth curves over the gait phase
 * (1 a stride, 0 at an initial contact of the left foot). A foot is placed, rolls without slipping, and is exactly at
 * rest while flat; the pelvis rides on the standing leg; the swinging foot follows hip and knee of normal gait and is
 * led to its next place. Knees and hips then follow from the two ends of each leg (walker-pose.ts).
 */

import { assert } from '#base/assert.ts';
import {
  footPitchDeg,
  kneeFlexionDeg,
  smoothStep,
  STANCE_FRACTION,
  thighFlexionDeg,
} from '#simulator/gait-curves.ts';
import { createPeriodicSpline, type PeriodicSpline } from '#simulator/periodic-spline.ts';
import { ankleOverGround, kneeFor, legLength, thighFor, type WalkerBody } from '#simulator/walker-body.ts';
import { hipOffset, pelvisMotion } from '#simulator/walker-pelvis.ts';

/** Control points a stride: their smoothing is then about 6 ms wide at 110 steps a minute, a soft shoe's impact. */
const POINTS_PER_STRIDE = 128;

/** Channels of the trajectory's spline: ankles and pelvis. x is relative to uniform motion at the mean speed. */
export const channel = {
  leftX: 0,
  leftZ: 1,
  leftPitch: 2,
  rightX: 3,
  rightZ: 4,
  rightPitch: 5,
  pelvisZ: 6,
} as const;
export const CHANNELS = 7;

export interface SideTiming {
  /** Gait phase of the side's initial contact. */
  readonly contactPhase: number;
  /** Part of the stride that the foot is on the ground. */
  readonly stanceFraction: number;
}

export interface WalkerGeometry {
  readonly body: WalkerBody;
  readonly strides: number;
  readonly strideLengthM: number;
  readonly left: SideTiming;
  readonly right: SideTiming;
  /** Nominal to actual distance walked: a slow stretching that makes strides of different length. */
  readonly distanceAt: (nominalM: number) => number;
}

const DEG = Math.PI / 180;

/** The side's own phase, warped so that its final contact is at STANCE_FRACTION. Smooth, and 0 and 1 stay. */
export function nominalPhase(timing: SideTiming, phase: number): number {
  const p = phase - timing.contactPhase - Math.floor(phase - timing.contactPhase);
  const excess = STANCE_FRACTION - timing.stanceFraction;
  const bump = Math.sin(Math.PI * p) / Math.sin(Math.PI * timing.stanceFraction);
  return p + excess * bump * bump;
}

/** The spline's parameter of a gait phase. */
export function parameterOf(phase: number): number {
  return phase * POINTS_PER_STRIDE;
}

/**
 * The curves of all channels over the loop, as a function of how much lower the pelvis is held than the height that
 * normal knees would give.
 */
export function createTrajectories(geometry: WalkerGeometry): (lowerM: number) => PeriodicSpline {
  const walk: Walk = { geometry, ratio: stepRatio(geometry), placedAheadM: balancedReach(geometry) };
  const points = geometry.strides * POINTS_PER_STRIDE;
  const heights = pelvisHeights(walk, points);
  return (lowerM) => {
    const pelvisZ = (phase: number): number => interpolated(heights, parameterOf(phase)) - lowerM;
    const control = new Float64Array(points * CHANNELS);
    for (const side of ['left', 'right'] as const) {
      const footAt = footPath(walk, side, pelvisZ);
      for (let i = 0; i < points; i++) {
        const phase = i / POINTS_PER_STRIDE;
        const foot = footAt(phase);
        const first = i * CHANNELS + channel[`${side}X`];
        control[first] = foot.x - phase * geometry.strideLengthM;
        control[first + 1] = foot.z;
        control[first + 2] = foot.pitchRad;
        control[i * CHANNELS + channel.pelvisZ] = pelvisZ(phase);
      }
    }
    return createPeriodicSpline(control, CHANNELS);
  };
}

/** Step length of the leg's at which the landmarks of gait-curves.ts hold: 1.35 m strides at 1.75 m height. */
const NATURAL_STEP_OF_LEG = 0.785;

interface Walk {
  readonly geometry: WalkerGeometry;
  /** How much longer than natural the steps are; angles grow with it. */
  readonly ratio: number;
  /** Where the ankle of the flat foot will be, ahead of the pelvis at initial contact. */
  readonly placedAheadM: number;
}

interface FootPoint {
  /** The ankle. */
  readonly x: number;
  readonly z: number;
  readonly pitchRad: number;
}

function stepRatio({ body, strideLengthM }: WalkerGeometry): number {
  return strideLengthM / 2 / ((body.thighM + body.shankM) * NATURAL_STEP_OF_LEG);
}

/** Knee and foot move less in short steps, but more than in proportion: the foot must still clear the ground. */
function damped(ratio: number): number {
  return Math.min(1.1, 0.4 + 0.6 * ratio);
}

function pitchOf(ratio: number, q: number): number {
  return footPitchDeg(q) * DEG * damped(ratio);
}

/**
 * How far ahead a foot is placed so that leading and trailing leg carry the pelvis at the same height at initial
 * contact: else one of them would be over-stretched there.
 */
function balancedReach(geometry: WalkerGeometry): number {
  const { body, strideLengthM } = geometry;
  const ratio = stepRatio(geometry);
  const pelvis = pelvisMotion(geometry, 0);
  const carried = (placedM: number, q: number): number => {
    const over = ankleOverGround(body, pitchOf(ratio, q));
    const hip = hipOffset(body, pelvis, q === 0 ? 1 : -1);
    const dx = placedM + over.forwardM - pelvis.aheadM - hip.x;
    const leg = legLength(body, kneeFlexionDeg(q) * DEG);
    return over.heightM + Math.sqrt(Math.max(0, leg * leg - dx * dx)) - hip.z;
  };
  let low = 0.3 * strideLengthM * 0.5;
  let high = 0.7 * strideLengthM * 0.5;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    // Placed further ahead, the leading leg carries lower and the trailing one higher.
    if (carried(middle, 0) > carried(middle - strideLengthM / 2, 0.5)) low = middle;
    else high = middle;
  }
  return low;
}

/** The number of the stride that the side is in, from its initial contact on. */
function strideOf(timing: SideTiming, phase: number): number {
  return Math.floor(phase - timing.contactPhase);
}

/** The ankle of a foot that rolls on the ground where it was placed in its stride. */
function rollingFoot(walk: Walk, timing: SideTiming, at: { stride: number; pitchRad: number }): FootPoint {
  const { geometry, placedAheadM } = walk;
  const over = ankleOverGround(geometry.body, at.pitchRad);
  const contactM = geometry.distanceAt((at.stride + timing.contactPhase) * geometry.strideLengthM);
  return { x: contactM + placedAheadM + over.forwardM, z: over.heightM, pitchRad: at.pitchRad };
}

/** How much the pelvis rides on a leg at its phase: fully in single support, handed over while both feet are down. */
function supportWeight(q: number): number {
  return smoothStep(q, 0, 0.07) - smoothStep(q, 0.48, 0.57);
}

/** Standard deviation, in strides, of the smoothing of the pelvis' height: the trunk's mass allows no jerk. */
const PELVIS_SMOOTHING = 0.022;

/** A supporting leg is never straighter: nearer to straight, its knee would jump with every millimetre. */
const LEAST_KNEE_DEG = 4;

/** How often the pelvis is lowered where a leg is over-stretched, and by how much too much it may stay. */
const MOST_ROUNDS = 60;
const TOLERATED_M = 0.0003;

/**
 * Height of the middle between the hips so that the knee of each supporting leg is bent as normal, smoothed; and lower
 * around the moments where a leg would else not reach its foot, as in the double support of long steps.
 */
function pelvisHeights(walk: Walk, points: number): Float64Array {
  const raw = new Float64Array(points);
  const highest = new Float64Array(points);
  for (let i = 0; i < points; i++) {
    const supports = (['left', 'right'] as const).map((side) => supportOf(walk, side, i / POINTS_PER_STRIDE));
    let height = 0;
    let weights = 0;
    for (const support of supports) {
      height += support.weight * support.normalM;
      weights += support.weight;
    }
    raw[i] = height / weights;
    highest[i] = Math.min(...supports.map((support) => support.highestM));
  }
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const heights = smoothed(raw, PELVIS_SMOOTHING * POINTS_PER_STRIDE);
    const excess = heights.map((height, i) => Math.max(0, height - highest[i]!));
    if (excess.every((tooHigh) => tooHigh < TOLERATED_M)) return heights;
    const spread = smoothed(excess, PELVIS_SMOOTHING * POINTS_PER_STRIDE);
    for (let i = 0; i < points; i++) raw[i] = raw[i]! - 2 * spread[i]!;
  }
  assert(false, 'the steps are too long for the legs');
}

interface Support {
  readonly weight: number;
  /** Height of the pelvis with the knee bent as normal, and with the knee as straight as it may be. */
  readonly normalM: number;
  readonly highestM: number;
}

function supportOf(walk: Walk, side: 'left' | 'right', phase: number): Support {
  const { geometry, ratio } = walk;
  const { body } = geometry;
  const timing = geometry[side];
  const q = nominalPhase(timing, phase);
  if (q > STANCE_FRACTION) return { weight: 0, normalM: 0, highestM: Number.POSITIVE_INFINITY };
  const foot = rollingFoot(walk, timing, { stride: strideOf(timing, phase), pitchRad: pitchOf(ratio, q) });
  const hip = hipAt(geometry, side, { phase, pelvisZ: 0 });
  const dx = foot.x - hip.x;
  const heightWith = (kneeDeg: number): number => {
    const leg = legLength(body, kneeDeg * DEG);
    const square = leg * leg - dx * dx - hip.outM * hip.outM;
    assert(square > 0, 'the steps are too long for the legs');
    return foot.z + Math.sqrt(square) - hip.z;
  };
  return {
    weight: supportWeight(q),
    normalM: heightWith(kneeFlexionDeg(q)),
    highestM: heightWith(LEAST_KNEE_DEG),
  };
}

/** The hip joint in the world, and how far to the side of its foot's line it is. */
function hipAt(
  geometry: WalkerGeometry,
  side: 'left' | 'right',
  at: { phase: number; pelvisZ: number },
): { x: number; z: number; outM: number } {
  const { body, strideLengthM, distanceAt } = geometry;
  const sign = side === 'left' ? 1 : -1;
  const pelvis = pelvisMotion(geometry, at.phase);
  const offset = hipOffset(body, pelvis, sign);
  return {
    x: distanceAt(at.phase * strideLengthM + pelvis.aheadM) + offset.x,
    z: at.pelvisZ + offset.z,
    outM: pelvis.leftM + offset.y - (sign * body.stepWidthM) / 2,
  };
}

/** Where the side's foot is at a phase. Ask in the order of time: what belongs to a stride is found once. */
function footPath(
  walk: Walk,
  side: 'left' | 'right',
  pelvisZ: (phase: number) => number,
): (phase: number) => FootPoint {
  const { geometry, ratio } = walk;
  const { body } = geometry;
  const timing = geometry[side];
  let stride = Number.NaN;
  let ends: SwingEnds;
  return (phase) => {
    const q = nominalPhase(timing, phase);
    const pitchRad = pitchOf(ratio, q);
    const strideNow = strideOf(timing, phase);
    if (q <= STANCE_FRACTION) return rollingFoot(walk, timing, { stride: strideNow, pitchRad });
    if (strideNow !== stride) {
      stride = strideNow;
      ends = swingEnds(walk, side, { stride, pelvisZ });
    }
    const swing = (phase - ends.leavePhase) / (ends.arrivePhase - ends.leavePhase);
    const leave = 1 - smoothStep(swing, 0, 0.85);
    const drift = (phase - ends.leavePhase) * (1 - smoothStep(swing, 0, 0.45));
    const arrive = smoothStep(swing, 0.15, 1);
    const corrected = (normal: number, joint: 'thigh' | 'knee'): number =>
      normal + leave * ends.leaving[joint] + drift * ends.rate[joint] + arrive * ends.arriving[joint];
    const normal = normalLeg(ratio, q);
    const thigh = corrected(normal.thigh, 'thigh');
    const knee = corrected(normal.knee, 'knee');
    const hip = hipAt(geometry, side, { phase, pelvisZ: pelvisZ(phase) });
    const down = body.thighM * Math.cos(thigh) + body.shankM * Math.cos(thigh - knee);
    return {
      x: hip.x + body.thighM * Math.sin(thigh) + body.shankM * Math.sin(thigh - knee),
      z: hip.z - Math.sqrt(down * down - hip.outM * hip.outM),
      pitchRad,
    };
  };
}

interface LegPosture {
  readonly thigh: number;
  readonly knee: number;
}

/** How the leg differs from normal where its swing begins and ends; it fades out towards the middle of the swing. */
interface SwingEnds {
  readonly leavePhase: number;
  readonly arrivePhase: number;
  readonly leaving: LegPosture;
  /** Change of `leaving` per stride. */
  readonly rate: LegPosture;
  readonly arriving: LegPosture;
}

/** How far before final contact to look for the speed of leaving, in strides. */
const LOOK = 0.004;

function swingEnds(
  walk: Walk,
  side: 'left' | 'right',
  { stride, pelvisZ }: { stride: number; pelvisZ: (phase: number) => number },
): SwingEnds {
  const timing = walk.geometry[side];
  const { contactPhase, stanceFraction } = timing;
  const leavePhase = stride + contactPhase + stanceFraction;
  const arrivePhase = stride + 1 + contactPhase;
  const at = (phase: number, q: number, ofStride: number): LegPosture =>
    deviation(walk, side, { phase, q, stride: ofStride, pelvisZ: pelvisZ(phase) });
  const before = at(leavePhase - LOOK, nominalPhase(timing, leavePhase - LOOK), stride);
  const leaving = at(leavePhase, STANCE_FRACTION, stride);
  return {
    leavePhase,
    arrivePhase,
    leaving,
    rate: { thigh: (leaving.thigh - before.thigh) / LOOK, knee: (leaving.knee - before.knee) / LOOK },
    arriving: at(arrivePhase, 0, stride + 1),
  };
}

function normalLeg(ratio: number, q: number): LegPosture {
  return { thigh: thighFlexionDeg(q) * DEG * damped(ratio), knee: kneeFlexionDeg(q) * DEG * damped(ratio) };
}

/** Thigh and knee that put the foot where it stands, less those of normal gait. `q` is the nominal phase. */
function deviation(
  walk: Walk,
  side: 'left' | 'right',
  at: { phase: number; q: number; stride: number; pelvisZ: number },
): LegPosture {
  const { geometry, ratio } = walk;
  const { body } = geometry;
  const foot = rollingFoot(walk, geometry[side], { stride: at.stride, pitchRad: pitchOf(ratio, at.q) });
  const hip = hipAt(geometry, side, at);
  const ankle = { forwardM: foot.x - hip.x, downM: Math.hypot(foot.z - hip.z, hip.outM) };
  const knee = kneeFor(body, ankle.forwardM, ankle.downM);
  const normal = normalLeg(ratio, at.q);
  return { thigh: thighFor(body, ankle, knee) - normal.thigh, knee: knee - normal.knee };
}

/** Circular linear interpolation. */
function interpolated(values: Float64Array, at: number): number {
  const { length } = values;
  const whole = Math.floor(at);
  const i = ((whole % length) + length) % length;
  const part = at - whole;
  return values[i]! * (1 - part) + values[(i + 1) % length]! * part;
}

/** Circular convolution with a Gaussian of the given standard deviation, in points. */
function smoothed(values: Float64Array, sigma: number): Float64Array {
  const reach = Math.ceil(4 * sigma);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - reach) / sigma) * ((i - reach) / sigma)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const { length } = values;
  return Float64Array.from(values, (_, i) => {
    let sum = 0;
    for (let k = -reach; k <= reach; k++) sum += weights[k + reach]! * values[(i + k + length) % length]!;
    return sum / total;
  });
}
