/**
 * Owns the way from readings of a sensor at the lower back, of any rate and mounting, to channels at 100 Hz that mean the same
 * for everyone: acceleration along the vertical, along two horizontal axes that turn with the sensor, and the rate of
 * turning about the vertical. The vertical is the low-passed specific force, carried along by the gyroscope. All
 * state is in the one array that it is given.
 */

/** Of all that follows: an impact at the heel lasts about 30 ms at the pelvis. */
export const GRID_HZ = 100;
/** A power of two: 10.24 s, more than the look-ahead (1.15 s), the longest stride (3 s) and the wait for its next step. */
export const RING = 1024;

/** Standard gravity, m/s2; the sensor's own scale error is a matter of a per cent and is taken out stride by stride. */
export const GRAVITY_M_S2 = 9.80665;

/**
 * Time constant of the accelerometer's say on the vertical: VQF's tau_acc (Laidig and Seel 2023, doi:10.1016/j.inffus.2022.10.014),
 * found there for many kinds of motion. Steps, at 1 to 2 Hz, come through to less than half a degree.
 */
const VERTICAL_TIME_S = 3;
/** Missing readings are bridged by the last ones for so long; then the channels are those of standing still. */
const BRIDGED_S = 0.1;
/** The horizontal axes follow from one axis of the sensor; when that comes so near to the vertical, another one is taken. */
const AXIS_TOO_STEEP = 0.95;
/** Readings averaged into one of the grid at most (1600 Hz). */
const MOST_AVERAGED = 16;

export const gridChannels = ['vertical', 'horizontal1', 'horizontal2', 'yaw'] as const;
const CHANNELS = gridChannels.length;

/** Places in the state. */
const at = {
  readings: 0,
  v: 1,
  good: 4,
  missing: 10,
  axis: 11,
  head: 12,
  previous: 13,
  previousTime: 17,
  recent: 18,
} as const;
export const GRID_STATE = 18 + MOST_AVERAGED * CHANNELS;

export interface LumbarGrid {
  readonly vertical: Float64Array;
  readonly horizontal1: Float64Array;
  readonly horizontal2: Float64Array;
  readonly yaw: Float64Array;
  /** Takes a reading (acc m/s2, gyr rad/s) and returns how many values each ring has since the beginning. */
  push(input: Float64Array, from: number): number;
  /** The forward direction given in the sensor's frame, as angle from horizontal axis 1 towards 2. */
  angleOf(x: number, y: number, z: number): number;
  /** The other way round: writes the direction in the sensor's frame that is so much along horizontal axis 1 and 2. */
  directionOf(along1: number, along2: number, into: Float64Array): void;
}

/**
 * With `axis` (0 to 2), horizontal axis 1 always follows from that axis of the sensor. `state` has GRID_STATE values; `rings` has one ring after the other, all of the same length, a power
 * of two.
 */
