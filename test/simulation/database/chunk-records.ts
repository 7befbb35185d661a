/**
 * Owns the way of a flush's chunks into the modelled table: packed by the product's own encoder and read back column by
 * column, so that what is stored went through the bytes that PostgreSQL would get.
 */

import { createChunkEncoder } from '#store/chunk-copy.ts';
import { decodeTimes } from '#store/chunk-codec.ts';
import type { Chunk } from '#store/flush-plan.ts';
import type { ChunkRecord, EpochRecord } from '#test/simulation/database/storage.ts';

/** Signature, flags and extension (PostgreSQL documentation, "COPY", Binary Format). */
const HEADER_BYTES = 19;
/** Columns before `first_seq`: the count of columns, and org_id, stream_id and epoch with their lengths. */
const IDS_BYTES = 2 + 20 + 20 + 12;

const encoder = createChunkEncoder();

/** A record for each chunk, in their order. Throws what the encoder throws. */
export function packChunks(chunks: readonly Chunk[], commitDayUs: number): ChunkRecord[] {
  const bytes = encoder.encode(chunks, commitDayUs);
  let at = HEADER_BYTES;

  const int8 = (): number => {
    const value = bytes.readInt32BE(at + 4) * 4294967296 + bytes.readUInt32BE(at + 8);
    at += 12;
    return value;
  };
  const column = (): Uint8Array | null => {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0) return null;
    at += length;
    // A copy of its own: the encoder uses its buffer again.
    return new Uint8Array(bytes.subarray(at - length, at));
  };

  return chunks.map(() => {
    at += IDS_BYTES;
    const [firstSeq, firstUs, lastUs] = [int8(), int8(), int8()];
    const n = bytes.readInt32BE(at + 4);
    // n, commit_day and retention_class with their lengths.
    at += 8 + 8 + 6;
    const segments = column()!;
    const deltas = column();
    const data = column()!;
    const packed = { n, segments, deltas, data };
    return { ...packed, firstSeq, firstUs, lastUs, timesUs: decodeTimes(packed), payload: data };
  });
}

/** As kymo.read_chunks: chunks that touch a range of seq and of device time, in the order of seq. */
export function readChunks(
  record: EpochRecord,
  range: { fromSeq: number; toSeq: number; fromUs: number; toUs: number },
  bounds: { limit: number; maxReadings: number },
): ChunkRecord[] {
  if (!record.hasGuard || !record.hasDay) return [];
  const found = record.chunks
    .filter(
      (chunk) =>
        chunk.firstSeq < range.toSeq &&
        chunk.firstSeq + chunk.n > range.fromSeq &&
        chunk.lastUs >= range.fromUs &&
        chunk.firstUs < range.toUs,
    )
    .toSorted((a, b) => a.firstSeq - b.firstSeq)
    .slice(0, bounds.limit);
  let before = 0;
  return found.filter(({ n }) => {
    before += n;
    return before - n < bounds.maxReadings;
  });
}
