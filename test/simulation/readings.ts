/**
 * Owns what the readings of a simulated world contain: the first two axes say which reading it is, in 20 bits each, which
 * float32 holds exactly; the others are a hash of it, so that any reading that was changed on its way shows it.
 */

import { assert } from '#base/assert.ts';
import type { DeviceStore } from '#sdk/device-store.ts';

const HALF = 2 ** 20;

/** The values of reading `id`, by axis. */
export function readingContent(id: number, axes: number): Float32Array {
  const values = new Float32Array(axes);
  writeReading(values, 0, id, axes);
  return values;
}

/** The same into `values` from index `at` on. */
export function writeReading(values: Float32Array, at: number, id: number, axes: number): void {
  assert(axes >= 2 && id >= 0 && id < HALF * HALF, 'two axes hold 40 bits');
  values[at] = id % HALF;
  values[at + 1] = Math.floor(id / HALF);
  for (let axis = 2; axis < axes; axis++) values[at + axis] = hashOf(id, axis);
}

/** Which reading is packed at `offset`; null when these bytes are none that a world made. */
export function idOf(payload: Uint8Array, offset: number, axes: number): number | null {
  const view = new DataView(payload.buffer, payload.byteOffset + offset, axes * 4);
  const low = view.getFloat32(0, true);
  const high = view.getFloat32(4, true);
  const isWhole = Number.isInteger(low) && Number.isInteger(high) && low >= 0 && high >= 0;
  if (!isWhole || low >= HALF || high >= HALF) return null;
  const id = high * HALF + low;
  for (let axis = 2; axis < axes; axis++)
    if (view.getFloat32(axis * 4, true) !== hashOf(id, axis)) return null;
  return id;
}

/**
 * 24 bits, so that float32 holds them exactly; multiplication and xor of MurmurHash3's finaliser (Appleby 2011). Scaled by
 * powers of two so far apart that a float64 sum is rounded: only then does it show in which order readings were added.
 */
function hashOf(id: number, axis: number): number {
  let h = (id ^ Math.imul(axis, 0x9e3779b1)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (((h ^ (h >>> 16)) >>> 8) & 0xffffff) * 2 ** (((h & 7) - 4) * 12);
}

/** The readings that a store has, settled or not. */
export function heldIds(store: DeviceStore): Set<number> {
  const ids = new Set<number>();
  for (const log of store.logs()) {
    const axes = log.definition.axes.length;
    for (let seq = 0, isDone = false; !isDone;) {
      const frames = store.read(log, seq, 1 << 20);
      isDone = frames.length === 0;
      for (const { firstSeq, count, payload } of frames) {
        for (let i = 0; i < count; i++) {
          const id = idOf(payload, i * log.readingBytes, axes);
          assert(id !== null, 'a store gives back what it was given');
          ids.add(id);
        }
        seq = firstSeq + count;
      }
    }
  }
  return ids;
}
