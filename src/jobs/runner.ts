/**
 * Owns the taking of tickets from the queue (graphile-worker) and the attempts that follow from them. It connects as
 * kymo_jobs, which sees tickets and nothing that they are about; what a task reads and writes goes through the roles of its
 * parts. While the database is away it goes on trying. Bounds: `workers` attempts at once, and one fewer slow ones, so that
 * what is quick always finds a worker; one connection that listens and one a worker.
 */

import { EventEmitter } from 'node:events';

import { Logger, parseCronItems, run as runGraphile, type Runner as GraphileRunner } from 'graphile-worker';
import pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { runAsOrg } from '#store/pools.ts';
import { startAttempt, type Attempt, type AttemptEnd, type AttemptParts } from '#jobs/attempt.ts';
import { expirySchedule } from '#jobs/job-expiry.ts';
import { jobLimits } from '#jobs/job-limits.ts';
import type { Schedule } from '#jobs/schedule.ts';
import type { Task } from '#jobs/task.ts';

export interface RunnerOptions extends AttemptParts {
  /** Of the role kymo_jobs. */
  readonly jobsUrl: string;
  readonly tasks: readonly Task[];
  readonly schedules: readonly Schedule[];
  /** Attempts at once. */
  readonly workers: number;
  /** Queues that are not served here: numbers below queueLimits.shards. */
  readonly otherShards: readonly number[];
  /** Default jobLimits.pollMs. */
  readonly pollMs?: number;
}

/** Per kind of job. */
export interface KindCounts {
  readonly ends: Readonly<Partial<Record<AttemptEnd, number>>>;
  /** Sum over attempts that ended with the task's success. */
  readonly doneMs: number;
}

export interface Backlog {
  readonly ready: number;
  readonly oldestS: number;
  readonly later: number;
  readonly running: number;
  readonly failed: number;
}

export interface RunnerCounters {
  readonly running: number;
  readonly kinds: Readonly<Record<string, KindCounts>>;
  /** Of all organisations and runners, as it was seen last. */
  readonly backlog: Readonly<Record<string, Backlog>>;
  /** Jobs whose runner was lost or whose ticket was missing, that this one put back. */
  readonly mended: number;
  /** Times that the queue could not be reached. */
  readonly failures: number;
}

export interface Runner {
  readonly counters: RunnerCounters;
  /** Resolves when nothing of it runs any more; attempts under way go back into the queue. */
  stop(): Promise<void>;
}

export function startRunner(options: RunnerOptions): Runner {
  const { clock, log } = options;
  const pool = openQueuePool(options);
  const attempts = createAttempts(options, pool);
  const upkeep = keepQueue(options, pool);
  let graphile: GraphileRunner | null = null;
  let isStopping = false;
  let restarts = 0;
  let stopping: Promise<void> | null = null;
  let cancelStart = (): void => undefined;
  const start = async (): Promise<void> => {
    const started = await runGraphile(graphileOptions(options, { pool, attempts }));
    graphile = started;
    if (isStopping) {
      await started.stop();
      return;
    }
    await started.promise;
  };
  const keepStarted = async (): Promise<void> => {
    while (!isStopping) {
      try {
        await start();
      } catch (error) {
        if (!isStopping) log.warn('the queue of jobs cannot be served', { error: messageOf(error) });
      }
      if (isStopping) return;
      restarts++;
      await new Promise<void>((resolve) => {
        const cancel = clock.after(jobLimits.pollMs, resolve);
        cancelStart = () => {
          cancel();
          resolve();
        };
      });
    }
  };
  const kept = keepStarted();
  return {
    get counters() {
      return { ...attempts.counters, ...upkeep.counters, failures: upkeep.counters.failures + restarts };
    },
    stop: () => (stopping ??= stopAll()),
  };

  async function stopAll(): Promise<void> {
    isStopping = true;
    cancelStart();
    upkeep.stop();
    const stopped = graphile?.stop().catch(() => undefined);
    await attempts.drain();
    // Also what has only begun to start asks the pool. It waits for a database that is away; nothing is lost by not doing so.
    await within(clock, Promise.all([kept, stopped]));
    await within(clock, pool.end());
  }
}

/** Waits for `work`, but no longer than a stop may take. */
async function within(clock: Clock, work: Promise<unknown>): Promise<void> {
  let cancel = (): void => undefined;
  const limit = new Promise<void>((resolve) => {
    cancel = clock.after(jobLimits.stopMs, resolve);
  });
  await Promise.race([work, limit]);
  cancel();
}

function openQueuePool({ jobsUrl, workers, log }: RunnerOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: jobsUrl,
    // One listens, one is for upkeep, and schedules come on top of what workers do.
    max: workers + 2,
    application_name: 'kymo_jobs',
    connectionTimeoutMillis: 8_000,
    statement_timeout: 30_000,
    keepAlive: true,
  });
  pool.on('error', (error) => log.debug('a connection to the queue broke', { error: error.message }));
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** What graphile-worker tells of the ticket that it has locked. */
interface Ticket {
  readonly id: string;
  readonly locked_by: string | null;
}

