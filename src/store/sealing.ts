/**
 * Owns the moving of readings between hot and sealed rows, one bounded piece at a time. Packing happens before any lock;
 * then, under the guard's row lock and in one transaction, the new rows are inserted and exactly the rows that were read
 * are deleted, so that every reading is in one place at every moment and whoever else changed them first wins. Bound: a
 * piece holds one block's readings (sealed-codec.ts).
 */

import type pg from 'pg';

import { AppError, messageOf } from '#base/errors.ts';
import type { PackedChunk } from '#store/chunk-codec.ts';
import { makePartitions, partitionName, type ReadingTable } from '#store/partitions.ts';
import { blockLimits, packBlock, unpackBlock, type BlockLayout } from '#store/sealed-codec.ts';

/** Rows of one reading each, which a device that sends seldom makes, are read in lots of this many. */
const MAX_CHUNKS = 4_096;
/** A flush or another sealer holds a guard row for some milliseconds. */
const LOCK_MS = 2_000;

/** Where a piece begins: hot readings of one epoch that were committed on one day. */
export interface SealPiece {
  readonly streamId: string;
  /** As in the column: a bigint's text. */
  readonly epoch: string;
  /** `2026-01-31`, UTC. */
  readonly day: string;
  readonly retentionClass: number;
  readonly fromSeq: number;
}

/** Columns of kymo.chunk as `c` that say where a piece begins. */
export const PIECE_COLUMNS = `c.stream_id, c.epoch::text, c.first_seq, to_char(c.commit_day, 'YYYY-MM-DD') as day,
  c.retention_class`;

export interface PieceRow {
  readonly stream_id: string;
  readonly epoch: string;
  readonly first_seq: string;
  readonly day: string;
  readonly retention_class: number;
}

export function pieceOf(row: PieceRow): SealPiece {
  return {
    streamId: row.stream_id,
    epoch: row.epoch,
    day: row.day,
    retentionClass: row.retention_class,
    fromSeq: Number(row.first_seq),
  };
}

// The lateral form lets PostgreSQL leave out all partitions but the epoch's commit days.
const HOT_OF_STREAM_SQL = `
  select c.* from kymo.stream_epoch e
   cross join lateral (
     select ${PIECE_COLUMNS} from kymo.chunk c
      where c.stream_id = e.stream_id and c.epoch = e.epoch
        and c.commit_day between e.first_commit_day and e.last_commit_day
      order by c.first_seq limit 1) c
   where e.stream_id = $1 and not exists (select from kymo.seal_hold h where h.stream_id = $1)
   limit 1`;

/** Where hot readings of a stream begin, in one of its epochs; null when there are none, or the stream is held. */
export async function nextHotPiece(client: pg.ClientBase, streamId: string): Promise<SealPiece | null> {
  const { rows } = await client.query<PieceRow>(HOT_OF_STREAM_SQL, [streamId]);
  return rows[0] === undefined ? null : pieceOf(rows[0]);
}

export interface SealOutcome {
  /**
   * `sealed`: moved, more may follow. `done`: nothing hot is left of it. `lost`: someone else changed the rows in between,
   * erased or holds the stream; nothing was done.
   */
  readonly state: 'sealed' | 'done' | 'lost';
  /** Where the next piece of the same day begins. */
  readonly nextSeq: number;
  readonly readings: number;
  readonly chunks: number;
  readonly blocks: number;
  /** Of the hot rows' columns, and of the sealed ones'. */
  readonly plainBytes: number;
  readonly sealedBytes: number;
}

/**
 * Seals the next readings of `piece`, as kymo_writer. Throws AppError `damaged-readings` when hot rows contradict
 * themselves or what was packed does not unpack to the same; nothing is changed then.
 */
