/**
 * Owns the question whether the sensors of the legs are where the body model says: one on the other leg, one on another segment
 * of its leg. Asked once enough walking was seen, and told as notices; nothing is changed by itself. That all of one leg are on
 * the other is asked by side-check.ts. Bounded: LOOK_S seconds at BIN_HZ.
 *
 * What tells: legs swing in turn, so segments of one leg turn at the same moments; and the farther down a leg, the faster it
 * turns, since the angular velocity of a joint in swing adds to that of the segment above it (Winter 2009, figure 4.13).
 */

import type { BodyModel, Segment, Side } from '#motion/body-model.ts';
import type { MotionNotice } from '#motion/results.ts';

const BIN_HZ = 25;
const LOOK_S = 20;
const BINS = BIN_HZ * LOOK_S;
/** Walking: the legs turn faster than this in the mean over two seconds; slow walking is above 0.6 rad/s at the shank. */
const WALKING_RAD_S = 0.4;
/** Five strides and more. */
const LEAST_WALKING_S = 6;
/** Correlations below this say nothing of who swings when. */
const CLEAR = 0.3;
/** The lower segment turns as fast as the upper one with a stiff joint between them, and faster with any other. */
const MIXED_RATIO = 0.9;

const legLevels = ['thigh', 'shank', 'foot'] as const;
type Level = (typeof legLevels)[number];

interface Leg {
  readonly placement: number;
  readonly segment: Segment;
  readonly side: Side;
  readonly level: Level;
}

export interface PlacementCheck {
  /** A reading (acc, gyr in m/s2 and rad/s) of a placement, in order of time. */
  update(placement: number, timeUs: number, values: Float64Array, at: number): void;
  /** What was found since the last call. */
  takeNotices(): readonly MotionNotice[];
  readonly stateLength: number;
  save(into: Float64Array): void;
  load(from: Float64Array): void;
}

/** Per placement: sums of the present bin, rate of turn and count. */
const OWN = 2;

export function createPlacementCheck(model: BodyModel): PlacementCheck {
  const legs = model.placements.flatMap(({ segment }, placement): Leg[] => {
    const match = /^(left|right)-(thigh|shank|foot)$/.exec(segment);
    return match === null ? [] : [{ placement, segment, side: match[1] as Side, level: match[2] as Level }];
  });
  const count = model.placements.length;
  // Bin number, bins that are full, whether it is over; then what is per placement; then the bins.
  const state = new Float64Array(3 + count * OWN + count * BINS);
  const binsAt = (placement: number): number => 3 + count * OWN + placement * BINS;
  const isUseful = legs.length >= 2;
  let notices: MotionNotice[] = [];

  const reset = (): void => {
    state.fill(0);
    state[0] = Number.NaN;
  };
  reset();
  const closeBin = (timeUs: number): void => {
    const full = state[1]!;
    let isWhole = true;
    for (let p = 0; p < count; p++) {
      const at = 3 + p * OWN;
      const readings = state[at + 1]!;
      if (readings === 0 && legs.some(({ placement }) => placement === p)) isWhole = false;
      state[binsAt(p) + full] = state[at]! / Math.max(1, readings);
      state.fill(0, at, at + OWN);
    }
    if (!isWhole) return;
    state[1] = full + 1;
    if (state[1] < BINS) return;
    state[1] = 0;
    const found = judge(legs, (placement) => state.subarray(binsAt(placement), binsAt(placement) + BINS));
    if (found === null) return;
    state[2] = 1;
    notices.push(...found.map((notice) => ({ ...notice, timeUs })));
  };
  return {
    update(placement, timeUs, values, at) {
      if (!isUseful || state[2] === 1) return;
      const bin = Math.floor((timeUs * BIN_HZ) / 1e6);
      if (bin !== state[0]) {
        if (!Number.isNaN(state[0]!) && bin > state[0]!) closeBin(timeUs);
        state[0] = bin;
      }
      const own = 3 + placement * OWN;
      const [x, y, z] = [values[at + 3]!, values[at + 4]!, values[at + 5]!];
      const rate = Math.sqrt(x * x + y * y + z * z);
      if (!Number.isFinite(rate)) return;
      state[own] = state[own]! + rate;
      state[own + 1] = state[own + 1]! + 1;
    },
    takeNotices() {
      if (notices.length === 0) return notices;
      const taken = notices;
      notices = [];
      return taken;
    },
    stateLength: state.length,
    save: (into) => into.set(state),
    load: (from) => state.set(from),
  };
}

