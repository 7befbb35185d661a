/** Owns what an attempt at a job writes to its row. Every change names the run, so that one that lost its job changes nothing. */

import type { Clock } from '#base/clock.ts';
import type { Statement } from '#store/pools.ts';
import { deliveryJob, webhookStatements } from '#store/webhook-events.ts';
import { jobColumns } from '#jobs/job-rows.ts';
import { jobLimits } from '#jobs/job-limits.ts';
import { holdStatement, type JobRun, type StoredFile } from '#jobs/result-file.ts';

/** A job that nobody may try again ends here: cancelled while it waited, or its process died at every attempt. */
export function closeStatement(jobId: string): Statement {
  return {
    name: 'close-job',
    text: `update kymo.job set
        state = case when cancel_asked_at is null then 'failed' else 'cancelled' end,
        error_code = case when cancel_asked_at is null then 'internal' else error_code end,
        error_detail = case when cancel_asked_at is null
          then coalesce(error_detail, 'every attempt ended with its process') else error_detail end,
        finished_at = now(), run_id = null, lease_until = null
      where id = $1 and state = 'queued' and (cancel_asked_at is not null or attempts >= max_attempts)
      returning ${jobColumns}`,
    values: [jobId],
  };
}

/** Takes a job that waits; no row: there is nothing to do for this ticket. */
export function claimStatement(run: JobRun, runner: string): Statement {
  return {
    name: 'claim-job',
    text: `update kymo.job set state = 'running', run_id = $2, runner = $3,
        lease_until = now() + $4 * interval '1 millisecond', attempts = attempts + 1,
        started_at = coalesce(started_at, now()), coalesce_key = null, progress = 0, stage = ''
      where id = $1 and state = 'queued'
      returning ${jobColumns}`,
    values: [run.jobId, run.runId, runner, jobLimits.leaseMs],
  };
}

/** No row: the job is lost to this run. */
export function renewStatement(run: JobRun, progress: number, stage: string): Statement {
  return {
    name: 'renew-job',
    text: `update kymo.job set lease_until = now() + $3 * interval '1 millisecond', progress = $4, stage = $5
      where id = $1 and run_id = $2 and state = 'running' returning cancel_asked_at is not null as cancelled`,
    values: [run.jobId, run.runId, jobLimits.leaseMs, progress, stage],
  };
}

/** The end with success: all of it, or nothing when the job was lost or cancelled. */
export function finishStatements(
  run: JobRun,
  outcome: {
    readonly statements: readonly Statement[];
    readonly result: object | null;
    readonly file: StoredFile | null;
  },
): Statement[] {
  const { file, result } = outcome;
  return [
    holdStatement(run),
    ...outcome.statements,
    {
      name: 'drop-other-parts',
      text: 'delete from kymo.job_file_part where job_id = $1 and run_id <> $2',
      values: [run.jobId, run.runId],
    },
    {
      name: 'finish-job',
      text: `update kymo.job set state = 'done', progress = 1, stage = '', finished_at = now(), lease_until = null,
          result = $3::jsonb, file_run = case when $4::text is null then null else run_id end,
          file_name = $4, file_type = $5, file_bytes = $6,
          file_expires_at = case when $4::text is null then null else now() + $7 * interval '1 day' end,
          error_code = null, error_detail = null
        where id = $1 and run_id = $2 and state = 'running'`,
      values: [
        run.jobId,
        run.runId,
        result === null ? null : JSON.stringify(result),
        file?.name ?? null,
        file?.type ?? null,
        file?.bytes ?? null,
        jobLimits.fileDays,
      ],
    },
  ];
}

/** The end of a job that failed for good, and whoever wants to hear of it. The second one answers with the row. */
export function failStatements(
  clock: Clock,
  run: JobRun,
  {
    kind,
    patientId,
    error,
  }: {
    readonly kind: string;
    readonly patientId: string | null;
    readonly error: { readonly code: string; readonly detail: string };
  },
): Statement[] {
  // Whoever cannot be told is not told that.
  const isToldOf = kind !== deliveryJob.kind;
  return [
    holdStatement(run),
    {
      name: 'fail-job',
      text: `update kymo.job set state = 'failed', stage = '', finished_at = now(), lease_until = null, run_id = null,
          error_code = $3, error_detail = $4
        where id = $1 and run_id = $2 and state = 'running' returning ${jobColumns}`,
      values: [run.jobId, run.runId, error.code, error.detail],
    },
    ...(isToldOf
      ? webhookStatements({ type: 'job.failed', data: { job: run.jobId, kind } }, { clock, patientId })
      : []),
  ];
}

/**
 * A mail to the person who asked, beside the end of a slow job that ended longer after that than anybody watches it. It says the
 * kind, and nothing of whom the job is about.
 */
export function endMailStatement({ jobId }: JobRun, state: 'done' | 'failed'): Statement {
  return {
    name: 'mail-job-end',
    text: `insert into kymo.mail (id, org_id, kind, recipient, fields, expires_at)
      select gen_random_uuid(), j.org_id, 'job-done', p.email,
             jsonb_build_object('job', j.kind, 'state', j.state, 'files', (j.file_run is not null)::int, 'path', 'jobs'),
             now() + $4 * interval '1 day'
        from kymo.job j
        join kymo.member m on m.org_id = j.org_id and m.person_id::text = j.requested_by
        join kymo.person p on p.id = m.person_id
       where j.id = $1 and j.state = $2 and j.lane = 'slow' and j.created_at < now() - $3 * interval '1 millisecond'`,
    values: [jobId, state, jobLimits.watchedMs, jobLimits.mailDays],
  };
}

/** Back into the queue. `error` null: the attempt did not count, its process stops. */
export function waitStatements(
  run: JobRun,
  again: {
    readonly error: { readonly code: string; readonly detail: string } | null;
    readonly delayMs: number;
  },
): Statement[] {
  return [
    {
      name: 'wait-job',
      text: `update kymo.job set state = 'queued', stage = '', lease_until = null, run_id = null,
          run_at = now() + $3 * interval '1 millisecond',
          attempts = attempts - case when $4::text is null then 1 else 0 end,
          error_code = coalesce($4, error_code), error_detail = coalesce($5, error_detail)
        where id = $1 and run_id = $2 and state = 'running' and cancel_asked_at is null returning ${jobColumns}`,
      values: [run.jobId, run.runId, again.delayMs, again.error?.code ?? null, again.error?.detail ?? null],
    },
    { name: 'requeue-job', text: 'select kymo.requeue($1)', values: [run.jobId] },
  ];
}

export function cancelledStatement(run: JobRun): Statement {
  return {
    name: 'job-cancelled',
    text: `update kymo.job set state = 'cancelled', stage = '', finished_at = now(), lease_until = null, run_id = null
      where id = $1 and run_id = $2 and state = 'running' and cancel_asked_at is not null returning ${jobColumns}`,
    values: [run.jobId, run.runId],
  };
}

/** What has become of a job whose end could not be heard: the connection broke at COMMIT. */
export function standingStatement(jobId: string): Statement {
  return { name: 'job-standing', text: 'select state, run_id from kymo.job where id = $1', values: [jobId] };
}
