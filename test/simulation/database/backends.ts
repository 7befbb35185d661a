/**
 * Owns the backends of the modelled database: one a connection, with at most one transaction, its locks and the times after
 * which the database itself ends a wait, a statement's or an idle transaction's. A statement is one event, except where it
 * waits for a lock. What a transaction changes is put at its COMMIT, all at once.
 */

import { assert } from '#base/assert.ts';
import type { RangeSet } from '#base/ranges.ts';
import type {
  CommittedChange,
  DatabaseCounters,
  StoredChunk,
} from '#test/simulation/database/database-types.ts';
import { createLocks, type LockMode, type LockOwner, type Locks } from '#test/simulation/database/locks.ts';
import type { Change, RowKind, Storage, Table } from '#test/simulation/database/storage.ts';
import type { Process, Scheduler } from '#test/simulation/scheduler.ts';

/** deadlock_timeout, as PostgreSQL has it by default. */
const DEADLOCK_MS = 1_000;

/** The settings of a connection. */
export interface BackendSettings {
  readonly role: 'kymo_writer' | 'kymo_app' | 'kymo_auth';
  /** The client's patience when it connects. */
  readonly connectMs: number;
  readonly lockMs: number;
  readonly statementMs: number;
  readonly idleInTransactionMs: number;
  /** `synchronous_commit`. */
  readonly durability: 'disk' | 'later';
}

export interface Backend {
  readonly pid: number;
  readonly process: Process;
  readonly settings: BackendSettings;
  readonly isAlive: boolean;
  /** A statement runs, or waits for a lock. */
  readonly isActive: boolean;
  /** Stands within COPY and waits for its client, which no time-out ends. */
  isCopying: boolean;
  readonly transaction: Transaction | null;
}

export interface Transaction extends LockOwner {
  readonly backend: Backend;
  /** Its number, by which others wait for its end. */
  readonly xid: number;
  /** now(). */
  readonly startedMs: number;
  readonly isAborted: boolean;
  durability: 'disk' | 'later';
  /** Whose rows the application role sees. */
  orgId: string | null;
  /** For those who watch commits. */
  readonly added: { key: string; added: RangeSet; declared: RangeSet; chunks: readonly StoredChunk[] }[];
  readonly changes: readonly Change[];
}

export interface Backends {
  readonly scheduler: Scheduler;
  readonly storage: Storage;
  readonly locks: Locks;
  readonly counters: DatabaseCounters;
  onCommit: ((change: CommittedChange) => void) | null;
  isDiskFull: boolean;
  /** Nobody connects before. */
  upAtMs: number;
  setLatency(minMs: number, maxMs: number): void;
  latencyMs(): number;
  freeze(forMs: number): void;
  /** Does something at the database, as soon as it does anything. */
  atServer(delayMs: number, action: () => void): void;
  /** `onEnd` hears when the backend ended by itself: with what it said at the end, or null when it was cut off. */
  start(process: Process, settings: BackendSettings, onEnd: (error: Error | null) => void): Backend;
  end(backend: Backend, error: Error | null): void;
  /** The client has gone: the backend ends when it next listens to it. */
  hangUp(backend: Backend): void;
  all(): Iterable<Backend>;
  begin(backend: Backend): Transaction;
  /** Runs a statement: `work` throws what the database would say, and the transaction is then aborted. */
  run<T>(backend: Backend, work: () => T | Promise<T>): Promise<T>;
  /** Null: held at once. */
  lock(transaction: Transaction, key: string, mode: LockMode): Promise<void> | null;
  commit(backend: Backend): 'COMMIT' | 'ROLLBACK';
  rollback(backend: Backend): void;
}

export function databaseError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

export const diskFull = (): Error => databaseError('53100', 'could not extend file: no space left on device');

interface BackendState extends Backend {
  isAlive: boolean;
  transaction: TransactionState | null;
  readonly onEnd: (error: Error | null) => void;
  /** The client has gone, which an idle backend notices at once and a busy one after its statement. */
  isCut: boolean;
  isActive: boolean;
  statementSinceMs: number;
  idleSinceMs: number;
  idleTimerIsSet: boolean;
  /** When the database will have noticed that the process is dead. */
  noticedAtMs: number | null;
}

interface TransactionState extends Transaction {
  readonly backend: BackendState;
  isAborted: boolean;
  readonly changes: Change[];
  /** Ends the wait with an error. */
  stopWaiting: ((error: Error) => void) | null;
}

