/**
 * Owns when the store's background work runs: one task at a time, each step bounded, and at most BUSY_SHARE of the time,
 * so that it never competes with flushes for both cores. A task that fails is logged and tried again, ever more rarely.
 * Tasks must be safe when several servers run them on one database.
 */

import pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';

/** After a step that left more to do, upkeep rests three times as long as the step took. */
const BUSY_SHARE = 0.25;
/** ... but at most this long. */
const MAX_REST_MS = 5_000;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 5 * 60_000;
/** One for the step, one beside it for what a task does outside its transaction. */
const CONNECTIONS = 2;
const CONNECT_TIMEOUT_MS = 5_000;
/** Ten times what a step should take on a slow disk; a task that needs longer says so on its own connection. */
const STATEMENT_MS = 60_000;

export interface UpkeepTask {
  /** Label of the metrics and name in the log. */
  readonly name: string;
  /** Pause after a step that found nothing more to do. */
  readonly everyMs: number;
  /**
   * A bounded piece of work; aim: below 200 ms. `more`: call again soon. `signal` aborts when the server stops: the step
   * then ends at its next safe place. Throws on failure.
   */
  step(db: pg.Pool, signal: AbortSignal): Promise<'idle' | 'more'>;
  readonly counters: Readonly<Record<string, number>>;
}

export interface UpkeepCounters {
  readonly steps: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
  /** `${task}_${counter}` of every task. */
  readonly tasks: Readonly<Record<string, number>>;
}

export interface Upkeep {
  start(): void;
  /** Resolves when the step under way has ended. */
  stop(): Promise<void>;
  readonly counters: UpkeepCounters;
}

export interface UpkeepOptions {
  /** Of the role kymo_writer. */
  readonly writerUrl: string;
  readonly tasks: readonly UpkeepTask[];
  /** Of its connections, as the database shows it. Default `kymo upkeep`. */
  readonly name?: string;
  /** Most of the time that steps with more to do take. Default a quarter. */
  readonly busyShare?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** One task's place in the schedule. */
interface Turn {
  readonly task: UpkeepTask;
  dueMs: number;
  failuresInARow: number;
  steps: number;
  failures: number;
}

export function createUpkeep(options: UpkeepOptions): Upkeep {
  const { clock, log, busyShare = BUSY_SHARE } = options;
  const turns: Turn[] = options.tasks.map((task) => ({
    task,
    dueMs: clock.monotonicMs(),
    failuresInARow: 0,
    steps: 0,
    failures: 0,
  }));
  const ending = new AbortController();
  let pool: pg.Pool | null = null;
  let underWay: Promise<void> = Promise.resolve();
  let cancelWake = (): void => undefined;

  function wakeForNext(restMs: number): void {
    if (ending.signal.aborted || turns.length === 0) return;
    const nextMs = Math.min(...turns.map((turn) => turn.dueMs)) - clock.monotonicMs();
    cancelWake = clock.after(Math.max(restMs, nextMs, 0), () => {
      underWay = runNext();
    });
  }

  async function runNext(): Promise<void> {
    const turn = turns.reduce((first, other) => (other.dueMs < first.dueMs ? other : first));
    const startedMs = clock.monotonicMs();
    const found = await runStep(turn);
    const endedMs = clock.monotonicMs();
    turn.dueMs = endedMs + pauseOf(turn, found);
    wakeForNext(Math.min(MAX_REST_MS, (endedMs - startedMs) * (1 / busyShare - 1)));
  }

  async function runStep(turn: Turn): Promise<'idle' | 'more' | 'failed'> {
    turn.steps++;
    try {
      const found = await turn.task.step((pool ??= openPool(options)), ending.signal);
      turn.failuresInARow = 0;
      return found;
    } catch (error) {
      if (ending.signal.aborted) return 'failed';
      turn.failures++;
      turn.failuresInARow++;
      log.warn('background work of the store failed and will be tried again', {
        task: turn.task.name,
        error: messageOf(error),
      });
      return 'failed';
    }
  }

  return {
    start: () => wakeForNext(0),
    async stop() {
      ending.abort();
      cancelWake();
      await underWay;
      await pool?.end();
    },
    get counters() {
      const tasks: Record<string, number> = {};
      for (const { task } of turns)
        for (const [name, value] of Object.entries(task.counters)) tasks[`${task.name}_${name}`] = value;
      return {
        steps: Object.fromEntries(turns.map((turn) => [turn.task.name, turn.steps])),
        failures: Object.fromEntries(turns.map((turn) => [turn.task.name, turn.failures])),
        tasks,
      };
    },
  };
}

function pauseOf(turn: Turn, found: 'idle' | 'more' | 'failed'): number {
  if (found === 'failed') return Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (turn.failuresInARow - 1));
  return found === 'idle' ? turn.task.everyMs : 0;
}

function openPool({ writerUrl, log, name = 'kymo upkeep' }: UpkeepOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: writerUrl,
    max: CONNECTIONS,
    application_name: name,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_MS,
    keepAlive: true,
  });
  pool.on('error', (error) => log.warn('an idle database connection broke', { error: error.message }));
  // One that breaks while it is lent out emits `error` too, after its statement has failed; unheard, it ends the process.
  pool.on('connect', (lent) => lent.on('error', () => undefined));
  return pool;
}
