/**
 * Owns one attempt at a job from claim to end: its lease, its progress, why it may have to stop, and what is written when
 * it has. Whatever happens to it, the row says so, or its lease runs out and another attempt follows. Never throws.
 */

import { Value } from 'typebox/value';

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import {
  cancelledStatement,
  claimStatement,
  closeStatement,
  endMailStatement,
  failStatements,
  finishStatements,
  renewStatement,
  standingStatement,
  waitStatements,
} from '#jobs/attempt-statements.ts';
import { defaultBackOffMs, jobLimits } from '#jobs/job-limits.ts';
import { changeOf, type JobChange, type JobRow } from '#jobs/job-rows.ts';
import { storeFile, type JobRun, type StoredFile } from '#jobs/result-file.ts';
import type { Task, TaskContext } from '#jobs/task.ts';

export interface AttemptParts {
  readonly app: RolePool;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  /** Told of every change, and of progress. */
  readonly onChange: (change: JobChange) => void;
  /** Whoever asked for a job that took long is told by mail. Default false: no mail is sent here. */
  readonly mailsEnds?: boolean;
}

/** `nothing`: the ticket was of no use any more. `lost`: another run has it, or it is gone. */
export type AttemptEnd = 'nothing' | 'done' | 'failed' | 'waits' | 'cancelled' | 'stopped' | 'lost';

/** Why an attempt must stop. */
type StopReason = 'cancelled' | 'lost' | 'draining';

class Stopped extends Error {
  override readonly name = 'Stopped';
  readonly reason: StopReason;
  constructor(reason: StopReason) {
    super(`the job was ${reason === 'draining' ? 'stopped with its process' : reason}`);
    this.reason = reason;
  }
}

export interface Attempt {
  readonly ended: Promise<AttemptEnd>;
  /** The process stops: the job goes back into the queue, and the attempt does not count. */
  drain(): void;
}

export function startAttempt(
  parts: AttemptParts,
  task: Task,
  ticket: { readonly orgId: string; readonly jobId: string; readonly runner: string },
): Attempt {
  const { app, clock, log } = parts;
  const run: JobRun = { orgId: ticket.orgId, jobId: ticket.jobId, runId: uuidv7(clock) };
  const stopping = new AbortController();
  const stop = (reason: StopReason): void => {
    if (!stopping.signal.aborted) stopping.abort(new Stopped(reason));
  };

  async function attempt(): Promise<AttemptEnd> {
    const row = await claim(app, run, ticket.runner);
    if (row === null) return 'nothing';
    parts.onChange(changeOf(run.orgId, row));
    if (row.state !== 'running') return row.state === 'failed' ? 'failed' : 'cancelled';
    const telling = createTelling(parts, row, run.orgId);
    const lease = keepLease(parts, run, { telling, stop });
    try {
      return await perform({ parts, task, row, run, telling, lease, stopping });
    } finally {
      lease.end();
      telling.end();
    }
  }

  const ended = attempt().catch((error: unknown): AttemptEnd => {
    log.warn('a job is left to its lease', { job: run.jobId, kind: task.kind, error: messageOf(error) });
    return 'lost';
  });
  return { ended, drain: () => stop('draining') };
}

interface Work {
  readonly parts: AttemptParts;
  readonly task: Task;
  readonly row: JobRow;
  readonly run: JobRun;
  readonly telling: Telling;
  readonly lease: Lease;
  readonly stopping: AbortController;
}

async function claim(app: RolePool, run: JobRun, runner: string): Promise<JobRow | null> {
  const [closed, claimed] = await runAsOrg(app, run.orgId, {
    statements: [closeStatement(run.jobId), claimStatement(run, runner)],
    mode: 'change',
  });
  return ((closed?.rows[0] ?? claimed?.rows[0]) as JobRow | undefined) ?? null;
}

