/**
 * Owns the one way to the stored readings of an epoch: every reader asks for a range of seq (and, if it likes, of device
 * time) and gets the chunks that touch it, in seq order, in the plain form of chunk-codec.ts. A chunk may reach over the
 * ends of the range. Bound: the caller's `limit` of chunks, and `maxReadings` when given.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import type { PackedChunk } from '#store/chunk-codec.ts';
import { epochToInt8 } from '#store/epoch.ts';
import type { Statement } from '#store/pools.ts';
import { unpackBlock } from '#store/sealed-codec.ts';

/** Readings [fromSeq, toSeq) of one epoch as stored, hot or sealed. */
export interface ChunkRange {
  readonly streamId: string;
  readonly epoch: string;
  readonly fromSeq: number;
  readonly toSeq: number;
  /** Only chunks that touch this half-open range of device time. */
  readonly fromUs?: number;
  readonly toUs?: number;
  /**
   * No more chunks than hold this many readings: the last one is that with which the number is reached. Fewer than
   * `limit` chunks then do not mean the end of the range, only none at all does.
   */
  readonly maxReadings?: number;
}

/** Readings [firstSeq, firstSeq + n), whose device times are firstUs to lastUs. */
export interface StoredChunk extends PackedChunk {
  readonly firstSeq: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

/** Beyond all seqs, device times (protocol/integers.ts) and numbers of readings. */
const BEYOND = 2 ** 53;

/** One statement (any role that may read chunks): at most `limit` chunks with readings in the range, in seq order. */
export function chunkStatement(range: ChunkRange, limit: number): Statement {
  assert(limit >= 1 && range.fromSeq >= 0, 'a range starts at a seq and gives at least one chunk');
  return {
    name: 'stored-chunks',
    text: 'select * from kymo.read_chunks($1, $2, $3, $4, $5, $6, $7, $8)',
    values: [
      range.streamId,
      epochToInt8(range.epoch),
      range.fromSeq,
      range.toSeq,
      range.fromUs ?? -BEYOND,
      range.toUs ?? BEYOND,
      limit,
      range.maxReadings ?? BEYOND,
    ],
  };
}

/** A row of `chunkStatement`, hot or sealed. Its int8 columns are numbers or text, as the connection's parser has them. */
type ChunkRow = {
  readonly stream_id: string;
  readonly first_seq: number | string;
  readonly first_us: number | string;
  readonly last_us: number | string;
} & ((PackedChunk & { readonly block: null }) | { readonly n: number; readonly block: Uint8Array });

/**
 * The rows of `chunkStatement`; sealed ones unpacked into the same plain form (segments, deltas, data) as hot ones, which
 * takes about 4 ms each. Throws AppError `damaged-readings`, which names the row, when one fails its checksum.
 */
export function unpackChunks(rows: readonly unknown[]): StoredChunk[] {
  return (rows as readonly ChunkRow[]).map((row) => ({
    firstSeq: Number(row.first_seq),
    firstUs: Number(row.first_us),
    lastUs: Number(row.last_us),
    ...(row.block === null
      ? { n: row.n, segments: row.segments, deltas: row.deltas, data: row.data }
      : unpackSealed(row)),
  }));
}

function unpackSealed(row: ChunkRow & { readonly block: Uint8Array }): PackedChunk {
  const unpacked = unpackBlock(row.block);
  if (unpacked.ok && unpacked.value.n === row.n) return unpacked.value;
  const from = Number(row.first_seq);
  throw new AppError(
    'damaged-readings',
    `the sealed readings ${from} to ${from + row.n - 1} of stream ${row.stream_id} are damaged: ` +
      (unpacked.ok ? `there are ${unpacked.value.n} of them` : unpacked.error),
  );
}
