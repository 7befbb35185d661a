/**
 * Owns frames before and after the store: the builder that packs pushed readings, and the exact cut of a frame. Every
 * reading keeps its time to the microsecond. Bound: one frame of at most limits.readingsPerFrame readings a stream.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { FrameContent, StoredFrame } from '#sdk/device-store.ts';

export interface FrameBuilder {
  /** Readings that wait for `take`. */
  readonly count: number;
  /** Readings with a value beyond what int16 can express; they were stored as the nearest that it can. */
  readonly clippedReadings: number;
  /**
   * Adds one or more readings, row by row; the first was taken at `timeUs`, each further one a period later. Numbers
   * are physical values; an Int16Array is raw counts of an int16 stream. `full` is called when a frame is complete or
   * cannot hold the next reading. Throws AppError `invalid-field` before anything was taken.
   */
  push(values: ArrayLike<number>, timeUs: number, full: (content: FrameContent) => void): void;
  /** The readings so far as one frame, or null. */
  take(): FrameContent | null;
}

/** The nominal distance of two readings as frames carry it; below 0.24 Hz it does not fit, and times are explicit. */
function periodNsOf(rateHz: number): number {
  return Math.min(0xffff_ffff, Math.round(1e9 / rateHz));
}

interface BuilderState {
  readonly axes: number;
  readonly readingBytes: number;
  readonly periodNs: number;
  /** The same unrounded: readings pushed together are this far apart. */
  readonly periodUs: number;
  readonly pack: (values: ArrayLike<number>, reading: number, at: number) => boolean;
  bytes: Uint8Array;
  view: DataView;
  /** Microseconds after firstUs, per reading. */
  readonly deltas: Uint32Array;
  isEven: boolean;
  /** The values being pushed, as bits, when they are floats already. */
  bits: Uint32Array | null;
  firstUs: number;
  count: number;
  clippedReadings: number;
}

export function createFrameBuilder(
  definition: Pick<StreamDefinition, 'axes' | 'encoding' | 'rateHz' | 'scale'>,
): FrameBuilder {
  const axes = definition.axes.length;
  const readingBytes = axes * (definition.encoding === 'float32' ? 4 : 2);
  const bytes = new Uint8Array(readingBytes * 16);
  const state: BuilderState = {
    axes,
    readingBytes,
    periodNs: periodNsOf(definition.rateHz),
    periodUs: 1e6 / definition.rateHz,
    pack: (values, reading, at) =>
      definition.encoding === 'float32'
        ? packFloats(state, values, reading, at)
        : packIntegers(state, definition.scale ?? [], values, reading, at),
    bytes,
    view: new DataView(bytes.buffer),
    deltas: new Uint32Array(limits.readingsPerFrame),
    isEven: true,
    bits: null,
    firstUs: 0,
    count: 0,
    clippedReadings: 0,
  };
  return {
    get count() {
      return state.count;
    },
    get clippedReadings() {
      return state.clippedReadings;
    },
    push: (values, timeUs, full) => push(state, values, timeUs, full),
    take: () => take(state),
  };
}

function push(
  state: BuilderState,
  values: ArrayLike<number>,
  timeUs: number,
  full: (content: FrameContent) => void,
): void {
  const readings = values.length / state.axes;
  if (!Number.isInteger(readings) || readings < 1)
    throw new AppError('invalid-field', `a reading has ${state.axes} values`, { field: '/values' });
  const lastUs = timeUs + Math.ceil(readings * state.periodUs);
  if (!Number.isSafeInteger(timeUs) || Math.abs(lastUs) >= limits.timeUsExclusive)
    throw new AppError('invalid-field', 'a time is a whole number of microseconds', { field: '/timeUs' });
  const isFloat = state.readingBytes === state.axes * 4;
  if (!isFloat && !(values instanceof Int16Array)) assertNumbers(values);
  // Floats that are floats already travel as their bits: the bits of a NaN may carry a meaning.
  state.bits = isFloat && values instanceof Float32Array ? bitsOf(values) : null;
  for (let i = 0; i < readings; i++) {
    const readingUs = timeUs + Math.round(i * state.periodUs);
    const deltaUs = readingUs - state.firstUs;
    // A clock set back, or a pause of over an hour, cannot be expressed within a frame.
    if (state.count > 0 && (deltaUs < 0 || deltaUs > 0xffff_ffff)) full(take(state)!);
    add(state, values, i, readingUs);
    if (state.count === limits.readingsPerFrame) full(take(state)!);
  }
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function assertNumbers(values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++)
    if (Number.isNaN(values[i]))
      throw new AppError('invalid-field', 'int16 cannot express NaN', { field: '/values' });
}