type Finding = Omit<MotionNotice, 'timeUs'>;

/** Null when there was not enough walking, so that the next stretch is looked at. */
function judge(legs: readonly Leg[], binsOf: (placement: number) => Float64Array): Finding[] | null {
  const walking = walkingBins(legs, binsOf);
  if (walking.length < LEAST_WALKING_S * BIN_HZ) return null;
  const during = (placement: number): Float64Array => walking.map((bin) => binsOf(placement)[bin]!);
  const rates = new Map(legs.map((leg) => [leg, mean(during(leg.placement))]));
  const swings = new Map(
    legs.map((leg) => [leg, during(leg.placement).map((rate) => rate / rates.get(leg)!)]),
  );
  const mixed = mixedLevels(legs, rates);
  if (mixed.length > 0) return mixed;
  return crossedLegs(legs, swings);
}

/** Bins within a second of which the legs turn as in walking. */
function walkingBins(legs: readonly Leg[], binsOf: (placement: number) => Float64Array): Float64Array {
  const all = new Float64Array(BINS);
  for (const { placement } of legs)
    for (let i = 0; i < BINS; i++) all[i] = all[i]! + binsOf(placement)[i]! / legs.length;
  const bins: number[] = [];
  for (let i = 0; i < BINS; i++)
    if (mean(all.subarray(Math.max(0, i - BIN_HZ), i + BIN_HZ + 1)) > WALKING_RAD_S) bins.push(i);
  return Float64Array.from(bins);
}

/** How far the left leg is ahead in swinging, by these sensors. Null when they are of one side. */
function leadOf(legs: readonly Leg[], swings: ReadonlyMap<Leg, Float64Array>): Float64Array | null {
  const sums = { left: 0, right: 0 };
  for (const { side } of legs) sums[side]++;
  if (sums.left === 0 || sums.right === 0) return null;
  const lead = new Float64Array(swings.get(legs[0]!)!.length);
  for (const leg of legs)
    for (let i = 0; i < lead.length; i++)
      lead[i] = lead[i]! + ((leg.side === 'left' ? 1 : -1) * swings.get(leg)![i]!) / sums[leg.side];
  return lead;
}

/** A segment that swings with the other leg. With one sensor a leg nobody can say which of the two is right. */
function crossedLegs(legs: readonly Leg[], swings: ReadonlyMap<Leg, Float64Array>): Finding[] {
  return legs.flatMap((leg): Finding[] => {
    const lead = leadOf(
      legs.filter((other) => other !== leg),
      swings,
    );
    if (lead === null || legs.length < 4) return [];
    const own = correlation(swings.get(leg)!, lead) * (leg.side === 'left' ? 1 : -1);
    if (!(own < -CLEAR)) return [];
    return [
      {
        code: 'other-leg',
        segment: leg.segment,
        text: `the sensor called ${words(leg.segment)} swings with the ${leg.side === 'left' ? 'right' : 'left'} leg: is it on that one?`,
      },
    ];
  });
}

function mixedLevels(legs: readonly Leg[], rates: ReadonlyMap<Leg, number>): Finding[] {
  return legs.flatMap((upper): Finding[] =>
    legs.flatMap((lower): Finding[] => {
      const isBelow =
        lower.side === upper.side && legLevels.indexOf(lower.level) > legLevels.indexOf(upper.level);
      if (!isBelow || rates.get(lower)! > MIXED_RATIO * rates.get(upper)!) return [];
      return [
        {
          code: 'mixed-segments',
          segment: lower.segment,
          text: `the sensor called ${words(lower.segment)} turns less than that called ${words(upper.segment)}: are they exchanged?`,
        },
      ];
    }),
  );
}

function words(segment: string): string {
  return segment.replace('-', ' ');
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

function correlation(a: Float64Array, b: Float64Array): number {
  const [middleA, middleB] = [mean(a), mean(b)];
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - middleA, b[i]! - middleB];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}
