/**
 * Owns the writer's way into PostgreSQL: one connection of the role kymo_writer at a time, the steps of a flush as SQL
 * and COPY, and a side pool for what must not wait for a flush. Decides nothing: time-outs, retries and what a failure
 * means are the driver's (store/writer.ts). Bound: SIDE_CONNECTIONS and the one connection.
 */

import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { StreamHandle } from '#contract/readings.ts';
import { CHUNK_COPY_SQL, createChunkEncoder, type ChunkEncoder } from '#store/chunk-copy.ts';
import { epochToInt8, int8ToEpoch } from '#store/epoch.ts';
import type { Chunk } from '#store/flush-plan.ts';
import { formatMultirange, parseMultirange } from '#store/multirange.ts';
import { ensurePartitions, type DayShift } from '#store/partitions.ts';
import type { WriterConnection, WriterDatabase } from '#store/writer-connection.ts';
import type { GuardRow, RangeChange } from '#store/writer-machine.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** Making partitions, and ending a stuck peer while a flush waits for it. */
const SIDE_CONNECTIONS = 2;
const US_PER_DAY = 86_400_000_000;

/**
 * Set on every writer connection. A peer that stops inside a transaction frees its rows by the idle time-out, or by
 * `terminateBlockers` when it stands inside COPY, which no time-out ends.
 */
const SESSION_SETTINGS = `
  set lock_timeout = '10s';
  set statement_timeout = '25s';
  set idle_in_transaction_session_timeout = '3s';
  set synchronous_commit = on;
  set timezone = 'UTC'`;

const LOCK_SQL = `
  select e.stream_id, e.epoch::text as epoch, e.committed::text as committed, e.lost::text as lost, e.generation,
         extract(epoch from now()) as now_s, (select kymo.log_position())::text as position
    from kymo.stream_epoch e
   where (e.stream_id, e.epoch) in (select * from unnest($1::uuid[], $2::int8[]))
   order by e.stream_id, e.epoch
     for update`;

const CHANGE_SQL = `
  update kymo.stream_epoch e
     set committed = e.committed + b.committed::int8multirange,
         lost = (e.lost - b.committed::int8multirange) + (b.lost::int8multirange - e.committed),
         first_commit_day = coalesce(e.first_commit_day, b.day),
         last_commit_day = coalesce(b.day, e.last_commit_day),
         generation = greatest(e.generation, b.generation),
         is_dirty = e.is_dirty or b.committed <> '{}',
         is_uncovered = e.is_uncovered or b.committed <> '{}' or b.lost <> '{}',
         committed_at = case when b.committed = '{}' then e.committed_at else now() end
    from (select *, case when committed <> '{}' or lost <> '{}' then $6::date end as day
            from unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::int8[])
                 c(stream_id, epoch, committed, lost, generation)) b
   where e.stream_id = b.stream_id and e.epoch = b.epoch`;

const LOSS_SQL = `
  insert into kymo.loss (org_id, stream_id, epoch, from_seq, to_seq, reason)
  select * from unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[], $5::int8[], $6::text[])`;

/**
 * Only backends of this role that wait for their client, and never one that is already committing. One that works is slow,
 * not stuck: two servers that ended each other's slow flushes of one stream would go on doing so, and none would commit.
 */
const TERMINATE_SQL = `
  select a.pid, pg_terminate_backend(a.pid) as ended
    from unnest(pg_blocking_pids($1)) b(pid) join pg_stat_activity a on a.pid = b.pid
   where a.usename = current_user and a.wait_event_type = 'Client' and a.query !~* '^\\s*commit'`;

interface LockedRow {
  stream_id: string;
  epoch: string;
  committed: string;
  lost: string;
  generation: string;
  now_s: string;
  position: string | null;
}

export interface PostgresWriterOptions {
  /** Of the role kymo_writer. */
  readonly connectionString: string;
  readonly log: Log;
  /** For benches and tests that make days pass: chunks are filed under the database's day and this many more. */
  readonly dayShift?: DayShift;
}

export function connectWriterDatabase(options: PostgresWriterOptions): WriterDatabase {
  const { connectionString, log, dayShift = () => 0 } = options;
  const encoder = createChunkEncoder();
  /** Where the database's log ended at the last flush. */
  let logPosition: string | null = null;
  const side = new pg.Pool({
    connectionString,
    max: SIDE_CONNECTIONS,
    application_name: 'kymo writer side',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: CONNECT_TIMEOUT_MS,
  });
  side.on('error', (error) => log.warn('an idle database connection broke', { error: error.message }));
  // One that breaks while it is lent out emits `error` too, after its statement has failed; unheard, it ends the process.
  side.on('connect', (lent) => lent.on('error', () => undefined));

  return {
    async connect(onLost) {
      const client = new pg.Client({
        connectionString,
        application_name: 'kymo writer',
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
        keepAlive: true,
      });
      client.on('error', onLost);
      client.on('end', onLost);
      try {
        await client.connect();
        await client.query(SESSION_SETTINGS);
        // Before anything is written: of a database whose files were put back the log grows past what was seen of it.
        await client.query('select kymo.incarnation($1::pg_lsn)', [logPosition]);
      } catch (error) {
        void client.end().catch(() => undefined);
        throw error;
      }
      return createPostgresConnection({
        client,
        side,
        encoder,
        dayShift,
        onLogPosition: (position) => void (logPosition = position),
      });
    },
    makePartitions: () => ensurePartitions(side, dayShift),
    end: () => side.end(),
  };
}

interface PostgresConnectionOptions {
  readonly client: pg.Client;
  readonly side: pg.Pool;
  readonly encoder: ChunkEncoder;
  readonly dayShift: DayShift;
  /** Of the database, at each flush; null where it does not tell. */
  readonly onLogPosition: (position: string | null) => void;
}

