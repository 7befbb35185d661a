/**
 * Owns the writer's connection: carries out the effects of the writer machine on PostgreSQL and reports back. One
 * connection of the role kymo_writer, one transaction at a time. Any step that takes longer than STEP_TIMEOUT_MS is
 * abandoned by destroying the connection, whose outcome the guard then resolves.
 */

import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { FrameSource, StoreSink } from '#contract/readings.ts';
import { CHUNK_COPY_SQL, createChunkEncoder } from '#store/chunk-copy.ts';
import { epochToInt8, int8ToEpoch } from '#store/epoch.ts';
import type { Chunk } from '#store/flush-plan.ts';
import { formatMultirange, parseMultirange } from '#store/multirange.ts';
import { ensurePartitions, type DayShift } from '#store/partitions.ts';
import {
  createWriterMachine,
  type FailureKind,
  type GuardRow,
  type RangeChange,
  type WriterConfig,
  type WriterCounters,
  type WriterEffect,
  type WriterEvent,
} from '#store/writer-machine.ts';

/** Longer than any healthy COPY of one batch by two orders of magnitude. */
const STEP_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;

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
  select e.stream_id, e.epoch::text as epoch, e.committed::text as committed, e.lost::text as lost,
         extract(epoch from now()) as now_s
    from kymo.stream_epoch e
   where (e.stream_id, e.epoch) in (select * from unnest($1::uuid[], $2::int8[]))
   order by e.stream_id, e.epoch
     for update`;

const CHANGE_SQL = `
  update kymo.stream_epoch e
     set committed = e.committed + b.committed::int8multirange,
         lost = (e.lost - b.committed::int8multirange) + (b.lost::int8multirange - e.committed),
         first_commit_day = coalesce(e.first_commit_day, $5::date),
         last_commit_day = $5::date,
         is_dirty = e.is_dirty or b.committed <> '{}',
         committed_at = case when b.committed = '{}' then e.committed_at else now() end
    from unnest($1::uuid[], $2::int8[], $3::text[], $4::text[]) b(stream_id, epoch, committed, lost)
   where e.stream_id = b.stream_id and e.epoch = b.epoch`;

const LOSS_SQL = `
  insert into kymo.loss (org_id, stream_id, epoch, from_seq, to_seq, reason)
  select * from unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[], $5::int8[], $6::text[])`;

/** Only backends of this role, never one that is already committing: that one needs nothing from its client. */
const TERMINATE_SQL = `
  select a.pid, pg_terminate_backend(a.pid) as ended
    from unnest(pg_blocking_pids($1)) b(pid) join pg_stat_activity a on a.pid = b.pid
   where a.usename = current_user and a.query !~* '^\\s*commit'`;

interface LockedRow {
  stream_id: string;
  epoch: string;
  committed: string;
  lost: string;
  now_s: string;
}

export interface Writer extends StoreSink {
  readonly counters: Readonly<WriterCounters>;
  readonly isStalled: boolean;
  /** Makes the partitions of the days to come. Once before the first flush, then about hourly. */
  preparePartitions(): Promise<void>;
  /** Writes everything that waits; resolves when it is committed or after `timeoutMs` (then false). */
  drain(timeoutMs: number): Promise<boolean>;
  stop(): Promise<void>;
}

export interface WriterOptions {
  /** Of the role kymo_writer. */
  readonly connectionString: string;
  readonly config: WriterConfig;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** For benches and tests that make days pass: chunks are filed under the database's day and this many more. */
  readonly dayShift?: DayShift;
}

const US_PER_DAY = 86_400_000_000;

export function createWriter(options: WriterOptions): Writer {
  const { clock, log, dayShift = () => 0 } = options;
  const machine = createWriterMachine(options.config, options.random);
  const encoder = createChunkEncoder();
  // Beside the flushes: making partitions, and ending a stuck peer while a flush waits for it.
  const side = new pg.Pool({
    connectionString: options.connectionString,
    max: 2,
    application_name: 'kymo writer side',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: CONNECT_TIMEOUT_MS,
  });
  side.on('error', (error) => log.warn('an idle database connection broke', { error: error.message }));
  // One that breaks while it is lent out emits `error` too, after its statement has failed; unheard, it ends the process.
  side.on('connect', (lent) => lent.on('error', () => undefined));
  const drained = new Set<() => void>();
  let client: pg.Client | null = null;
  let cancelWake: (() => void) | null = null;
  let isStopped = false;
  let commitDayUs = 0;
  let transactionIsOpen = false;
  /** Counts abandoned connections, so that work which outlives its time-out cannot bring an old one back. */
  let attempt = 0;

  /** Events in order: a source that answers `settled` by offering more must not re-enter the machine. */
  const inbox: WriterEvent[] = [];
  let isDispatching = false;

  function dispatch(event: WriterEvent): void {
    if (isStopped) return;
    inbox.push(event);
    if (isDispatching) return;
    isDispatching = true;
    try {
      for (let next = inbox.shift(); next !== undefined; next = inbox.shift())
        for (const effect of machine.handle(next, clock.monotonicMs())) run(effect);
    } finally {
      isDispatching = false;
    }
    if (machine.isIdle) {
      for (const done of drained) done();
      drained.clear();
    }
  }

  function run(effect: WriterEffect): void {
    switch (effect.type) {
      case 'wake':
        cancelWake?.();
        cancelWake = clock.after(Math.max(0, effect.atMs - clock.monotonicMs()), () =>
          dispatch({ type: 'tick' }),
        );
        return;
      case 'lock':
        step(async () => ({ type: 'locked', rows: await lock(effect.sources) }));
        return;
      case 'write':
        step(async () => {
          await write(effect.chunks, effect.changes);
          return { type: 'written' };
        });
        return;
      case 'commit':
        step(async () => {
          const { command } = await connected().query('commit');
          transactionIsOpen = false;
          // PostgreSQL answers COMMIT of a failed transaction without an error.
          if (command !== 'COMMIT') throw new Error(`commit was answered with ${command}`);
          return { type: 'committed' };
        });
        return;
      case 'rollback':
        void rollback().then(() => dispatch({ type: 'rolledBack' }));
        return;
      case 'terminateBlockers':
        void terminateBlockers();
        return;
      case 'makePartitions':
        void ensurePartitions(side, dayShift).catch((error: unknown) =>
          log.error('partitions could not be made', { error: messageOf(error) }),
        );
        return;
    }
  }

  /** Runs one step against the clock and reports how it went. */
  function step(work: () => Promise<WriterEvent>): void {
    let isOver = false;
    const finish = (event: WriterEvent): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      dispatch(event);
    };
    const cancel = clock.after(STEP_TIMEOUT_MS, () => {
      discard();
      finish({ type: 'failed', kind: 'gone', message: 'the database did not answer in time' });
    });
    work().then(finish, (error: unknown) => {
      const kind = failureKindOf(error);
      log.warn('a flush failed and will be tried again', { kind, error: messageOf(error) });
      finish({ type: 'failed', kind, message: messageOf(error) });
    });
  }

  function connected(): pg.Client {
    if (client === null) throw Object.assign(new Error('connection lost'), { code: '08006' });
    return client;
  }

  async function connect(): Promise<pg.Client> {
    if (client !== null) return client;
    const fresh = new pg.Client({
      connectionString: options.connectionString,
      application_name: 'kymo writer',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    // A lost connection shows itself in the step that uses it; between steps it only has to be forgotten.
    const forget = (): void => {
      if (client === fresh) client = null;
    };
    fresh.on('error', forget);
    fresh.on('end', forget);
    const mine = attempt;
    try {
      await fresh.connect();
      await fresh.query(SESSION_SETTINGS);
      if (mine !== attempt || isStopped) throw new Error('the attempt was abandoned');
    } catch (error) {
      void fresh.end().catch(() => undefined);
      throw error;
    }
    client = fresh;
    return fresh;
  }

  function discard(): void {
    attempt++;
    const old = client;
    client = null;
    transactionIsOpen = false;
    if (old !== null) {
      // end() would wait for a peer that may never answer; the socket is cut instead.
      (old as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    }
  }

  async function lock(sources: readonly FrameSource[]): Promise<GuardRow[]> {
    const db = await connect();
    transactionIsOpen = true;
    await db.query('begin');
    const streams = sources.map((source) => source.handle.definition.stream);
    const epochs = sources.map((source) => epochToInt8(source.handle.epoch).toString());
    const found = await db.query<LockedRow>({ name: 'kymo-lock', text: LOCK_SQL, values: [streams, epochs] });
    // The database's day, not this machine's: it decides which partitions exist.
    const nowS = found.rows[0]?.now_s;
    if (nowS !== undefined) commitDayUs = Number(nowS) * 1e6 + dayShift() * US_PER_DAY;
    const rows = new Map<string, GuardRow>();
    for (const row of found.rows) {
      const key = `${row.stream_id}/${int8ToEpoch(row.epoch)}`;
      rows.set(key, {
        key,
        progress: { committed: parseMultirange(row.committed), lost: parseMultirange(row.lost) },
      });
    }
    return sources.map(({ handle }) => rows.get(handle.key) ?? { key: handle.key, progress: null });
  }

  async function write(chunks: readonly Chunk[], changes: readonly RangeChange[]): Promise<void> {
    const db = connected();
    if (chunks.length > 0) await copyChunks(db, packRows(chunks));
    const { rowCount } = await db.query({
      name: 'kymo-change',
      text: CHANGE_SQL,
      values: [
        changes.map((change) => change.source.handle.definition.stream),
        changes.map((change) => epochToInt8(change.source.handle.epoch).toString()),
        changes.map((change) => formatMultirange(change.committed)),
        changes.map((change) => formatMultirange(change.lost)),
        new Date(commitDayUs / 1000).toISOString().slice(0, 10),
      ],
    });
    // The rows are locked, so each change finds its own; if not, nothing of this may be committed.
    if (rowCount !== changes.length) throw dataError(`${changes.length} changes met ${rowCount} guard rows`);
    const losses = changes.flatMap(({ source, losses: list }) => list.map((loss) => ({ source, loss })));
    if (losses.length > 0)
      await db.query(LOSS_SQL, [
        losses.map(({ source }) => source.handle.orgId),
        losses.map(({ source }) => source.handle.definition.stream),
        losses.map(({ source }) => epochToInt8(source.handle.epoch).toString()),
        losses.map(({ loss }) => loss.from),
        losses.map(({ loss }) => loss.to),
        losses.map(({ loss }) => loss.reason),
      ]);
  }

  /** Rows that cannot be packed are refused like rows that the database refuses: their stream is looked for. */
  function packRows(chunks: readonly Chunk[]): Buffer {
    try {
      return encoder.encode(chunks, commitDayUs);
    } catch (cause) {
      throw dataError(`a chunk cannot be packed: ${messageOf(cause)}`);
    }
  }

  async function rollback(): Promise<void> {
    if (!transactionIsOpen || client === null) return;
    transactionIsOpen = false;
    const old = client;
    let cancel = (): void => undefined;
    const timeout = new Promise<never>((_, reject) => {
      cancel = clock.after(CONNECT_TIMEOUT_MS, () => reject(new Error('rollback took too long')));
    });
    try {
      await Promise.race([old.query('rollback'), timeout]);
    } catch {
      if (client === old) discard();
    } finally {
      cancel();
    }
  }

  async function terminateBlockers(): Promise<void> {
    const pid = (client as unknown as { processID?: number } | null)?.processID;
    if (pid === undefined) return;
    try {
      const { rows } = await side.query<{ pid: number; ended: boolean }>(TERMINATE_SQL, [pid]);
      for (const row of rows)
        log.warn('ended a stuck writer that held guard rows', { pid: row.pid, ended: row.ended });
    } catch (error) {
      log.warn('blockers could not be looked at', { error: messageOf(error) });
    }
  }

  return {
    preparePartitions: () => ensurePartitions(side, dayShift),
    due: (source) => dispatch({ type: 'due', source }),
    counters: machine.counters,
    get isStalled() {
      return machine.isStalled;
    },
    async drain(timeoutMs) {
      if (machine.isIdle) return true;
      let cancel = (): void => undefined;
      const isDrained = await new Promise<boolean>((resolve) => {
        drained.add(() => resolve(true));
        cancel = clock.after(timeoutMs, () => resolve(false));
        dispatch({ type: 'flush' });
      });
      cancel();
      return isDrained;
    },
    async stop() {
      if (isStopped) return;
      isStopped = true;
      cancelWake?.();
      const old = client;
      client = null;
      await Promise.all([old?.end().catch(() => undefined), side.end()]);
    },
  };
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

/** SQLSTATE to what the machine has to do about it (PostgreSQL documentation, appendix A). */
export function failureKindOf(error: unknown): FailureKind {
  const code: unknown = (error as { code?: unknown } | null)?.code;
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return 'gone';
  // lock_not_available, deadlock_detected, serialization_failure, and our own idle time-out.
  if (code === '55P03' || code === '40P01' || code === '40001') return 'blocked';
  // check_violation without a constraint name: no partition for the commit day.
  if (code === '23514' && (error as { constraint?: unknown }).constraint === undefined) return 'partition';
  const category = code.slice(0, 2);
  // Data exceptions, integrity violations, program limits.
  if (category === '22' || category === '23' || category === '54') return 'data';
  return 'gone';
}
