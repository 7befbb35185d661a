/**
 * Owns readings as numbers: a stored chunk unpacked into device times, lags and values, once, for roll-ups and curves.
 * What is not a finite number stays as it is; who folds it decides.
 */

import { assert } from '#base/assert.ts';
import { readSafeInt } from '#protocol/integers.ts';
import { decodeTimes, decodeValues, type PackedLayout } from '#store/chunk-codec.ts';
import type { StoredChunk } from '#store/chunk-reader.ts';

const SEGMENT_BYTES = 24;

/** Readings [firstSeq, firstSeq + n). */
export interface ReadingBlock {
  readonly firstSeq: number;
  readonly n: number;
  /** Device time, microseconds. */
  readonly times: Float64Array;
  /** Arrival minus device time, microseconds. */
  readonly lags: Float64Array;
  /** `n * axisCount`, row by row. */
  readonly values: Float64Array;
}

export function decodeBlock(chunk: StoredChunk, layout: PackedLayout): ReadingBlock {
  const times = decodeTimes(chunk);
  const lags = new Float64Array(chunk.n);
  const view = new DataView(chunk.segments.buffer, chunk.segments.byteOffset, chunk.segments.byteLength);
  let i = 0;
  for (let at = 0; at < view.byteLength; at += SEGMENT_BYTES) {
    const arrivalUs = readSafeInt(view, at + 16);
    assert(arrivalUs !== null, 'the arrival of a segment is a time');
    for (const end = i + view.getUint16(at, true); i < end; i++) lags[i] = arrivalUs - times[i]!;
  }
  return { firstSeq: chunk.firstSeq, n: chunk.n, times, lags, values: decodeValues(chunk, layout) };
}
