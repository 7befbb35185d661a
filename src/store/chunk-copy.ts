/**
 * Owns the bytes of a chunk row in PostgreSQL's binary COPY format (documentation, "COPY", Binary Format). All chunks
 * of a flush are packed into one buffer, which is reused from flush to flush and grows to the largest flush so far.
 */

import type { Frame, StreamHandle } from '#contract/readings.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import type { Chunk } from '#store/flush-plan.ts';

export const CHUNK_COPY_SQL =
  'copy kymo.chunk (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class, segments, deltas, data) ' +
  'from stdin (format binary)';

const COLUMNS = 12;
const SEGMENT_BYTES = 24;
const SIGNATURE = Buffer.from([...Buffer.from('PGCOPY\n'), 0xff, 0x0d, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const TRAILER_BYTES = 2;
/** Column count, 12 length words and the fixed-size values: 2 + 48 + 2 x 16 + 4 x 8 + 2 x 4 + 2. */
const ROW_FIXED_BYTES = 124;
const DAYS_1970_TO_2000 = 10_957;
const US_PER_DAY = 86_400_000_000;

export interface ChunkEncoder {
  /**
   * The rows as one COPY stream. `commitDayUs` is any moment of the day, in microseconds since 1970 UTC. The result is
   * valid until the next call.
   */
  encode(chunks: readonly Chunk[], commitDayUs: number): Buffer;
}

export function createChunkEncoder(): ChunkEncoder {
  let buffer = Buffer.allocUnsafe(1 << 20);
  return {
    encode(chunks, commitDayUs) {
      let size = SIGNATURE.length + TRAILER_BYTES;
      for (const chunk of chunks) size += rowBytes(chunk);
      if (size > buffer.length) buffer = Buffer.allocUnsafe(2 ** Math.ceil(Math.log2(size)));
      const day = Math.floor(commitDayUs / US_PER_DAY) - DAYS_1970_TO_2000;
      let at = SIGNATURE.copy(buffer, 0);
      for (const chunk of chunks) at = writeRow(buffer, at, chunk, day);
      at = buffer.writeInt16BE(-1, at);
      return buffer.subarray(0, at);
    },
  };
}

function rowBytes(chunk: Chunk): number {
  let size = ROW_FIXED_BYTES + chunk.frames.length * SEGMENT_BYTES;
  for (const frame of chunk.frames)
    size += frame.payload.length + (frame.deltasUs === null ? 0 : frame.deltasUs.length);
  return size;
}

function writeRow(buffer: Buffer, start: number, chunk: Chunk, day: number): number {
  const { handle, frames } = chunk;
  const ids = idsOf(handle);
  let at = buffer.writeInt16BE(COLUMNS, start);
  // org_id, stream_id and epoch, with their length words, never change for a stream.
  at += ids.copy(buffer, at);
  at = writeInt64(buffer, at, chunk.firstSeq);
  at = writeInt64(buffer, at, chunk.firstUs);
  at = writeInt64(buffer, at, chunk.lastUs);
  at = buffer.writeInt32BE(4, at);
  at = buffer.writeInt32BE(chunk.count, at);
  at = buffer.writeInt32BE(4, at);
  at = buffer.writeInt32BE(day, at);
  at = buffer.writeInt32BE(2, at);
  at = buffer.writeInt16BE(handle.retentionClass, at);
  at = writeSegments(buffer, at, frames);
  at = writeDeltas(buffer, at, chunk);
  let dataBytes = 0;
  for (const frame of frames) dataBytes += frame.payload.length;
  at = buffer.writeInt32BE(dataBytes, at);
  for (const frame of frames) {
    buffer.set(frame.payload, at);
    at += frame.payload.length;
  }
  return at;
}

function writeSegments(buffer: Buffer, start: number, frames: readonly Frame[]): number {
  let at = buffer.writeInt32BE(frames.length * SEGMENT_BYTES, start);
  for (const frame of frames) {
    at = buffer.writeUInt16LE(frame.count, at);
    at = buffer.writeUInt16LE(0, at);
    at = buffer.writeUInt32LE(frame.periodNs, at);
    at = writeInt64LE(buffer, at, frame.firstUs);
    at = writeInt64LE(buffer, at, frame.arrivalUs);
  }
  return at;
}

function writeDeltas(buffer: Buffer, start: number, chunk: Chunk): number {
  if (chunk.frames[0]?.deltasUs === null) return buffer.writeInt32BE(-1, start);
  let at = buffer.writeInt32BE(chunk.count * 4, start);
  for (const frame of chunk.frames)
    for (let i = 0; i < frame.count; i++)
      at = buffer.writeUInt32LE(readingTimeUs(frame, i) - frame.firstUs, at);
  return at;
}

function writeInt64(buffer: Buffer, start: number, value: number): number {
  const at = buffer.writeInt32BE(8, start);
  const high = Math.floor(value / 4294967296);
  buffer.writeInt32BE(high, at);
  return buffer.writeUInt32BE(value - high * 4294967296, at + 4);
}

function writeInt64LE(buffer: Buffer, at: number, value: number): number {
  const high = Math.floor(value / 4294967296);
  buffer.writeUInt32LE(value - high * 4294967296, at);
  return buffer.writeInt32LE(high, at + 4);
}

const idsByHandle = new WeakMap<StreamHandle, Buffer>();

function idsOf(handle: StreamHandle): Buffer {
  const known = idsByHandle.get(handle);
  if (known !== undefined) return known;
  const ids = Buffer.concat([
    withLength(Buffer.from(handle.orgId.replaceAll('-', ''), 'hex')),
    withLength(Buffer.from(handle.definition.stream.replaceAll('-', ''), 'hex')),
    withLength(Buffer.from(handle.epoch, 'hex')),
  ]);
  idsByHandle.set(handle, ids);
  return ids;
}

function withLength(value: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(value.length);
  return Buffer.concat([length, value]);
}
