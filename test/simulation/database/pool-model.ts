/**
 * Owns the pools of a server process over the modelled database (#store/pools.ts): a few connections a role, statements
 * of one transaction sent at once and carried out there one after another, so that those of two transactions mix. Errors
 * are the pools' own. Bound: the connections of `poolLimits`, and as many callers as it lets wait.
 */

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import { poolLimits, type RolePool, type Statement, type TransactionMode } from '#store/pools.ts';
import { storeError } from '#store/store-error.ts';
import type { Backends, BackendSettings } from '#test/simulation/database/backends.ts';
import { openChannel, type Channel } from '#test/simulation/database/channel.ts';
import { runStatement } from '#test/simulation/database/statements.ts';
import type { Process } from '#test/simulation/scheduler.ts';

export interface ModelledPools {
  readonly app: RolePool;
  readonly auth: RolePool;
  readonly writer: RolePool;
}

/** Between two statements of one transaction, drawn for each, at most. */
const STATEMENT_MS = 0.3;

export function createModelledPools(backends: Backends, process: Process): ModelledPools {
  const open = (role: BackendSettings['role'], connections: number): RolePool =>
    createModelledPool(backends, process, {
      connections,
      settings: {
        role,
        connectMs: poolLimits.waitMs,
        lockMs: poolLimits.lockMs,
        statementMs: poolLimits.statementMs,
        idleInTransactionMs: poolLimits.answerMs,
        durability: role === 'kymo_writer' ? 'later' : 'disk',
      },
    });
  return {
    app: open('kymo_app', poolLimits.appConnections),
    auth: open('kymo_auth', poolLimits.authConnections),
    writer: open('kymo_writer', poolLimits.writerConnections),
  };
}

function createModelledPool(
  backends: Backends,
  process: Process,
  options: { connections: number; settings: BackendSettings },
): RolePool {
  const { scheduler } = backends;
  const idle: Channel[] = [];
  const waiting: (() => void)[] = [];
  const unanswered = new Set<{ readonly sinceMs: number; readonly giveUp: () => void }>();
  let isWatching = false;
  let open = 0;
  let refusedCallers = 0;

  /** Resolves when one may be used: an idle one, or null for a new one. */
  function acquire(): Promise<Channel | null> {
    for (let channel = idle.pop(); channel !== undefined; channel = idle.pop())
      if (channel.isLost) open--;
      else return Promise.resolve(channel);
    if (open < options.connections) {
      open++;
      return Promise.resolve(null);
    }
    if (waiting.length >= poolLimits.maxWaiting) {
      refusedCallers++;
      throw new AppError('overloaded', 'too many requests wait for the database', { temporary: true });
    }
    return new Promise((resolve, reject) => {
      const next = (): void => {
        cancel();
        resolve(acquire());
      };
      const cancel = scheduler.after(poolLimits.waitMs, process, () => {
        waiting.splice(waiting.indexOf(next), 1);
        refusedCallers++;
        reject(new Error('timeout exceeded when trying to connect'));
      });
      waiting.push(next);
    });
  }

  function release(channel: Channel | null): void {
    if (channel === null || channel.isLost) open--;
    else idle.push(channel);
    waiting.shift()?.();
  }

  async function send(statements: readonly Statement[], mode: TransactionMode): Promise<pg.QueryResult[]> {
    let channel = await acquire();
    try {
      channel ??= await openChannel(backends, process, options.settings);
      const { backend } = channel;
      const answer = channel.request(() => runAll(backends, { backend, statements, mode }));
      return await inTime(answer, channel);
    } finally {
      release(channel);
    }
  }

  /** A server that does not even answer a cancelled statement is gone. */
  function inTime<T>(answer: Promise<T>, channel: Channel): Promise<T> {
    return new Promise((resolve, reject) => {
      const request = {
        sinceMs: scheduler.nowMs,
        giveUp() {
          reject(new Error('Query read timeout'));
          channel.destroy();
        },
      };
      unanswered.add(request);
      watch();
      answer.then(resolve, reject).finally(() => unanswered.delete(request));
    });
  }

  /** One timer for all requests, the oldest first: one for each would cost an event where nothing happens. */
  function watch(): void {
    const [oldest] = unanswered;
    if (isWatching || oldest === undefined) return;
    isWatching = true;
    scheduler.after(Math.max(0, oldest.sinceMs + poolLimits.answerMs - scheduler.nowMs), process, () => {
      isWatching = false;
      for (const request of unanswered) {
        if (scheduler.nowMs - request.sinceMs < poolLimits.answerMs - 1e-6) break;
        unanswered.delete(request);
        request.giveUp();
      }
      watch();
    });
  }

  return {
    async run(statements, mode = 'change') {
      try {
        return await send(statements, mode);
      } catch (error) {
        throw storeError(error);
      }
    },
    get stats() {
      return {
        connections: open,
        idle: idle.length,
        waiting: waiting.length,
        longestWaitMs: 0,
        refused: refusedCallers,
      };
    },
  };
}

/** All statements of a transaction, from BEGIN to COMMIT, at the database. */
async function runAll(
  backends: Backends,
  work: { backend: Channel['backend']; statements: readonly Statement[]; mode: TransactionMode },
): Promise<pg.QueryResult[]> {
  const { backend, statements, mode } = work;
  const transaction = backends.begin(backend);
  const results: pg.QueryResult[] = [];
  try {
    for (const statement of statements) {
      // A snapshot is one moment; so is a statement alone.
      if (results.length > 0 && mode === 'change') await pause(backends);
      if (transaction.isAborted) throw new Error('the backend ended');
      results.push((await runStatement({ backends, transaction }, statement)) as unknown as pg.QueryResult);
    }
    backends.commit(backend);
    return results;
  } catch (error) {
    if (backend.isAlive) backends.rollback(backend);
    throw error;
  }
}

function pause(backends: Backends): Promise<void> {
  return new Promise((resolve) => {
    backends.atServer(backends.scheduler.random.next() * STATEMENT_MS, resolve);
  });
}
