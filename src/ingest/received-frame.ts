/**
 * Owns what happens to a frame between the wire and its stream's buffer: whether its size fits the stream, and the stamps
 * that travel along with it. Pure.
 */

import type { Frame } from '#contract/readings.ts';
import type { DataFrame, WireError } from '#protocol/data-codec.ts';
import type { StreamBuffer } from '#ingest/stream-buffer.ts';

/** What is the same for all frames of a message. */
export interface Mark {
  readonly liveOnly: boolean;
  readonly historical: boolean;
  readonly sentUs: number;
  readonly nowUs: number;
}

/** A frame with what travels along through the server. */
export function stampFrame(buffer: StreamBuffer, frame: DataFrame, mark: Mark, offsetUs: number): Frame {
  const { handle } = buffer;
  // A device without a clock is the one case in which arrival is the reading's time, and its stream says so.
  const hasClock = handle.definition.clock === 'device';
  return {
    streamId: handle.definition.stream,
    epoch: handle.epoch,
    firstSeq: frame.firstSeq,
    count: frame.count,
    firstUs: hasClock ? frame.firstUs : mark.nowUs,
    periodNs: frame.periodNs,
    deltasUs: hasClock ? frame.deltasUs : null,
    payload: frame.payload,
    liveOnly: mark.liveOnly,
    historical: mark.historical,
    sentUs: mark.sentUs,
    arrivalUs: mark.nowUs,
    offsetUs: hasClock ? offsetUs : 0,
  };
}

/** Why a frame cannot be one of this stream's, or null. */
export function checkFrame(buffer: StreamBuffer, frame: DataFrame): WireError | null {
  const expected = frame.count * buffer.handle.readingBytes;
  if (frame.payload.length === expected) return null;
  const message = `${frame.count} readings of this stream are ${expected} bytes, not ${frame.payload.length}`;
  return { code: 'invalid-field', field: '/payload', message };
}
