/**
 * Owns the way back: the sealed readings of a session become plain hot chunks again, which plain SQL can read, and its
 * streams are held so that the sealer leaves them alone until someone lets go. One sealed row at a time, under the guard's
 * row lock, so that an interruption leaves some rows in either form and every reading in exactly one.
 */

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import { decodeTimes, type PackedChunk } from '#store/chunk-codec.ts';
import { unpackChunks } from '#store/chunk-reader.ts';
import { ensurePartition, nextHotPiece, noteSealed, sealNext, underGuard } from '#store/sealing.ts';

/** What the writer makes of a flush of a fast stream (flush-plan.ts). */
const HOT_READINGS = 500;
const SEGMENT_BYTES = 24;
/** Dropping a day takes retention some steps, of which each waits for readers for seconds at most. */
const DAY_ATTEMPTS = 60;
const DAY_WAIT_S = 0.5;

export interface SealingProgress {
  readonly readings: number;
  /** Of all that there were when it began. */
  readonly of: number;
}

export interface SealingOptions {
  readonly onProgress?: (progress: SealingProgress) => void;
  /** Stops between two rows; what was done stays done. */
  readonly signal?: AbortSignal;
}

export interface SealingReport {
  readonly streams: number;
  readonly readings: number;
  /** Sealed rows, unpacked or made. */
  readonly blocks: number;
}

/**
 * Writes the sealed readings of a session back as hot chunks and holds its streams. As kymo_writer. Throws AppError
 * `not-found`, and `damaged-readings` after all others were written when rows failed their checksum; these stay sealed.
 */
export async function unsealSession(
  db: pg.Pool,
  sessionId: string,
  { onProgress, signal }: SealingOptions = {},
): Promise<SealingReport> {
  const streams = await streamsOf(db, sessionId);
  const client = await db.connect();
  try {
    for (const { id } of streams) await hold(client, id);
    const of = await countReadings(client, 'sealed_chunk', streams);
    const damage: AppError[] = [];
    let readings = 0;
    let blocks = 0;
    for (const { id } of streams) {
      let after: { epoch: string; seq: string } | null = null;
      for (;;) {
        signal?.throwIfAborted();
        const row: SealedRow | null = await nextSealed(client, id, after);
        if (row === null) break;
        after = { epoch: row.epoch, seq: row.first_seq };
        try {
          if (await unsealRow(client, row)) blocks++;
        } catch (error) {
          if (!(error instanceof AppError) || error.code !== 'damaged-readings') throw error;
          damage.push(error);
        }
        readings += row.n;
        onProgress?.({ readings, of });
      }
    }
    if (damage.length > 0)
      throw new AppError(
        'damaged-readings',
        `${damage.length} of ${blocks + damage.length} sealed rows are damaged and stay as they are: ` +
          damage[0]!.message,
        { cause: damage[0] },
      );
    return { streams: streams.length, readings, blocks };
  } finally {
    client.release();
  }
}

/**
 * Lets the sealer have the streams of a session again, and seals now those that have ended. As kymo_writer. Throws
 * AppError `not-found`, or what sealNext throws.
 */
export async function sealSession(
  db: pg.Pool,
  sessionId: string,
  { onProgress, signal }: SealingOptions = {},
): Promise<SealingReport> {
  const streams = await streamsOf(db, sessionId);
  const client = await db.connect();
  try {
    await client.query('delete from kymo.seal_hold where stream_id = any($1)', [streams.map(({ id }) => id)]);
    const ended = streams.filter((stream) => stream.ended);
    const of = await countReadings(client, 'chunk', ended);
    let readings = 0;
    let blocks = 0;
    for (const { id } of ended) {
      let piece = await nextHotPiece(client, id);
      while (piece !== null) {
        signal?.throwIfAborted();
        const outcome = await sealNext(client, piece);
        readings += outcome.readings;
        blocks += outcome.blocks;
        onProgress?.({ readings, of });
        if (outcome.state === 'lost')
          throw new AppError('conflict', 'another sealer is at work on this session: try again', {
            temporary: true,
          });
        piece =
          outcome.state === 'sealed'
            ? { ...piece, fromSeq: outcome.nextSeq }
            : await nextHotPiece(client, id);
      }
      await noteSealed(client, id);
    }
    return { streams: ended.length, readings, blocks };
  } finally {
    client.release();
  }
}

interface SessionStream {
  readonly id: string;
  readonly ended: boolean;
}

async function streamsOf(db: pg.Pool, sessionId: string): Promise<SessionStream[]> {
  const isId = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(sessionId);
  if (!isId) throw new AppError('invalid-field', `"${sessionId}" is not the id of a session`);
  const { rows } = await db.query<SessionStream>(
    'select id, ended_at is not null as ended from kymo.stream where session_id = $1 order by id',
    [sessionId],
  );
  if (rows.length === 0) throw new AppError('not-found', `there is no session ${sessionId}, or it is empty`);
  return rows;
}