/** Does the task and writes its end. */
async function perform(work: Work): Promise<AttemptEnd> {
  const { parts, task, row, run, telling, stopping } = work;
  const { signal } = stopping;
  let file: StoredFile | null = null;
  const context: TaskContext<unknown> = {
    job: {
      id: row.id,
      orgId: run.orgId,
      kind: row.kind,
      patientId: row.patient_id,
      sessionId: row.session_id,
      requestedBy: row.requested_by,
      attempt: row.attempts,
      maxAttempts: row.max_attempts,
    },
    input: row.input,
    report: telling.report,
    signal,
    async store(about, content) {
      file = await storeFile(parts.app, run, { file: about, content, signal });
    },
  };
  try {
    if (!Value.Check(task.input, row.input))
      throw new AppError('invalid-field', 'the input is not one of this kind of job');
    const outcome = (await endOf(task.run(context as never), { clock: parts.clock, signal })) ?? {};
    signal.throwIfAborted();
    const statements = finishStatements(run, {
      statements: outcome.statements ?? [],
      result: outcome.result ?? null,
      file,
    });
    if (parts.mailsEnds === true) statements.push(endMailStatement(run, 'done'));
    await insistently(work, () => runAsOrg(parts.app, run.orgId, { statements, mode: 'change' }));
    return end(work, { ...row, state: 'done', progress: 1, stage: '' }, 'done');
  } catch (thrown) {
    return await settle(work, thrown);
  }
}

/** What an attempt that did not succeed leaves behind. */
async function settle(work: Work, thrown: unknown): Promise<AttemptEnd> {
  const { parts, task, row, run, stopping } = work;
  const reason = stopping.signal.aborted ? (stopping.signal.reason as Stopped).reason : null;
  if (reason === 'lost') return 'lost';
  const change = async (statements: readonly Statement[], answering = 0): Promise<JobRow | undefined> =>
    insistently(work, async () => {
      const results = await runAsOrg(parts.app, run.orgId, { statements, mode: 'change' });
      return results[answering]?.rows[0] as JobRow | undefined;
    });
  // Asked for at the last moment, a cancellation is only known to the row.
  const cancelled = await change([cancelledStatement(run)]);
  if (cancelled !== undefined) return end(work, cancelled, 'cancelled');
  if (thrown instanceof AppError && thrown.code === 'outdated') {
    // The end may have been written, and only its answer lost.
    const [standing] = await runAsOrg(parts.app, run.orgId, {
      statements: [standingStatement(run.jobId)],
      mode: 'snapshot',
    });
    const now = standing?.rows[0] as { state: string; run_id: string | null } | undefined;
    if (now?.state === 'done' && now.run_id === run.runId)
      return end(work, { ...row, state: 'done', progress: 1, stage: '' }, 'done');
    if (now?.run_id !== run.runId) return 'lost';
  }
  if (reason === 'draining') {
    const waits = await change(waitStatements(run, { error: null, delayMs: 0 }));
    return waits === undefined ? 'lost' : end(work, waits, 'stopped');
  }
  const error = describe(thrown);
  parts.log.warn('an attempt at a job failed', {
    job: run.jobId,
    kind: row.kind,
    attempt: row.attempts,
    error: error.detail,
    ...(thrown instanceof AppError ? {} : { stack: thrown instanceof Error ? thrown.stack : undefined }),
  });
  const isFinal = thrown instanceof AppError && !thrown.temporary;
  if (isFinal || row.attempts >= row.max_attempts) {
    const statements = failStatements(parts.clock, run, {
      kind: row.kind,
      patientId: row.patient_id,
      error,
    });
    if (parts.mailsEnds === true) statements.push(endMailStatement(run, 'failed'));
    const failed = await change(statements, 1);
    return failed === undefined ? 'lost' : end(work, failed, 'failed');
  }
  const backOffMs = (task.backOffMs ?? defaultBackOffMs)(row.attempts) * (0.75 + parts.random() / 2);
  const waits = await change(waitStatements(run, { error, delayMs: Math.round(backOffMs) }));
  return waits === undefined ? 'lost' : end(work, waits, 'waits');
}

