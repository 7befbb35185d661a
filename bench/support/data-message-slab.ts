/**
 * Owns the building of data messages for the load generator: masked WebSocket frames written straight into large slabs
 * of memory, 32-bit word by word, laid out as protocol/data-codec.ts says (a test decodes them with it). A slab is
 * never written twice, since a socket may still hold parts of it; it is garbage once all its bytes are sent.
 */

import os from 'node:os';

import { assert } from '#base/assert.ts';
import { MASK_WORD, MAX_HEADER_BYTES, writeHeaderBefore } from '#bench/support/client-frames.ts';
import { AXES, READING_BYTES, writeReadings } from '#bench/support/synthetic-reading.ts';
import { DATA_KIND, FRAME_HEADER_BYTES } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import { PROTOCOL_VERSION } from '#protocol/version.ts';

const MESSAGE_HEADER_BYTES = 16;
/** Holds some thousand small messages, so that allocation does not show; at least four of the largest. */
const SLAB_BYTES = 1 << 20;
const WORD = 2 ** 32;

export interface OutgoingFrame {
  readonly ref: number;
  readonly seed: number;
  readonly firstSeq: number;
  readonly count: number;
  readonly firstUs: number;
}

export interface DataMessageSlab {
  /**
   * One masked WebSocket frame with these 1 to 32 protocol frames. Not to be changed; messages built one after the
   * other lie one after the other, apart from up to 16 bytes.
   */
  build(
    frames: readonly OutgoingFrame[],
    stamp: { readonly sentUs: number; readonly periodNs: number },
  ): Buffer;
}

/** What a frame costs in credit. */
export function outgoingFrameBytes(count: number): number {
  return FRAME_HEADER_BYTES + count * READING_BYTES;
}

export function createDataMessageSlab(): DataMessageSlab {
  assert(os.endianness() === 'LE', 'words are written in the machine order, which must be that of the wire');
  let bytes = Buffer.from(new ArrayBuffer(SLAB_BYTES));
  let words = new Uint32Array(bytes.buffer);
  let used = 0;
  return {
    build(frames, stamp) {
      let payloadBytes = MESSAGE_HEADER_BYTES;
      for (const frame of frames) payloadBytes += outgoingFrameBytes(frame.count);
      assert(payloadBytes <= limits.messageBytes, 'a data message fits its limit');
      if (used + MAX_HEADER_BYTES + 4 + payloadBytes > SLAB_BYTES) {
        bytes = Buffer.from(new ArrayBuffer(SLAB_BYTES));
        words = new Uint32Array(bytes.buffer);
        used = 0;
      }
      // The payload starts on a word; the header's length varies, so it is written backwards from there.
      const payloadAt = (used + MAX_HEADER_BYTES + 3) & ~3;
      let at = writeMessageHeader(words, payloadAt / 4, frames.length, stamp.sentUs);
      for (const frame of frames) at = writeFrame(words, at, frame, stamp.periodNs);
      const start = writeHeaderBefore(bytes, payloadAt, { opcode: 'binary', payloadBytes });
      used = payloadAt + payloadBytes;
      return bytes.subarray(start, used);
    },
  };
}

function writeMessageHeader(words: Uint32Array, start: number, frameCount: number, sentUs: number): number {
  words[start] = (DATA_KIND | (PROTOCOL_VERSION << 8) | (frameCount << 24)) ^ MASK_WORD;
  words[start + 1] = MASK_WORD;
  writeInt64(words, start + 2, sentUs);
  return start + MESSAGE_HEADER_BYTES / 4;
}

function writeFrame(words: Uint32Array, start: number, frame: OutgoingFrame, periodNs: number): number {
  words[start] = (frame.ref | (frame.count << 16)) ^ MASK_WORD;
  words[start + 1] = MASK_WORD;
  writeInt64(words, start + 2, frame.firstSeq);
  writeInt64(words, start + 4, frame.firstUs);
  words[start + 6] = periodNs ^ MASK_WORD;
  words[start + 7] = (frame.count * READING_BYTES) ^ MASK_WORD;
  const payloadAt = start + FRAME_HEADER_BYTES / 4;
  writeReadings(words, payloadAt, frame, MASK_WORD);
  return payloadAt + frame.count * AXES;
}

function writeInt64(words: Uint32Array, at: number, value: number): void {
  const high = Math.floor(value / WORD);
  words[at] = (value - high * WORD) ^ MASK_WORD;
  words[at + 1] = high ^ MASK_WORD;
}
