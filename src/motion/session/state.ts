/**
 * Owns the form of a checkpoint: the numbers of every part of a chain, bit for bit, and its few records as JSON. It is read
 * by the same version of the same chain for the same body model only; whoever keeps it keeps those beside it.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';

/** A part with a state of its own. `save` may allocate; `load` takes what `save` gave. */
export interface StatePart {
  save(): Float64Array;
  load(from: Float64Array): void;
}

/** What algorithms and filters offer, as a part. */
export function partOf(algorithm: {
  readonly stateLength: number;
  save(into: Float64Array): void;
  load(from: Float64Array): void;
}): StatePart {
  return {
    save() {
      const state = new Float64Array(algorithm.stateLength);
      algorithm.save(state);
      return state;
    },
    load: (from) => algorithm.load(from),
  };
}

const MAGIC = 0x314d594b;
const HEADER_BYTES = 16;

/** `records` is JSON of finite numbers, texts and null. */
export function packState(parts: readonly StatePart[], records: unknown): Uint8Array {
  const saved = parts.map((part) => part.save());
  const text = new TextEncoder().encode(JSON.stringify(records));
  const textBytes = Math.ceil(text.length / 8) * 8;
  const values = saved.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(HEADER_BYTES + textBytes + 4 * saved.length + 8 * values);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, text.length, true);
  view.setUint32(8, saved.length, true);
  bytes.set(text, HEADER_BYTES);
  let at = HEADER_BYTES + textBytes;
  for (const { length } of saved) {
    view.setUint32(at, length, true);
    at += 4;
  }
  for (const state of saved) {
    for (const value of state) {
      view.setFloat64(at, value, true);
      at += 8;
    }
  }
  return bytes;
}

/** Loads the parts and returns the records. Throws AppError `conflict` when the bytes are of another chain. */
export function unpackState(bytes: Uint8Array, parts: readonly StatePart[]): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isOurs =
    bytes.length >= HEADER_BYTES &&
    view.getUint32(0, true) === MAGIC &&
    view.getUint32(8, true) === parts.length;
  if (!isOurs) throw new AppError('conflict', 'the checkpoint is of another version or body model');
  const textLength = view.getUint32(4, true);
  let lengthAt = HEADER_BYTES + Math.ceil(textLength / 8) * 8;
  let at = lengthAt + 4 * parts.length;
  const text = new TextDecoder().decode(bytes.subarray(HEADER_BYTES, HEADER_BYTES + textLength));
  for (const part of parts) {
    const state = new Float64Array(view.getUint32(lengthAt, true));
    lengthAt += 4;
    for (let i = 0; i < state.length; i++, at += 8) state[i] = view.getFloat64(at, true);
    part.load(state);
  }
  assert(at === bytes.length, 'a checkpoint has as many values as it says');
  return JSON.parse(text);
}