function end({ parts, run, telling }: Work, row: JobRow, as: AttemptEnd): AttemptEnd {
  telling.end();
  parts.onChange(changeOf(run.orgId, row));
  return as;
}

/** Only what we say on purpose is shown; what an unforeseen failure says may hold anything. */
function describe(thrown: unknown): { code: string; detail: string } {
  if (thrown instanceof AppError)
    return { code: thrown.code, detail: thrown.message.slice(0, jobLimits.errorCharacters) };
  return { code: 'internal', detail: 'an unexpected failure; it was logged' };
}

/** Tries a change again while the database is away and the lease holds: nobody else can have begun by then. */
async function insistently<T>({ parts, lease }: Work, change: () => Promise<T>): Promise<T> {
  for (let waitMs = 100; ; waitMs = Math.min(2_000, waitMs * 2)) {
    try {
      return await change();
    } catch (error) {
      const mayPass = error instanceof AppError && error.temporary && error.code !== 'rate-limited';
      if (!mayPass || !lease.isHeld()) throw error;
      await new Promise<void>((resolve) => parts.clock.after(waitMs, resolve));
    }
  }
}

/** What a task comes to; a rejection when it was told to stop and has not done so in time. */
async function endOf<T>(
  work: Promise<T>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<T> {
  const { promise: abandoned, reject } = Promise.withResolvers<never>();
  let cancel = (): void => undefined;
  const onAbort = (): void => {
    cancel = clock.after(jobLimits.stopMs, () => reject(signal.reason as Error));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, abandoned]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    cancel();
  }
}

interface Telling {
  readonly progress: number;
  readonly stage: string;
  readonly report: (progress: number, stage: string) => void;
  end(): void;
}

/** Progress as it is told: the newest, at most every `newsMs`. */
function createTelling({ clock, onChange }: AttemptParts, row: JobRow, orgId: string): Telling {
  let progress = 0;
  let stage = '';
  let isEnded = false;
  let cancel: (() => void) | null = null;
  const tell = (): void => onChange(changeOf(orgId, { ...row, state: 'running', progress, stage }));
  return {
    get progress() {
      return progress;
    },
    get stage() {
      return stage;
    },
    report(newProgress, newStage) {
      if (isEnded) return;
      progress = Math.min(1, Math.max(0, Number.isFinite(newProgress) ? newProgress : 0));
      stage = newStage.slice(0, jobLimits.stageCharacters);
      cancel ??= clock.after(jobLimits.newsMs, () => {
        cancel = null;
        tell();
      });
    },
    end() {
      isEnded = true;
      cancel?.();
      cancel = null;
    },
  };
}

interface Lease {
  /** Whether nobody else can have taken the job. */
  isHeld(): boolean;
  end(): void;
}

function keepLease(
  { app, clock, log }: AttemptParts,
  run: JobRun,
  { telling, stop }: { telling: Telling; stop: (reason: StopReason) => void },
): Lease {
  let renewedMs = clock.monotonicMs();
  let isEnded = false;
  let cancel = clock.after(jobLimits.renewMs, renew);
  const isHeld = (): boolean => clock.monotonicMs() - renewedMs < jobLimits.leaseMs;

  function renew(): void {
    const askedMs = clock.monotonicMs();
    runAsOrg(app, run.orgId, {
      statements: [renewStatement(run, telling.progress, telling.stage)],
      mode: 'change',
      durability: 'later',
    })
      .then(([result]) => {
        const row = result?.rows[0] as { readonly cancelled: boolean } | undefined;
        if (row === undefined) stop('lost');
        else renewedMs = askedMs;
        if (row?.cancelled === true) stop('cancelled');
      })
      .catch((error: unknown) =>
        log.debug('a job’s lease could not be renewed', { job: run.jobId, error: messageOf(error) }),
      )
      .finally(() => {
        if (!isHeld()) stop('lost');
        if (!isEnded) cancel = clock.after(jobLimits.renewMs, renew);
      });
  }

  return {
    isHeld,
    end() {
      isEnded = true;
      cancel();
    },
  };
}