export function createLumbarGrid(
  { rateHz, axis = null }: { readonly rateHz: number; readonly axis?: number | null },
  state: Float64Array,
  rings: Float64Array,
): LumbarGrid {
  const length = rings.length / CHANNELS;
  const ringOf = (channel: number): Float64Array => rings.subarray(channel * length, (channel + 1) * length);
  const vertical = ringOf(0);
  const horizontal1 = ringOf(1);
  const horizontal2 = ringOf(2);
  const yaw = ringOf(3);
  const dt = 1 / rateHz;
  const averaged = Math.min(MOST_AVERAGED, Math.max(1, Math.round(rateHz / GRID_HZ)));
  const basis = new Float64Array(9);
  const mean = new Float64Array(CHANNELS);

  const follow = (): void => {
    const wx = state[at.good + 3]!;
    const wy = state[at.good + 4]!;
    const wz = state[at.good + 5]!;
    const vx = state[at.v]!;
    const vy = state[at.v + 1]!;
    const vz = state[at.v + 2]!;
    const gain = Math.max(dt / VERTICAL_TIME_S, 1 / (state[at.readings]! + 1));
    state[at.v] = vx - dt * (wy * vz - wz * vy) + gain * (state[at.good]! - vx);
    state[at.v + 1] = vy - dt * (wz * vx - wx * vz) + gain * (state[at.good + 1]! - vy);
    state[at.v + 2] = vz - dt * (wx * vy - wy * vx) + gain * (state[at.good + 2]! - vz);
    writeBasis(state, basis, axis);
  };

  const average = (): void => {
    const first = at.recent + (state[at.readings]! % averaged) * CHANNELS;
    const isStill = state[at.missing]! > BRIDGED_S * rateHz;
    const acc = at.good;
    state[first] = isStill ? 0 : dot(basis, 0, state, acc) - GRAVITY_M_S2;
    state[first + 1] = isStill ? 0 : dot(basis, 3, state, acc);
    state[first + 2] = isStill ? 0 : dot(basis, 6, state, acc);
    state[first + 3] = isStill ? 0 : dot(basis, 0, state, acc + 3);
    const count = Math.min(averaged, state[at.readings]! + 1);
    for (let c = 0; c < CHANNELS; c++) {
      let sum = 0;
      for (let k = 0; k < count; k++) sum += state[at.recent + k * CHANNELS + c]!;
      mean[c] = sum / count;
    }
  };

  /** Straight lines between the averages, which stand for the middle of their readings. */
  const advance = (): void => {
    const time = state[at.readings]! - (averaged - 1) / 2;
    const before = state[at.previousTime]!;
    let head = state[at.head]!;
    for (; head * rateHz <= time * GRID_HZ; head++) {
      const part = Math.min(1, Math.max(0, ((head * rateHz) / GRID_HZ - before) / (time - before)));
      const i = head & (length - 1);
      vertical[i] = state[at.previous]! + part * (mean[0]! - state[at.previous]!);
      horizontal1[i] = state[at.previous + 1]! + part * (mean[1]! - state[at.previous + 1]!);
      horizontal2[i] = state[at.previous + 2]! + part * (mean[2]! - state[at.previous + 2]!);
      yaw[i] = state[at.previous + 3]! + part * (mean[3]! - state[at.previous + 3]!);
    }
    state[at.head] = head;
    state[at.previousTime] = time;
    for (let c = 0; c < CHANNELS; c++) state[at.previous + c] = mean[c]!;
  };

  return {
    vertical,
    horizontal1,
    horizontal2,
    yaw,
    push(input, from) {
      let isWhole = true;
      for (let i = 0; i < 6; i++) isWhole &&= Number.isFinite(input[from + i]!);
      if (isWhole) for (let i = 0; i < 6; i++) state[at.good + i] = input[from + i]!;
      state[at.missing] = isWhole ? 0 : state[at.missing]! + 1;
      if (isWhole) follow();
      average();
      if (state[at.readings] === 0) {
        state[at.previousTime] = -averaged;
        for (let c = 0; c < CHANNELS; c++) state[at.previous + c] = mean[c]!;
      }
      advance();
      state[at.readings] = state[at.readings]! + 1;
      return state[at.head]!;
    },
    angleOf(x, y, z) {
      writeBasis(state, basis, axis);
      const along = x * basis[3]! + y * basis[4]! + z * basis[5]!;
      return Math.atan2(x * basis[6]! + y * basis[7]! + z * basis[8]!, along);
    },
    directionOf(along1, along2, into) {
      writeBasis(state, basis, axis);
      for (let k = 0; k < 3; k++) into[k] = along1 * basis[3 + k]! + along2 * basis[6 + k]!;
    },
  };
}

/** Vertical and the two horizontal axes, in the sensor's frame. */
function writeBasis(state: Float64Array, basis: Float64Array, fixedAxis: number | null): void {
  const vx = state[at.v]!;
  const vy = state[at.v + 1]!;
  const vz = state[at.v + 2]!;
  const norm = Math.sqrt(vx * vx + vy * vy + vz * vz);
  const scale = norm > 0 ? 1 / norm : 0;
  basis[0] = vx * scale;
  basis[1] = vy * scale;
  basis[2] = vz * scale;
  let axis = fixedAxis ?? state[at.axis]!;
  if (fixedAxis === null && (state[at.readings] === 0 || Math.abs(basis[axis]!) > AXIS_TOO_STEEP)) {
    axis = 0;
    for (let k = 1; k < 3; k++) if (Math.abs(basis[k]!) < Math.abs(basis[axis]!)) axis = k;
    state[at.axis] = axis;
  }
  const up = basis[axis]!;
  const length = Math.sqrt(Math.max(1e-12, 1 - up * up));
  for (let k = 0; k < 3; k++) basis[3 + k] = ((k === axis ? 1 : 0) - up * basis[k]!) / length;
  basis[6] = basis[1] * basis[5]! - basis[2] * basis[4]!;
  basis[7] = basis[2] * basis[3]! - basis[0] * basis[5]!;
  basis[8] = basis[0] * basis[4]! - basis[1] * basis[3]!;
}

function dot(basis: Float64Array, row: number, state: Float64Array, from: number): number {
  return basis[row]! * state[from]! + basis[row + 1]! * state[from + 1]! + basis[row + 2]! * state[from + 2]!;
}
