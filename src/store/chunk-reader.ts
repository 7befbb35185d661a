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

/**
 * One statement (any role that may read chunks): at most `limit` chunks with readings in the range, in seq order.
 *
 * Chunks of an epoch do not overlap, so the last one that starts at or before `fromSeq` is the first that can hold it.
 * The lateral form lets PostgreSQL leave out all partitions but the epoch's commit days. Adding zero to the times keeps
 * it from the index on time: that finds the chunks of all streams at a time, and this wants one stream's in order, which
 * the index on seq gives without sorting (30 ms against 500 for the end of an hour of one stream of ten).
 */
export function chunkStatement(range: ChunkRange, limit: number): Statement {
  assert(limit >= 1 && range.fromSeq >= 0, 'a range starts at a seq and gives at least one chunk');
  return {
    name: 'stored-chunks',
    text: `select c.first_seq, c.first_us, c.last_us, c.n, c.segments, c.deltas, c.data, c.block, c.stream_id
      from kymo.stream_epoch e
     cross join lateral (
       select coalesce(max(f.first_seq), 0) as first_seq
         from (select b.first_seq from kymo.stored_chunk b
                where b.stream_id = $1 and b.epoch = $2 and b.first_seq <= $3::bigint
                  and b.commit_day between e.first_commit_day and e.last_commit_day
                order by b.first_seq desc limit 1) f) start
     cross join lateral (
       select w.* from (
         select c.stream_id, c.first_seq, c.first_us, c.last_us, c.n, c.segments, c.deltas, c.data, c.block,
                sum(c.n) over (order by c.first_seq) - c.n as before
           from kymo.stored_chunk c
          where c.stream_id = $1 and c.epoch = $2
            and c.first_seq >= start.first_seq and c.first_seq < $4::bigint and c.first_seq + c.n > $3::bigint
            and c.commit_day between e.first_commit_day and e.last_commit_day
            and c.last_us + 0 >= $5::bigint and c.first_us + 0 < $6::bigint
          order by c.first_seq limit $7) w
        where w.before < $8::bigint) c
      where e.stream_id = $1 and e.epoch = $2
      order by c.first_seq`,
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
