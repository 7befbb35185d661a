/**
 * Owns chunks for tests that read: rows of kymo.chunk packed by hand from the comments of the first migration, and the
 * guard's ranges beside them, so that a reader is not tested against the writer's own code.
 */

import type pg from 'pg';

import { epochToInt8 } from '#store/epoch.ts';

export interface StoredSegment {
  readonly firstUs: number;
  readonly periodNs: number;
  readonly arrivalUs: number;
  readonly count: number;
}

export interface StoredChunk {
  readonly orgId: string;
  readonly streamId: string;
  readonly epoch: string;
  readonly firstSeq: number;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly segments: readonly StoredSegment[];
  /** Microseconds after the start of the segment, one a reading; null when evenly spaced. */
  readonly deltas: readonly number[] | null;
  /** The packed readings. */
  readonly data: Buffer;
}

/** Inserts one chunk, today, as kymo_writer, and adds its readings to the committed ranges. */
export async function storeChunk(writer: pg.Pool, chunk: StoredChunk): Promise<void> {
  const n = chunk.segments.reduce((sum, segment) => sum + segment.count, 0);
  const epoch = epochToInt8(chunk.epoch);
  await writer.query(
    `insert into kymo.chunk (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class,
        segments, deltas, data)
      values ($1, $2, $3, $4, $5, $6, $7, (now() at time zone 'utc')::date, 0, $8, $9, $10)`,
    [
      chunk.orgId,
      chunk.streamId,
      epoch,
      chunk.firstSeq,
      chunk.firstUs,
      chunk.lastUs,
      n,
      Buffer.concat(chunk.segments.map(packSegment)),
      chunk.deltas === null ? null : packDeltas(chunk.deltas),
      chunk.data,
    ],
  );
  await writer.query(
    `update kymo.stream_epoch set committed = committed + int8multirange(int8range($3, $4)),
        first_commit_day = coalesce(first_commit_day, (now() at time zone 'utc')::date),
        last_commit_day = (now() at time zone 'utc')::date, is_dirty = true, committed_at = now()
      where stream_id = $1 and epoch = $2`,
    [chunk.streamId, epoch, chunk.firstSeq, chunk.firstSeq + n],
  );
}

function packSegment({ count, periodNs, firstUs, arrivalUs }: StoredSegment): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt16LE(count, 0);
  bytes.writeUInt32LE(periodNs, 4);
  bytes.writeBigInt64LE(BigInt(firstUs), 8);
  bytes.writeBigInt64LE(BigInt(arrivalUs), 16);
  return bytes;
}

function packDeltas(deltas: readonly number[]): Buffer {
  const bytes = Buffer.alloc(deltas.length * 4);
  deltas.forEach((delta, i) => bytes.writeUInt32LE(delta, i * 4));
  return bytes;
}
