/**
 * Owns the writer's driver: carries out the effects of the writer machine on a database and reports back. One connection,
 * one transaction at a time. Any step that takes longer than STEP_TIMEOUT_MS is abandoned by destroying the connection,
 * whose outcome the guard then resolves. Knows no SQL: PostgreSQL is store/postgres-writer.ts, the simulator has a model.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { StoreSink } from '#contract/readings.ts';
import type { WriterConnection, WriterDatabase } from '#store/writer-connection.ts';
import {
  createWriterMachine,
  type FailureKind,
  type WriterConfig,
  type WriterCounters,
  type WriterEffect,
  type WriterEvent,
  type WriterPhase,
} from '#store/writer-machine.ts';

/** Longer than any healthy COPY of one batch by two orders of magnitude. */
const STEP_TIMEOUT_MS = 30_000;
const ROLLBACK_TIMEOUT_MS = 5_000;

export interface Writer extends StoreSink {
  readonly counters: Readonly<WriterCounters>;
  readonly isStalled: boolean;
  /** Why nothing is stored, for people; null while the database takes readings. */
  readonly stallReason: string | null;
  readonly phase: WriterPhase;
  /** Taken from their buffers and not settled: at most one batch. */
  readonly heldReadings: number;
  /** Makes the partitions of the days to come. Once before the first flush, then about hourly. */
  preparePartitions(): Promise<void>;
  /** Writes everything that waits; resolves when it is committed or after `timeoutMs` (then false). */
  drain(timeoutMs: number): Promise<boolean>;
  stop(): Promise<void>;
}

export interface WriterOptions {
  /** Ended with the writer. */
  readonly database: WriterDatabase;
  readonly config: WriterConfig;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

export function createWriter(options: WriterOptions): Writer {
  const { database, clock, log } = options;
  const machine = createWriterMachine(options.config, options.random);
  const drained = new Set<() => void>();
  let connection: WriterConnection | null = null;
  let cancelWake: (() => void) | null = null;
  let isStopped = false;
  /** Counts abandoned connections, so that work which outlives its time-out cannot bring an old one back. */
  let attempt = 0;
  /** Gives up the step under way; does nothing between steps. */
  let giveUpStep = (): void => undefined;
  /** Of the last step that failed. */
  let failure: unknown = null;

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
        step(async () => {
          const locking = await connect();
          return { type: 'locked', rows: await locking.lock(effect.sources.map(({ handle }) => handle)) };
        });
        return;
      case 'write':
        step(async () => {
          await connected().write(effect.chunks, effect.changes);
          return { type: 'written' };
        });
        return;
      case 'commit':
        step(async () => {
          await connected().commit();
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
        void database
          .makePartitions()
          .catch((error: unknown) => log.error('partitions could not be made', { error: messageOf(error) }));
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
    const giveUp = (message: string): void => {
      if (!isOver) failure = null;
      finish({ type: 'failed', kind: 'gone', message });
    };
    const cancel = clock.after(STEP_TIMEOUT_MS, () => {
      discard();
      giveUp('the database did not answer in time');
    });
    giveUpStep = () => giveUp('the database is another one than before');
    work().then(finish, (error: unknown) => {
      const kind = failureKindOf(error);
      failure = error;
      log.warn('a flush failed and will be tried again', {
        kind,
        error: messageOf(error),
        ...(codeOf(error) === DISK_FULL ? { reason: stallReasonOf(error) } : {}),
      });
      finish({ type: 'failed', kind, message: messageOf(error) });
    });
  }

  function connected(): WriterConnection {
    if (connection === null) throw connectionLost();
    return connection;
  }

  async function connect(): Promise<WriterConnection> {
    if (connection !== null) return connection;
    const mine = attempt;
    let fresh: WriterConnection | null = null;
    let isLost = false;
    // A lost connection shows itself in the step that uses it; between steps it only has to be forgotten.
    fresh = await database.connect(() => {
      isLost = true;
      if (connection === fresh) connection = null;
    });
    if (mine !== attempt || isStopped) {
      void fresh.end().catch(() => undefined);
      throw new Error('the attempt was abandoned');
    }
    if (isLost) throw connectionLost();
    connection = fresh;
    return fresh;
  }

  function discard(): void {
    attempt++;
    const old = connection;
    connection = null;
    old?.destroy();
  }

  async function rollback(): Promise<void> {
    const old = connection;
    if (old === null) return;
    let cancel = (): void => undefined;
    const timeout = new Promise<never>((_, reject) => {
      cancel = clock.after(ROLLBACK_TIMEOUT_MS, () => reject(new Error('rollback took too long')));
    });
    try {
      await Promise.race([old.rollback(), timeout]);
    } catch {
      if (connection === old) discard();
    } finally {
      cancel();
    }
  }

  async function terminateBlockers(): Promise<void> {
    try {
      for (const { pid, ended } of (await connection?.terminateBlockers()) ?? [])
        log.warn('ended a stuck writer that held guard rows', { pid, ended });
    } catch (error) {
      log.warn('blockers could not be looked at', { error: messageOf(error) });
    }
  }

  return {
    preparePartitions: () => database.makePartitions(),
    due: (source) => dispatch({ type: 'due', source }),
    renew() {
      discard();
      giveUpStep();
    },
    counters: machine.counters,
    get isStalled() {
      return machine.isStalled;
    },
    get stallReason() {
      return machine.isStalled ? stallReasonOf(failure) : null;
    },
    get phase() {
      return machine.phase;
    },
    get heldReadings() {
      return machine.heldReadings;
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
      const old = connection;
      connection = null;
      await Promise.all([old?.end().catch(() => undefined), database.end()]);
    },
  };
}

/** connection_failure, as the database itself would say it. */
function connectionLost(): Error {
  return Object.assign(new Error('connection lost'), { code: '08006' });
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}

/** disk_full. */
const DISK_FULL = '53100';

function stallReasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case DISK_FULL:
      return 'the disk of the database is full: make room there; devices keep their readings, and all goes on by itself';
    // read_only_sql_transaction.
    case '25006':
      return 'the database is read-only, as a standby is';
    default:
      return 'the database does not take readings';
  }
}

/** SQLSTATE to what the machine has to do about it (PostgreSQL documentation, appendix A). */
export function failureKindOf(error: unknown): FailureKind {
  const code = codeOf(error);
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