function graphileOptions(
  options: RunnerOptions,
  { pool, attempts }: { pool: pg.Pool; attempts: Attempts },
): Parameters<typeof runGraphile>[0] {
  const { tasks, workers, otherShards, log } = options;
  const schedules = [expirySchedule, ...options.schedules];
  const taskList = Object.fromEntries([
    ...tasks.map((task): [string, (payload: unknown, helpers: { readonly job: Ticket }) => Promise<void>] => [
      task.kind,
      (payload, { job }) => attempts.perform(task, payload, job),
    ]),
    ...schedules.map((schedule): [string, () => Promise<void>] => [
      `schedule-${schedule.name}`,
      () => attempts.onSchedule(schedule),
    ]),
  ]);
  const otherFlags = otherShards.map((shard) => `shard-${shard}`);
  return {
    pgPool: pool,
    taskList,
    parsedCronItems: parseCronItems(
      schedules.map(({ name, match }) => ({
        task: `schedule-${name}`,
        match,
        identifier: name,
        options: { backfillPeriod: 0, maxAttempts: 1 },
      })),
    ),
    concurrency: workers,
    forbiddenFlags: () => (attempts.mayBeginSlow() ? otherFlags : [...otherFlags, 'slow']),
    pollInterval: options.pollMs ?? jobLimits.pollMs,
    noHandleSignals: true,
    events: new EventEmitter(),
    logger: new Logger(() => (level, message) => {
      // What matters is said by attempts and by upkeep.
      if (level === 'error') log.debug('the queue says', { message });
    }),
    // Without a batch, a completion that fails would be a promise that nobody looks at.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0, gracefulShutdownAbortTimeout: 0 } },
  };
}

interface Attempts {
  readonly counters: Pick<RunnerCounters, 'running' | 'kinds'>;
  perform(task: Task, payload: unknown, ticket: Ticket): Promise<void>;
  onSchedule(schedule: Schedule): Promise<void>;
  mayBeginSlow(): boolean;
  drain(): Promise<void>;
}

function createAttempts(options: RunnerOptions, pool: pg.Pool): Attempts {
  const { app, clock, log, workers } = options;
  const mostSlow = Math.max(1, workers - 1);
  const running = new Map<Attempt, Task>();
  const kinds = new Map<string, { ends: Partial<Record<AttemptEnd, number>>; doneMs: number }>();
  const stopping = new AbortController();
  const mayBeginSlow = (): boolean =>
    [...running.values()].filter(({ lane }) => lane === 'slow').length < mostSlow;
  return {
    get counters() {
      return { running: running.size, kinds: Object.fromEntries(kinds) };
    },
    mayBeginSlow,
    async perform(task, payload, ticket) {
      const { org: orgId, job: jobId } = payload as { readonly org: string; readonly job: string };
      if (stopping.signal.aborted || (task.lane === 'slow' && !mayBeginSlow())) {
        // Two workers asked at the same moment: the ticket is written anew.
        await runAsOrg(app, orgId, {
          statements: [{ text: 'select kymo.requeue($1)', values: [jobId] }],
          mode: 'change',
        });
        return;
      }
      const startedMs = clock.monotonicMs();
      const attempt = startAttempt(options, task, { orgId, jobId, runner: ticket.locked_by ?? '' });
      running.set(attempt, task);
      const ended = await attempt.ended;
      running.delete(attempt);
      const counts = kinds.get(task.kind) ?? { ends: {}, doneMs: 0 };
      counts.ends[ended] = (counts.ends[ended] ?? 0) + 1;
      if (ended === 'done') counts.doneMs += clock.monotonicMs() - startedMs;
      kinds.set(task.kind, counts);
      await freeQueue(pool, ticket);
    },
    async onSchedule(schedule) {
      try {
        await schedule.run(stopping.signal, pool);
      } catch (error) {
        log.warn('what was scheduled failed', { schedule: schedule.name, error: messageOf(error) });
      }
    },
    async drain() {
      stopping.abort();
      for (const attempt of running.keys()) attempt.drain();
      await Promise.all([...running.keys()].map((attempt) => attempt.ended));
    },
  };
}

/**
 * Removes the ticket and frees its queue. graphile-worker does the same, but asks for the next job without waiting for that:
 * it would find the queue taken, and come back only after pollMs.
 */
async function freeQueue(pool: pg.Pool, { id, locked_by: runner }: Ticket): Promise<void> {
  await pool
    .query({
      name: 'free-queue',
      text: `with ended as (delete from graphile_worker._private_jobs
            where id = $1 and locked_by = $2 returning job_queue_id)
        update graphile_worker._private_job_queues q set locked_by = null, locked_at = null
          from ended where q.id = ended.job_queue_id and q.locked_by = $2`,
      values: [id, runner],
    })
    .catch(() => undefined);
}

interface QueueUpkeep {
  readonly counters: Pick<RunnerCounters, 'backlog' | 'mended' | 'failures'>;
  stop(): void;
}

/** Puts back what lost runners held, and looks how much waits. */
function keepQueue({ clock, log }: RunnerOptions, pool: pg.Pool): QueueUpkeep {
  let backlog: Record<string, Backlog> = {};
  let mended = 0;
  let failures = 0;
  let isStopped = false;
  let cancel = clock.after(0, look);

  function look(): void {
    step()
      .catch((error: unknown) => {
        failures++;
        log.debug('the queue cannot be looked after', { error: messageOf(error) });
      })
      .finally(() => {
        if (!isStopped) cancel = clock.after(jobLimits.mendMs, look);
      });
  }

  async function step(): Promise<void> {
    const { rows: found } = await pool.query<{ count: number }>('select kymo.mend_jobs($1) as count', [
      jobLimits.leaseMs,
    ]);
    mended += found[0]?.count ?? 0;
    const { rows } = await pool.query<Record<keyof Backlog | 'oldest_s', string | number> & { kind: string }>(
      'select * from kymo.job_backlog()',
    );
    backlog = Object.fromEntries(
      rows.map((row) => [
        row.kind,
        {
          ready: Number(row.ready),
          oldestS: Number(row.oldest_s),
          later: Number(row.later),
          running: Number(row.running),
          failed: Number(row.failed),
        },
      ]),
    );
  }

  return {
    get counters() {
      return { backlog, mended, failures };
    },
    stop() {
      isStopped = true;
      cancel();
    },
  };
}
