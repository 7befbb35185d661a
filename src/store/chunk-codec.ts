/**
 * Owns the reading of chunks: the bytes of a row of kymo.chunk become times and values. The layout is in
 * migrations/0001-foundation.sql, the writing in chunk-copy.ts, and the same in SQL is kymo.chunk_readings. Little
 * endian throughout. Values come out exactly: float32 widened, int16 times its axis scale, both as doubles.
 */

import { assert } from '#base/assert.ts';
import { readSafeInt } from '#protocol/integers.ts';

const SEGMENT_BYTES = 24;

/** The packed columns of one chunk with `n` readings. */
export interface PackedChunk {
  readonly n: number;
  readonly segments: Uint8Array;
  /** Null: evenly spaced within each segment. */
  readonly deltas: Uint8Array | null;
  readonly data: Uint8Array;
}

/** How a stream packs a reading. */
export interface PackedLayout {
  readonly axisCount: number;
  readonly encoding: 'float32' | 'int16';
  /** int16 only: one an axis. */
  readonly scale: readonly number[] | null;
}

/** Device time of each reading, microseconds, into `times` where given. Asserts that the parts fit each other: else the row is damaged. */
export function decodeTimes(
  chunk: PackedChunk,
  times: Float64Array = new Float64Array(chunk.n),
): Float64Array {
  const { n, segments, deltas } = chunk;
  assert(segments.length > 0 && segments.length % SEGMENT_BYTES === 0, 'segments are of 24 bytes');
  assert(deltas === null || deltas.length === n * 4, 'a chunk has one delta a reading, or none');
  const view = viewOf(segments);
  const deltaView = deltas === null ? null : viewOf(deltas);
  let i = 0;
  for (let at = 0; at < segments.length; at += SEGMENT_BYTES) {
    const count = view.getUint16(at, true);
    const periodNs = view.getUint32(at + 4, true);
    const firstUs = readSafeInt(view, at + 8);
    assert(firstUs !== null && i + count <= n, 'the segments hold the readings of the chunk');
    for (let inSegment = 0; inSegment < count; inSegment++, i++)
      times[i] =
        firstUs +
        (deltaView === null
          ? Math.floor((inSegment * periodNs + 500) / 1000)
          : deltaView.getUint32(i * 4, true));
  }
  assert(i === n, 'the segments hold the readings of the chunk');
  return times;
}

/** `n * axisCount` values, row by row, into `values` where given. Asserts that the data have the size that the layout says. */
export function decodeValues(
  chunk: PackedChunk,
  layout: PackedLayout,
  values: Float64Array = new Float64Array(chunk.n * layout.axisCount),
): Float64Array {
  const { axisCount, encoding, scale } = layout;
  const count = chunk.n * axisCount;
  assert(chunk.data.length === count * (encoding === 'float32' ? 4 : 2), 'the data have their size');
  if (encoding === 'float32') {
    // Hosts are little endian, as the format is, so an array is converted in one go.
    values.set(asFloats(chunk.data));
    return values;
  }
  assert(scale?.length === axisCount, 'int16 has one scale an axis');
  const view = viewOf(chunk.data);
  for (let i = 0; i < count; i++) values[i] = view.getInt16(i * 2, true) * scale[i % axisCount]!;
  return values;
}

/** A buffer of the database's may start anywhere: where floats cannot, a copy is looked at instead. */
function asFloats(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
