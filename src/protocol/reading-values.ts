/**
 * Owns what the packed readings of a frame are as numbers: float32 as they are, int16 times the scale of their axis and
 * rounded to float32. Live and committed readings are unpacked by the same rule, so that what is computed from either is
 * the same bit for bit.
 */

import { assert } from '#base/assert.ts';
import type { StreamDefinition } from '#protocol/messages.ts';

export type Packing = Pick<StreamDefinition, 'encoding' | 'scale'> & { readonly axisCount: number };

/** Writes `count` readings of `payload`, row by row, to the beginning of `out`. The payload may begin at any byte. */
export function unpackReadings(
  payload: Uint8Array,
  packing: Packing,
  { count, out }: { readonly count: number; readonly out: Float32Array },
): void {
  const { encoding, scale, axisCount } = packing;
  const total = count * axisCount;
  assert(payload.length === total * (encoding === 'float32' ? 4 : 2), 'a payload holds whole readings');
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if (encoding === 'float32') {
    for (let i = 0; i < total; i++) out[i] = view.getFloat32(i * 4, true);
    return;
  }
  for (let i = 0, axis = 0; i < total; i++) {
    out[i] = view.getInt16(i * 2, true) * (scale?.[axis] ?? 1);
    axis = axis + 1 === axisCount ? 0 : axis + 1;
  }
}