export async function sealNext(client: pg.ClientBase, piece: SealPiece): Promise<SealOutcome> {
  const rows = await readHot(client, piece);
  const last = rows.at(-1);
  const nextSeq = last === undefined ? piece.fromSeq : last.firstSeq + last.n;
  const nothing = { nextSeq, readings: 0, chunks: 0, blocks: 0, plainBytes: 0, sealedBytes: 0 };
  if (last === undefined) return { ...nothing, state: 'done' };
  const layout = await readLayout(client, piece.streamId);
  if (layout === null) return { ...nothing, state: 'lost' };
  const runs = await packRuns(rows, { piece, layout });
  await ensurePartition(client, 'sealed_chunk', piece);
  if (!(await swap(client, piece, { rows, runs }))) return { ...nothing, state: 'lost' };
  return {
    state: 'sealed',
    nextSeq,
    readings: rows.reduce((sum, row) => sum + row.n, 0),
    chunks: rows.length,
    blocks: runs.length,
    plainBytes: rows.reduce((sum, row) => sum + plainBytesOf(row), 0),
    sealedBytes: runs.reduce((sum, run) => sum + run.block.length, 0),
  };
}

/** A row of either table. */
interface StoredRow {
  readonly orgId: string;
  readonly firstSeq: number;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly n: number;
}

interface HotRow extends StoredRow, PackedChunk {}

interface SealedRow extends StoredRow {
  readonly block: Buffer;
}

// Rows of one stream are much alike, so the first tells how many make a block: the sums then go over few rows too many.
const HOT_SQL = `
  with due as not materialized (
    select * from kymo.chunk c
     where c.stream_id = $1 and c.epoch = $2 and c.commit_day = $3 and c.retention_class = $4 and c.first_seq >= $5),
  first as (select n, length(data) as bytes from due order by first_seq limit 1)
  select w.org_id, w.first_seq, w.first_us, w.last_us, w.n, w.segments, w.deltas, w.data from (
    select due.*, sum(n) over seq as readings, sum(length(data)) over seq as bytes, row_number() over seq as place
      from due
    window seq as (order by first_seq rows unbounded preceding)
     order by first_seq
     limit (select least(${MAX_CHUNKS},
                         16 + least(${blockLimits.readings} / n, ${blockLimits.dataBytes} / greatest(bytes, 1)))
              from first)) w
   where w.place = 1 or (w.readings <= ${blockLimits.readings} and w.bytes <= ${blockLimits.dataBytes})
   order by w.first_seq`;

async function readHot(client: pg.ClientBase, piece: SealPiece): Promise<HotRow[]> {
  const { streamId, epoch, day, retentionClass, fromSeq } = piece;
  const { rows } = await client.query<{
    org_id: string;
    first_seq: string;
    first_us: string;
    last_us: string;
    n: number;
    segments: Buffer;
    deltas: Buffer | null;
    data: Buffer;
  }>(HOT_SQL, [streamId, epoch, day, retentionClass, fromSeq]);
  return rows.map(({ n, segments, deltas, data, ...row }) => ({
    orgId: row.org_id,
    firstSeq: Number(row.first_seq),
    firstUs: Number(row.first_us),
    lastUs: Number(row.last_us),
    n,
    segments,
    deltas,
    data,
  }));
}

async function readLayout(client: pg.ClientBase, streamId: string): Promise<BlockLayout | null> {
  const { rows } = await client.query<BlockLayout>(
    `select jsonb_array_length(axes) as "axisCount", encoding from kymo.stream where id = $1`,
    [streamId],
  );
  return rows[0] ?? null;
}