function createPostgresConnection(options: PostgresConnectionOptions): WriterConnection {
  const { client, side, encoder, dayShift } = options;
  let commitDayUs = 0;
  let transactionIsOpen = false;

  return {
    async lock(handles) {
      transactionIsOpen = true;
      await client.query('begin');
      const found = await lockRows(client, handles);
      if (found.nowUs !== null) commitDayUs = found.nowUs + dayShift() * US_PER_DAY;
      if (found.position !== undefined) options.onLogPosition(found.position);
      return found.rows;
    },
    async write(chunks, changes) {
      if (chunks.length > 0) await copyChunks(client, pack(encoder, chunks, commitDayUs));
      await changeRows(client, changes, new Date(commitDayUs / 1000).toISOString().slice(0, 10));
      await insertLosses(client, changes);
    },
    async commit() {
      const { command, warning } = await commitWithWarning(client);
      transactionIsOpen = false;
      // PostgreSQL answers COMMIT of a failed transaction without an error.
      if (command !== 'COMMIT') throw new Error(`commit was answered with ${command}`);
      // The wait for a synchronous standby was cancelled, by a time-out or a person: committed, and on this machine alone.
      // Tried again, the flush finds its ranges there, and its COMMIT waits for the standby once more.
      if (warning !== null) throw new Error(`committed without its standby: ${warning}`);
    },
    async rollback() {
      if (!transactionIsOpen) return;
      transactionIsOpen = false;
      await client.query('rollback');
    },
    async terminateBlockers() {
      const pid = (client as unknown as { processID?: number }).processID;
      if (pid === undefined) return [];
      const { rows } = await side.query<{ pid: number; ended: boolean }>(TERMINATE_SQL, [pid]);
      return rows;
    },
    destroy() {
      // end() would wait for a peer that may never answer; the socket is cut instead.
      (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    },
    end: () => client.end(),
  };
}

async function commitWithWarning(client: pg.Client): Promise<{ command: string; warning: string | null }> {
  let warning: string | null = null;
  const note = (notice: { severity?: string | undefined; message?: string | undefined }): void => {
    if (notice.severity === 'WARNING') warning = notice.message ?? '';
  };
  client.on('notice', note);
  try {
    const { command } = await client.query('commit');
    return { command, warning };
  } finally {
    client.off('notice', note);
  }
}

/** The guard rows, locked, and the database's time: its day, not this machine's, decides which partitions exist. */
async function lockRows(
  client: pg.Client,
  handles: readonly StreamHandle[],
): Promise<{ rows: GuardRow[]; nowUs: number | null; position: string | null | undefined }> {
  const streams = handles.map(({ definition }) => definition.stream);
  const epochs = handles.map(({ epoch }) => epochToInt8(epoch).toString());
  const found = await client.query<LockedRow>({
    name: 'kymo-lock',
    text: LOCK_SQL,
    values: [streams, epochs],
  });
  const nowS = found.rows[0]?.now_s;
  const rows = new Map<string, GuardRow>();
  for (const row of found.rows) {
    const key = `${row.stream_id}/${int8ToEpoch(row.epoch)}`;
    rows.set(key, {
      key,
      progress: { committed: parseMultirange(row.committed), lost: parseMultirange(row.lost) },
      generation: Number(row.generation),
    });
  }
  return {
    rows: handles.map(({ key }) => rows.get(key) ?? { key, progress: null, generation: 0 }),
    nowUs: nowS === undefined ? null : Number(nowS) * 1e6,
    position: found.rows[0]?.position,
  };
}

async function changeRows(client: pg.Client, changes: readonly RangeChange[], day: string): Promise<void> {
  const { rowCount } = await client.query({
    name: 'kymo-change',
    text: CHANGE_SQL,
    values: [
      changes.map((change) => change.source.handle.definition.stream),
      changes.map((change) => epochToInt8(change.source.handle.epoch).toString()),
      changes.map((change) => formatMultirange(change.committed)),
      changes.map((change) => formatMultirange(change.lost)),
      changes.map((change) => change.source.claim?.generation ?? 0),
      day,
    ],
  });
  // The rows are locked, so each change finds its own; if not, nothing of this may be committed.
  if (rowCount !== changes.length) throw dataError(`${changes.length} changes met ${rowCount} guard rows`);
}

async function insertLosses(client: pg.Client, changes: readonly RangeChange[]): Promise<void> {
  const losses = changes.flatMap(({ source, losses: list }) => list.map((loss) => ({ source, loss })));
  if (losses.length === 0) return;
  await client.query(LOSS_SQL, [
    losses.map(({ source }) => source.handle.orgId),
    losses.map(({ source }) => source.handle.definition.stream),
    losses.map(({ source }) => epochToInt8(source.handle.epoch).toString()),
    losses.map(({ loss }) => loss.from),
    losses.map(({ loss }) => loss.to),
    losses.map(({ loss }) => loss.reason),
  ]);
}

/** Rows that cannot be packed are refused like rows that the database refuses: their stream is looked for. */
function pack(encoder: ChunkEncoder, chunks: readonly Chunk[], commitDayUs: number): Buffer {
  try {
    return encoder.encode(chunks, commitDayUs);
  } catch (cause) {
    throw dataError(`a chunk cannot be packed: ${messageOf(cause)}`);
  }
}

/** One COPY of one buffer; resolves when the server has taken all of it. */
async function copyChunks(client: pg.Client, bytes: Buffer): Promise<void> {
  const stream = client.query(copyFrom(CHUNK_COPY_SQL));
  await new Promise<void>((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
    stream.end(bytes);
  });
}

/** data_exception, as the database itself would say it. */
function dataError(message: string): Error {
  return Object.assign(new Error(message), { code: '22000' });
}
