/**
 * Owns the second-order Butterworth low-pass: coefficients by the bilinear transform, the step of a bank of channels that
 * share them, a streaming filter around it, and the filter run both ways over a whole signal. A bank averages what comes
 * in its first `settleS` seconds and starts from there as if it had been so forever (steady state), so that one odd first
 * reading does not ring on; VQF (Laidig and Seel 2023, doi:10.1016/j.inffus.2022.10.014) starts its filters so.
 */

import { assert } from '#base/assert.ts';

/** Of the part of the step response that does not swing (Laidig and Seel 2023): cutoff in Hz to time constant in s and back. */
const TAU_TIMES_CUTOFF = Math.SQRT2 / (2 * Math.PI);

/** The cutoff in Hz of a second-order Butterworth low-pass whose step response has this time constant. */
export function cutoffOfTimeConstant(tauS: number): number {
  return TAU_TIMES_CUTOFF / tauS;
}

/** What a bank needs, as values of one array: b0 (b1 = 2 b0, b2 = b0), a1, a2, and how many readings it settles over. */
export const LOW_PASS_COEFFICIENTS = 4;

export interface LowPassSpec {
  /** Where the amplitude is 1/sqrt(2), in Hz. At and above half the rate it is put to 0.45 of it. */
  readonly cutoffHz: number;
  readonly rateHz: number;
  /** Seconds averaged before the filter runs; 0: the first reading alone. */
  readonly settleS: number;
}

/** Writes LOW_PASS_COEFFICIENTS values. */
export function lowPassCoefficients(spec: LowPassSpec, into: Float64Array, at = 0): void {
  const { cutoffHz, rateHz, settleS } = spec;
  assert(cutoffHz > 0 && rateHz > 0 && settleS >= 0, 'a low-pass has a cutoff, a rate and a time to settle');
  const c = Math.tan((Math.PI * Math.min(cutoffHz, 0.45 * rateHz)) / rateHz);
  const d = c * c + Math.SQRT2 * c + 1;
  into[at] = (c * c) / d;
  into[at + 1] = (2 * (c * c - 1)) / d;
  into[at + 2] = (1 - Math.SQRT2 * c + c * c) / d;
  // The tolerance is for rates whose period is no round number: 3 s are 600 readings at 200 Hz, not 601.
  into[at + 3] = Math.max(1, Math.ceil(settleS * rateHz * (1 - 1e-12)));
}

/** State of a bank: readings averaged so far (-1 once it runs), then two values for each channel. */
export function lowPassStateLength(channels: number): number {
  return 1 + 2 * channels;
}

/** The bank has seen nothing: it will average anew. */
export function clearLowPass(state: Float64Array, at: number, channels: number): void {
  state.fill(0, at, at + lowPassStateLength(channels));
}

/**
 * One reading of all channels, in place: `values[v .. v + channels)`. `state` and `values` may be the same array.
 * Transposed direct form II, which keeps its digits at cutoffs far below the rate.
 */
export function stepLowPass(
  state: Float64Array,
  at: number,
  channels: number,
  values: Float64Array,
  v: number,
  coefficients: Float64Array,
  c: number,
): void {
  if (state[at]! >= 0) {
    settleLowPass(state, at, channels, values, v, coefficients, c);
    return;
  }
  const b0 = coefficients[c]!;
  const a1 = coefficients[c + 1]!;
  const a2 = coefficients[c + 2]!;
  const end = v + channels;
  for (let i = v, z = at + 1; i < end; i++, z += 2) {
    const b0x = b0 * values[i]!;
    const y = b0x + state[z]!;
    state[z] = 2 * b0x - a1 * y + state[z + 1]!;
    state[z + 1] = b0x - a2 * y;
    values[i] = y;
  }
}

/** While the bank averages, its output is the average so far. */
function settleLowPass(
  state: Float64Array,
  at: number,
  channels: number,
  values: Float64Array,
  v: number,
  coefficients: Float64Array,
  c: number,
): void {
  const count = state[at]! + 1;
  const isDone = count >= coefficients[c + 3]!;
  state[at] = isDone ? -1 : count;
  for (let i = 0; i < channels; i++) {
    const z = at + 1 + 2 * i;
    const sum = state[z]! + values[v + i]!;
    const mean = sum / count;
    values[v + i] = mean;
    state[z] = sum;
    if (isDone) steadyState(state, z, mean, coefficients, c);
  }
}

/** As if the channel's input had always been `value`. */
function steadyState(
  state: Float64Array,
  z: number,
  value: number,
  coefficients: Float64Array,
  c: number,
): void {
  state[z] = value * (1 - coefficients[c]!);
  state[z + 1] = value * (coefficients[c]! - coefficients[c + 2]!);
}

/** A streaming filter that others can keep in their state. */
export interface LowPass {
  /** One reading of all channels, in place: `values[at .. at + channels)`. */
  update(values: Float64Array, at: number): void;
  /** As when it was created. */
  reset(): void;
  readonly stateLength: number;
  save(into: Float64Array, at: number): void;
  load(from: Float64Array, at: number): void;
}

export function createLowPass(channels: number, spec: LowPassSpec): LowPass {
  const coefficients = new Float64Array(LOW_PASS_COEFFICIENTS);
  lowPassCoefficients(spec, coefficients);
  const state = new Float64Array(lowPassStateLength(channels));
  return {
    update: (values, at) => stepLowPass(state, 0, channels, values, at, coefficients, 0),
    reset: () => clearLowPass(state, 0, channels),
    stateLength: state.length,
    save: (into, at) => into.set(state, at),
    load: (from, at) => {
      for (let i = 0; i < state.length; i++) state[i] = from[at + i]!;
    },
  };
}

/**
 * Filters a whole signal forwards and then backwards, in place: no delay, fourth order, the amplitude at the cutoff is 1/2.
 * `signal` holds rows of `channels` finite values. Not causal: for review only.
 */
export function lowPassBothWays(signal: Float64Array, channels: number, spec: LowPassSpec): void {
  const rows = Math.floor(signal.length / channels);
  if (rows === 0) return;
  const coefficients = new Float64Array(LOW_PASS_COEFFICIENTS);
  lowPassCoefficients(spec, coefficients);
  const state = new Float64Array(lowPassStateLength(channels));
  for (let i = 0; i < rows; i++) stepLowPass(state, 0, channels, signal, i * channels, coefficients, 0);
  state[0] = -1;
  for (let i = 0; i < channels; i++)
    steadyState(state, 1 + 2 * i, signal[(rows - 1) * channels + i]!, coefficients, 0);
  for (let i = rows - 1; i >= 0; i--) stepLowPass(state, 0, channels, signal, i * channels, coefficients, 0);
}