/** A block for each run of readings without a gap. */
async function packRuns(
  rows: readonly HotRow[],
  { piece, layout }: { piece: SealPiece; layout: BlockLayout },
): Promise<SealedRow[]> {
  const runs: HotRow[][] = [];
  for (const row of rows) {
    const run = runs.at(-1);
    const before = run?.at(-1);
    if (run !== undefined && before !== undefined && before.firstSeq + before.n === row.firstSeq)
      run.push(row);
    else runs.push([row]);
  }
  const packed: SealedRow[] = [];
  for (const run of runs) {
    const first = run[0]!;
    try {
      const block = await packBlock(run, layout);
      const unpacked = unpackBlock(block);
      if (!unpacked.ok) throw new Error(`what was packed does not unpack: ${unpacked.error}`);
      packed.push({
        orgId: first.orgId,
        firstSeq: first.firstSeq,
        firstUs: run.reduce((least, row) => Math.min(least, row.firstUs), first.firstUs),
        lastUs: run.reduce((most, row) => Math.max(most, row.lastUs), first.lastUs),
        n: unpacked.value.n,
        block,
      });
    } catch (cause) {
      throw new AppError(
        'damaged-readings',
        `stream ${piece.streamId}, readings from ${first.firstSeq}, cannot be sealed: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
  return packed;
}

const INSERT_SEALED_SQL = `
  insert into kymo.sealed_chunk
    (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class, block)
  values ($5, $1, $2, $6, $7, $8, $9, $3, $4, $10)`;

const DELETE_HOT_SQL = `
  delete from kymo.chunk c using unnest($5::int8[], $6::int4[]) as was(first_seq, n)
   where c.stream_id = $1 and c.epoch = $2 and c.commit_day = $3 and c.retention_class = $4
     and c.first_seq = was.first_seq and c.n = was.n`;

/** True when the rows were moved; false when they are not as they were read. */
async function swap(
  client: pg.ClientBase,
  piece: SealPiece,
  { rows, runs }: { rows: readonly HotRow[]; runs: readonly SealedRow[] },
): Promise<boolean> {
  const where = [piece.streamId, piece.epoch, piece.day, piece.retentionClass];
  return underGuard(client, piece, async () => {
    const held = await client.query('select from kymo.seal_hold where stream_id = $1', [piece.streamId]);
    if (held.rowCount !== 0) return false;
    for (const run of runs)
      await client.query(INSERT_SEALED_SQL, [
        ...where,
        run.orgId,
        run.firstSeq,
        run.firstUs,
        run.lastUs,
        run.n,
        run.block,
      ]);
    const deleted = await client.query(DELETE_HOT_SQL, [
      ...where,
      rows.map((row) => row.firstSeq),
      rows.map((row) => row.n),
    ]);
    if (deleted.rowCount !== rows.length) return false;
    await client.query(NOTE_SEALED_SQL, [piece.streamId]);
    return true;
  });
}

/**
 * A stream that ended is sealed when none of its readings is hot any more. One statement, so that it sees one state: what
 * another epoch commits at this moment comes after, and counts as late.
 */
const NOTE_SEALED_SQL = `
  insert into kymo.stream_sealing as known (stream_id, org_id, sealed_readings)
  select s.id, s.org_id, stored.readings
    from kymo.stream s
   cross join lateral (
     select sum(upper(r) - lower(r)) as readings
       from kymo.stream_epoch e cross join lateral unnest(e.committed) r where e.stream_id = s.id) stored
   where s.id = $1 and s.ended_at is not null and stored.readings > 0
     and not exists (select from kymo.chunk c where c.stream_id = s.id)
  on conflict (stream_id) do update
     set sealed_readings = excluded.sealed_readings, revision = known.revision + 1
   where known.sealed_readings < excluded.sealed_readings`;

/** Notes that an ended stream is sealed, if it is. Moving its last readings does that too, unless another moves some as well. */
export async function noteSealed(db: pg.Pool | pg.ClientBase, streamId: string): Promise<void> {
  await db.query(NOTE_SEALED_SQL, [streamId]);
}

/**
 * Runs `change` in a transaction that holds the guard's row of this (stream, epoch); commits when it says true. False
 * when there is no such row, or `change` says so: then nothing is changed.
 */
export async function underGuard(
  client: pg.ClientBase,
  key: { streamId: string; epoch: string },
  change: () => Promise<boolean>,
): Promise<boolean> {
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = ${LOCK_MS}`);
    const guard = await client.query(
      'select from kymo.stream_epoch where stream_id = $1 and epoch = $2 for update',
      [key.streamId, key.epoch],
    );
    if (guard.rowCount === 1 && (await change())) {
      await client.query('commit');
      return true;
    }
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
  await client.query('rollback');
  return false;
}

/** Makes the day's partition when it is absent, in a transaction of its own. */
export async function ensurePartition(
  client: pg.ClientBase,
  table: ReadingTable,
  { retentionClass, day }: { retentionClass: number; day: string },
): Promise<void> {
  const name = partitionName({ table, retentionClass, day });
  const { rows } = await client.query<{ exists: boolean }>('select to_regclass($1) is not null as exists', [
    `kymo.${name}`,
  ]);
  if (rows[0]?.exists === true) return;
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = ${LOCK_MS}`);
    await makePartitions(client, [{ retentionClass, day }]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

function plainBytesOf({ segments, deltas, data }: PackedChunk): number {
  return segments.length + (deltas?.length ?? 0) + data.length;
}