/** Under the guard's locks: a sealer that is at work has committed before, or sees the hold. */
async function hold(client: pg.ClientBase, streamId: string): Promise<void> {
  await client.query('begin');
  try {
    await client.query("set local lock_timeout = '5s'");
    await client.query(
      'select from kymo.stream_epoch where stream_id = $1 order by stream_id, epoch for update',
      [streamId],
    );
    await client.query(
      `insert into kymo.seal_hold (stream_id, org_id)
       select id, org_id from kymo.stream where id = $1 on conflict do nothing`,
      [streamId],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function countReadings(
  client: pg.ClientBase,
  table: 'chunk' | 'sealed_chunk',
  streams: readonly SessionStream[],
): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `select coalesce(sum(n), 0)::float8 as n from kymo.${table} where stream_id = any($1)`,
    [streams.map(({ id }) => id)],
  );
  return rows[0]!.n;
}

interface SealedRow {
  readonly org_id: string;
  readonly stream_id: string;
  readonly epoch: string;
  readonly first_seq: string;
  readonly first_us: string;
  readonly last_us: string;
  readonly n: number;
  readonly day: string;
  readonly retention_class: number;
  readonly block: Buffer;
}

async function nextSealed(
  client: pg.ClientBase,
  streamId: string,
  after: { epoch: string; seq: string } | null,
): Promise<SealedRow | null> {
  const { rows } = await client.query<SealedRow>(
    `select org_id, stream_id, epoch::text, first_seq, first_us, last_us, n, to_char(commit_day, 'YYYY-MM-DD') as day,
            retention_class, block
       from kymo.sealed_chunk
      where stream_id = $1 and ($2::int8 is null or (epoch, first_seq) > ($2::int8, $3::int8))
      order by epoch, first_seq limit 1`,
    [streamId, after?.epoch ?? null, after?.seq ?? null],
  );
  return rows[0] ?? null;
}

const DELETE_SEALED_SQL = `
  delete from kymo.sealed_chunk
   where stream_id = $1 and epoch = $2 and commit_day = $3 and retention_class = $4 and first_seq = $5 and n = $6`;

const INSERT_HOT_SQL = `
  insert into kymo.chunk (org_id, stream_id, epoch, commit_day, retention_class,
      first_seq, first_us, last_us, n, segments, deltas, data)
  select $5, $1, $2, $3, $4, b.* from unnest($6::int8[], $7::int8[], $8::int8[], $9::int4[], $10::bytea[], $11::bytea[],
      $12::bytea[]) b(first_seq, first_us, last_us, n, segments, deltas, data)`;

/** False when someone else changed the row, or its stream was erased. */
async function unsealRow(client: pg.ClientBase, row: SealedRow): Promise<boolean> {
  const [plain] = unpackChunks([row]);
  const chunks = cutChunk({ ...plain!, firstSeq: Number(row.first_seq) });
  const day = { retentionClass: row.retention_class, day: row.day };
  for (let attempt = 1; ; attempt++) {
    await ensurePartition(client, 'chunk', day);
    try {
      return await writeBack(client, row, chunks);
    } catch (error) {
      if (!lacksPartition(error)) throw error;
      if (attempt === DAY_ATTEMPTS)
        throw new AppError('conflict', `the day ${row.day} is being dropped: try again`, {
          temporary: true,
          cause: error,
        });
      // Retention took the empty day out just before it saw that this stream is held, and now puts it back or drops it.
      await client.query('select pg_sleep($1)', [DAY_WAIT_S]);
    }
  }
}

/** check_violation without a constraint name: the day has no partition, or none that is attached. */
function lacksPartition(error: unknown): boolean {
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  return code === '23514' && constraint === undefined;
}

function writeBack(client: pg.ClientBase, row: SealedRow, chunks: readonly HotChunk[]): Promise<boolean> {
  const where = [row.stream_id, row.epoch, row.day, row.retention_class];
  return underGuard(client, { streamId: row.stream_id, epoch: row.epoch }, async () => {
    const deleted = await client.query(DELETE_SEALED_SQL, [...where, row.first_seq, row.n]);
    if (deleted.rowCount !== 1) return false;
    await client.query(INSERT_HOT_SQL, [
      ...where,
      row.org_id,
      chunks.map((chunk) => chunk.firstSeq),
      chunks.map((chunk) => chunk.firstUs),
      chunks.map((chunk) => chunk.lastUs),
      chunks.map((chunk) => chunk.n),
      chunks.map((chunk) => chunk.segments),
      chunks.map((chunk) => chunk.deltas),
      chunks.map((chunk) => chunk.data),
    ]);
    return true;
  });
}

interface HotChunk extends PackedChunk {
  readonly firstSeq: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

/** Chunks of whole segments with at most HOT_READINGS readings, or one segment with more. */
function cutChunk(plain: PackedChunk & { readonly firstSeq: number }): HotChunk[] {
  const { segments, deltas, data } = plain;
  const counts = new DataView(segments.buffer, segments.byteOffset, segments.byteLength);
  const times = decodeTimes(plain);
  const readingBytes = data.length / plain.n;
  const chunks: HotChunk[] = [];
  let reading = 0;
  for (let at = 0; at < segments.length;) {
    const firstAt = at;
    const first = reading;
    do {
      reading += counts.getUint16(at, true);
      at += SEGMENT_BYTES;
    } while (at < segments.length && reading - first + counts.getUint16(at, true) <= HOT_READINGS);
    const ownTimes = times.subarray(first, reading);
    chunks.push({
      firstSeq: plain.firstSeq + first,
      firstUs: ownTimes.reduce((least, timeUs) => Math.min(least, timeUs), ownTimes[0]!),
      lastUs: ownTimes.reduce((most, timeUs) => Math.max(most, timeUs), ownTimes[0]!),
      n: reading - first,
      segments: segments.subarray(firstAt, at),
      deltas: deltas === null ? null : deltas.subarray(first * 4, reading * 4),
      data: data.subarray(first * readingBytes, reading * readingBytes),
    });
  }
  return chunks;
}