function evenDeltaUs(periodNs: number, index: number): number {
  return Math.floor((index * periodNs + 500) / 1000);
}

function add(state: BuilderState, values: ArrayLike<number>, reading: number, readingUs: number): void {
  const at = state.count * state.readingBytes;
  if (at + state.readingBytes > state.bytes.length) grow(state);
  if (state.count === 0) {
    state.firstUs = readingUs;
    state.isEven = true;
  }
  const deltaUs = readingUs - state.firstUs;
  state.deltas[state.count] = deltaUs;
  if (deltaUs !== evenDeltaUs(state.periodNs, state.count)) state.isEven = false;
  if (state.pack(values, reading * state.axes, at)) state.clippedReadings++;
  state.count++;
}

function grow(state: BuilderState): void {
  const larger = new Uint8Array(
    Math.min(limits.readingsPerFrame * state.readingBytes, state.bytes.length * 2),
  );
  larger.set(state.bytes);
  state.bytes = larger;
  state.view = new DataView(larger.buffer);
}

function packFloats(state: BuilderState, values: ArrayLike<number>, from: number, at: number): boolean {
  const { view, axes, bits } = state;
  if (bits !== null)
    for (let axis = 0; axis < axes; axis++) view.setUint32(at + axis * 4, bits[from + axis]!, true);
  else for (let axis = 0; axis < axes; axis++) view.setFloat32(at + axis * 4, values[from + axis]!, true);
  return false;
}

/** True when a value had to be clipped. */
function packIntegers(
  state: BuilderState,
  scale: readonly number[],
  values: ArrayLike<number>,
  from: number,
  at: number,
): boolean {
  const isRaw = values instanceof Int16Array;
  let isClipped = false;
  for (let axis = 0; axis < state.axes; axis++) {
    const value = values[from + axis]!;
    const count = isRaw ? value : Math.round(value / scale[axis]!);
    const fitting = Math.max(-32_768, Math.min(32_767, count));
    if (fitting !== count) isClipped = true;
    state.view.setInt16(at + axis * 2, fitting, true);
  }
  return isClipped;
}

function take(state: BuilderState): FrameContent | null {
  const { count, isEven } = state;
  if (count === 0) return null;
  let deltasUs: Uint8Array | null = null;
  if (!isEven) {
    deltasUs = new Uint8Array(count * 4);
    const view = new DataView(deltasUs.buffer);
    for (let i = 0; i < count; i++) view.setUint32(i * 4, state.deltas[i]!, true);
  }
  state.count = 0;
  return {
    count,
    firstUs: state.firstUs,
    periodNs: state.periodNs,
    deltasUs,
    payload: state.bytes.slice(0, count * state.readingBytes),
  };
}

/**
 * The part [from, to) of a frame, by sequence numbers. Times stay exact: where shifting the first time would round
 * differently, the part carries explicit times.
 */
export function cutFrame(frame: StoredFrame, from: number, to: number): StoredFrame {
  const skipped = from - frame.firstSeq;
  const count = to - from;
  assert(skipped >= 0 && count > 0 && skipped + count <= frame.count, 'a part lies within its frame');
  if (skipped === 0 && count === frame.count) return frame;
  const readingBytes = frame.payload.length / frame.count;
  const firstUs = readingTimeUs(frame, skipped);
  let deltasUs: Uint8Array | null = null;
  if (frame.deltasUs !== null || (skipped * frame.periodNs) % 1000 !== 0) {
    deltasUs = new Uint8Array(count * 4);
    const view = new DataView(deltasUs.buffer);
    for (let i = 0; i < count; i++) view.setUint32(i * 4, readingTimeUs(frame, skipped + i) - firstUs, true);
  }
  return {
    firstSeq: from,
    count,
    firstUs,
    periodNs: frame.periodNs,
    deltasUs,
    payload: frame.payload.subarray(skipped * readingBytes, (skipped + count) * readingBytes),
  };
}
