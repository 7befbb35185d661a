/**
 * Owns the newest accelerations of the trunk along the vertical, so that the regularity of a stretch of steady strides can be
 * told when the strides are known. Bounded to KEPT_S of them; a stretch that is older, or has a hole, tells nothing.
 */

import type { Side } from '#motion/body-model.ts';
import type { Stride } from '#motion/results.ts';
import {
  MIN_REGULARITY_STRIDES,
  trunkRegularity,
  type TrunkRegularity,
} from '#motion/symmetry/trunk-regularity.ts';

/** A stretch of slow strides, and how late strides are told. */
const KEPT_S = 45;
/** Strides of the foot that began it, after which a stretch is told and the next begins: about 10 m, as in the paper. */
const STRETCH_STRIDES = 8;
/** Steps are below 4 Hz and their harmonics below 20 Hz: readings are put together by mean down to this rate at least. */
const KEPT_RATE_HZ = 50;
/** The vertical is the mean direction of the acceleration over this time. */
const VERTICAL_S = 2;
/** Strides of one foot that follow each other share a contact, up to rounding. */
const JOINT_US = 50_000;
/** A value is missing when it is later than so many periods. */
const HOLE_PERIODS = 2.5;

export interface RegularStretch extends TrunkRegularity {
  readonly strides: number;
}

export interface TrunkWindow {
  /** An acceleration in m/s2 at `values[at .. at + 3)`; one that is not finite is left out. */
  take(timeUs: number, values: Float64Array, at: number): void;
  /** The next stride, of either foot, in order of ends. The regularity of the stretch that it ends, or null. */
  stride(stride: Stride, isSteady: boolean): RegularStretch | null;
  save(): Float64Array;
  load(from: Float64Array): void;
}

/** Mean direction and the values that are being put together. */
const GRAVITY = 0;
const SUM = 3;
const SUMMED = 4;
/** Where the next value goes, and how many there are. */
const NEXT = 5;
const KEPT = 6;
/** The stretch: first and last time, strides, side (0 none, 1 left, 2 right). */
const FROM_US = 7;
const UNTIL_US = 8;
const STRIDES = 9;
const SIDE = 10;
const RING = 11;

export function createTrunkWindow(rateHz: number): TrunkWindow {
  const group = Math.max(1, Math.floor(rateHz / KEPT_RATE_HZ));
  const keptHz = rateHz / group;
  const length = Math.ceil(KEPT_S * keptHz);
  const timesAt = RING + length;
  const state = new Float64Array(RING + 2 * length);
  const share = 1 / (VERTICAL_S * rateHz);

  /** The values from the first to the last time, oldest first; null with a hole, or when they are no longer there. */
  const between = (fromUs: number, untilUs: number): Float64Array | null => {
    const count = state[KEPT]!;
    const found = new Float64Array(count);
    const longestUs = (HOLE_PERIODS * 1e6) / keptHz;
    let size = 0;
    let lastUs = fromUs;
    for (let i = 0; i < count; i++) {
      const place = (state[NEXT]! - count + i + length) % length;
      const timeUs = state[timesAt + place]!;
      if (timeUs < fromUs || timeUs > untilUs) continue;
      if (timeUs - lastUs > longestUs) return null;
      lastUs = timeUs;
      found[size++] = state[RING + place]!;
    }
    return untilUs - lastUs > longestUs ? null : found.subarray(0, size);
  };

  const tell = (): RegularStretch | null => {
    const strides = state[STRIDES]!;
    state[STRIDES] = 0;
    state[SIDE] = 0;
    if (strides < MIN_REGULARITY_STRIDES) return null;
    const values = between(state[FROM_US]!, state[UNTIL_US]!);
    if (values === null) return null;
    const strideTimeS = (state[UNTIL_US]! - state[FROM_US]!) / strides / 1e6;
    const found = trunkRegularity(values, keptHz, strideTimeS);
    return found === null ? null : { ...found, strides };
  };

  return {
    take(timeUs, values, at) {
      const x = values[at]!;
      const y = values[at + 1]!;
      const z = values[at + 2]!;
      if (!Number.isFinite(x + y + z)) return;
      const isFirst = state[GRAVITY] === 0 && state[GRAVITY + 1] === 0 && state[GRAVITY + 2] === 0;
      const weight = isFirst ? 1 : share;
      state[GRAVITY] = state[GRAVITY]! + weight * (x - state[GRAVITY]!);
      state[GRAVITY + 1] = state[GRAVITY + 1]! + weight * (y - state[GRAVITY + 1]!);
      state[GRAVITY + 2] = state[GRAVITY + 2]! + weight * (z - state[GRAVITY + 2]!);
      const gx = state[GRAVITY];
      const gy = state[GRAVITY + 1]!;
      const gz = state[GRAVITY + 2]!;
      const size = Math.sqrt(gx * gx + gy * gy + gz * gz);
      if (size > 0) state[SUM] = state[SUM]! + (x * gx + y * gy + z * gz) / size;
      state[SUMMED] = state[SUMMED]! + 1;
      if (state[SUMMED] < group) return;
      const next = state[NEXT]!;
      state[RING + next] = state[SUM]! / group;
      state[timesAt + next] = timeUs;
      state[NEXT] = (next + 1) % length;
      state[KEPT] = Math.min(length, state[KEPT]! + 1);
      state[SUM] = 0;
      state[SUMMED] = 0;
    },
    stride({ side, startUs, endUs }, isSteady) {
      const isOther = state[SIDE] !== 0 && state[SIDE] !== sideNumber(side);
      // A turn or a stair of either foot ends the stretch; its strides are counted by one foot.
      if (isOther && isSteady) return null;
      const follows = state[SIDE] !== 0 && Math.abs(startUs - state[UNTIL_US]!) <= JOINT_US;
      const told = isSteady && follows ? null : tell();
      if (!isSteady) return told;
      if (state[SIDE] === 0) {
        state[SIDE] = sideNumber(side);
        state[FROM_US] = startUs;
      }
      state[UNTIL_US] = endUs;
      state[STRIDES] = state[STRIDES]! + 1;
      return state[STRIDES] < STRETCH_STRIDES ? told : tell();
    },
    save: () => state.slice(),
    load: (from) => state.set(from),
  };
}

function sideNumber(side: Side): number {
  return side === 'left' ? 1 : 2;
}
