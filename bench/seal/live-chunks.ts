/** Owns chunks as live streaming makes them: frames of ten readings, flushed four times a second at 200 Hz. */

import { seededRandom } from '#base/random.ts';
import type { PackedChunk } from '#store/chunk-codec.ts';
import type { SetStream } from '#bench/seal/sets.ts';

const FRAME_READINGS = 10;
const CHUNK_READINGS = 50;
export const START_US = 1_750_000_000_000_000;
/** A frame waits for its last reading and takes some milliseconds through a quiet network, spread exponentially. */
const MEAN_JITTER_US = 2_000;

export interface LiveChunk extends PackedChunk {
  readonly firstSeq: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

export function liveChunks({ n, rateHz, data }: SetStream): LiveChunk[] {
  const random = seededRandom(5);
  const periodNs = Math.round(1e9 / rateHz);
  const readingBytes = data.length / n;
  const timeUs = (seq: number): number => START_US + Math.round((seq * 1e6) / rateHz);
  const chunks: LiveChunk[] = [];
  for (let firstSeq = 0; firstSeq < n; firstSeq += CHUNK_READINGS) {
    const count = Math.min(CHUNK_READINGS, n - firstSeq);
    const frames = Math.ceil(count / FRAME_READINGS);
    const segments = Buffer.alloc(frames * 24);
    for (let frame = 0; frame < frames; frame++) {
      const seq = firstSeq + frame * FRAME_READINGS;
      const inFrame = Math.min(FRAME_READINGS, firstSeq + count - seq);
      const jitterUs = Math.round(-Math.log(1 - random.next()) * MEAN_JITTER_US);
      segments.writeUInt16LE(inFrame, frame * 24);
      segments.writeUInt32LE(periodNs, frame * 24 + 4);
      segments.writeBigInt64LE(BigInt(timeUs(seq)), frame * 24 + 8);
      segments.writeBigInt64LE(BigInt(timeUs(seq + inFrame - 1) + 1_500 + jitterUs), frame * 24 + 16);
    }
    chunks.push({
      n: count,
      firstSeq,
      firstUs: timeUs(firstSeq),
      lastUs: timeUs(firstSeq + count - 1),
      segments,
      deltas: null,
      data: data.subarray(firstSeq * readingBytes, (firstSeq + count) * readingBytes),
    });
  }
  return chunks;
}