export function createBackends(
  scheduler: Scheduler,
  parts: { storage: Storage; latencyMs: readonly [number, number] },
): Backends {
  const { storage } = parts;
  const locks = createLocks();
  const backends = new Set<BackendState>();
  let [minMs, maxMs] = parts.latencyMs;
  let frozenUntilMs = 0;
  let pids = 1;
  let xids = 1;

  function atServer(delayMs: number, action: () => void): void {
    scheduler.after(delayMs, null, () => {
      const restMs = frozenUntilMs - scheduler.nowMs;
      if (restMs > 0) atServer(restMs, action);
      else action();
    });
  }

  function abort(transaction: TransactionState, why: Error): void {
    transaction.isAborted = true;
    transaction.changes.length = 0;
    transaction.added.length = 0;
    const { stopWaiting } = transaction;
    transaction.stopWaiting = null;
    locks.leave(transaction);
    stopWaiting?.(why);
  }

  function end(backend: Backend, error: Error | null): void {
    const state = backend as BackendState;
    if (!state.isAlive) return;
    state.isAlive = false;
    backends.delete(state);
    if (state.transaction !== null)
      abort(state.transaction, error ?? databaseError('57P01', 'the backend ended'));
    state.transaction = null;
    state.onEnd(error);
  }

  /** idle_in_transaction_session_timeout; one timer a backend, that looks again when it was set too early. */
  function watchIdle(backend: BackendState): void {
    if (backend.idleTimerIsSet) return;
    backend.idleTimerIsSet = true;
    const { idleInTransactionMs } = backend.settings;
    atServer(Math.max(0, backend.idleSinceMs + idleInTransactionMs - scheduler.nowMs), () => {
      backend.idleTimerIsSet = false;
      if (!backend.isAlive || backend.transaction === null || backend.isActive || backend.isCopying) return;
      // Rounding: a timer may be due a hair before its time.
      if (scheduler.nowMs - backend.idleSinceMs < idleInTransactionMs - 1e-6) {
        watchIdle(backend);
        return;
      }
      counters.idleTimeouts++;
      end(backend, databaseError('25P03', 'terminating connection due to idle-in-transaction timeout'));
    });
  }

  /** A dead client's backend that does nothing ends when TCP says so: soon, or not at all when its machine is gone. */
  function noticeDeath(backend: BackendState): void {
    if (backend.process.isAlive || backend.noticedAtMs !== null) return;
    const isToldSoon = scheduler.random.next() < 0.5;
    const noticeMs = isToldSoon ? scheduler.random.next() * maxMs : Infinity;
    backend.noticedAtMs = scheduler.nowMs + noticeMs;
    if (!isToldSoon) return;
    atServer(noticeMs, () => {
      if (!backend.isActive) end(backend, null);
    });
  }

  function lock(transaction: Transaction, key: string, mode: LockMode): Promise<void> | null {
    const state = transaction as TransactionState;
    let granted = (): void => undefined;
    if (locks.acquire(state, key, mode, () => granted())) return null;
    counters.lockWaits++;
    return new Promise((resolve, reject) => {
      const { settings, statementSinceMs } = state.backend;
      const stop = (error: Error): void => {
        isOver = true;
        state.stopWaiting = null;
        reject(error);
      };
      let isOver = false;
      granted = () => {
        isOver = true;
        state.stopWaiting = null;
        resolve();
      };
      state.stopWaiting = stop;
      const after = (delayMs: number, action: () => void): void =>
        atServer(delayMs, () => {
          if (!isOver) action();
        });
      const statementRestMs = statementSinceMs + settings.statementMs - scheduler.nowMs;
      if (statementRestMs < settings.lockMs)
        after(statementRestMs, () =>
          stop(databaseError('57014', 'canceling statement due to statement timeout')),
        );
      else
        after(settings.lockMs, () => {
          counters.lockTimeouts++;
          stop(databaseError('55P03', 'canceling statement due to lock timeout'));
        });
      const look = (): void => {
        for (const blocker of locks.blockersOf(state)) noticeDeath((blocker as TransactionState).backend);
      };
      look();
      after(DEADLOCK_MS, () => {
        look();
        if (!isDeadlocked(state)) return;
        counters.deadlocks++;
        stop(databaseError('40P01', 'deadlock detected'));
      });
    });
  }

  function isDeadlocked(start: TransactionState): boolean {
    const seen = new Set<LockOwner>();
    const next = locks.blockersOf(start);
    for (let owner = next.pop(); owner !== undefined; owner = next.pop()) {
      if (owner === start) return true;
      if (seen.has(owner)) continue;
      seen.add(owner);
      next.push(...locks.blockersOf(owner));
    }
    return false;
  }

  function put(transaction: TransactionState): void {
    const { backend, changes, added } = transaction;
    if (changes.length === 0) {
      // Row locks alone make a commit record too, which takes all before it to disk.
      if (transaction.durability === 'disk' && transaction.held.size > 0)
        storage.commit([], { nowMs: scheduler.nowMs, isDurable: true });
      return;
    }
    storage.commit(changes, { nowMs: scheduler.nowMs, isDurable: transaction.durability === 'disk' });
    counters.commits++;
    self.onCommit?.({ by: backend.process, epochs: added });
  }

  const counters: DatabaseCounters = {
    commits: 0,
    lockWaits: 0,
    lockTimeouts: 0,
    idleTimeouts: 0,
    deadlocks: 0,
    killedBackends: 0,
    terminatedBlockers: 0,
    lostCommits: 0,
    unknownCommits: 0,
    crashes: 0,
  };

  const self: Backends = {
    scheduler,
    storage,
    locks,
    counters,
    onCommit: null,
    isDiskFull: false,
    upAtMs: 0,
    setLatency(min, max) {
      [minMs, maxMs] = [min, max];
    },
    latencyMs: () => minMs + scheduler.random.next() * (maxMs - minMs),
    freeze(forMs) {
      frozenUntilMs = Math.max(frozenUntilMs, scheduler.nowMs + forMs);
    },
    atServer,
    start(process, settings, onEnd) {
      const backend: BackendState = {
        pid: pids++,
        process,
        settings,
        onEnd,
        isAlive: true,
        isActive: false,
        isCopying: false,
        isCut: false,
        transaction: null,
        statementSinceMs: 0,
        idleSinceMs: 0,
        idleTimerIsSet: false,
        noticedAtMs: null,
      };
      backends.add(backend);
      return backend;
    },
    end,
    hangUp(backend) {
      const state = backend as BackendState;
      state.isCut = true;
      if (!state.isActive) end(state, null);
    },
    all: () => backends,
    begin(backend) {
      const state = backend as BackendState;
      // PostgreSQL warns of a BEGIN within a transaction, and goes on with that.
      state.transaction ??= {
        backend: state,
        xid: xids++,
        startedMs: scheduler.nowMs,
        isAborted: false,
        durability: state.settings.durability,
        orgId: null,
        added: [],
        changes: [],
        held: new Map(),
        wait: null,
        stopWaiting: null,
      };
      return state.transaction;
    },
    async run(backend, work) {
      const state = backend as BackendState;
      state.isActive = true;
      state.statementSinceMs = scheduler.nowMs;
      try {
        const value = work();
        return value instanceof Promise ? await value : value;
      } catch (error) {
        if (state.transaction !== null) abort(state.transaction, error as Error);
        throw error;
      } finally {
        state.isActive = false;
        state.idleSinceMs = scheduler.nowMs;
        if (state.isAlive && (state.isCut || !state.process.isAlive)) end(state, null);
        else if (state.isAlive && state.transaction !== null && !state.isCopying) watchIdle(state);
      }
    },
    lock,
    commit(backend) {
      const state = backend as BackendState;
      const { transaction } = state;
      // PostgreSQL warns of a COMMIT without a transaction, and answers as ever.
      if (transaction === null) return 'COMMIT';
      if (!transaction.isAborted) {
        if (self.isDiskFull && (transaction.changes.length > 0 || transaction.held.size > 0)) {
          self.rollback(state);
          throw diskFull();
        }
        put(transaction);
      }
      state.transaction = null;
      locks.leave(transaction);
      return transaction.isAborted ? 'ROLLBACK' : 'COMMIT';
    },
    rollback(backend) {
      const state = backend as BackendState;
      const { transaction } = state;
      state.transaction = null;
      if (transaction !== null) locks.leave(transaction);
    },
  };
  return self;
}

/** Notes what the transaction will do to one record when it commits. */
export function change<T>(
  transaction: Transaction,
  place: { readonly table: Table<T>; readonly key: string; readonly row?: RowKind | null },
  apply: Change<T>['apply'],
): void {
  assert(!transaction.isAborted, 'an aborted transaction changes nothing');
  const { table, key, row = 'record' } = place;
  (transaction.changes as Change<T>[]).push({ table, key, row, apply });
}

/** A record as the transaction sees it: what is committed now, with its own changes. */
export function see<T>(transaction: Transaction, table: Table<T>, key: string): T | undefined {
  let value = table.get(key);
  for (const own of transaction.changes as readonly Change<T>[])
    if ((own.table as unknown) === table && own.key === key) value = own.apply(value);
  return value;
}
