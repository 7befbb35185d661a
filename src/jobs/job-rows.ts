/** Owns how a row of kymo.job becomes what the API shows. */

import type { Job, JobNews, JobState } from '#contract/jobs.ts';

export const jobColumns = `id, kind, state, progress, stage, input, patient_id, session_id, requested_by, attempts,
  max_attempts, created_at, started_at, finished_at, run_at, cancel_asked_at, error_code, error_detail, result,
  file_run, file_name, file_type, file_bytes, file_expires_at`;

export interface JobRow {
  readonly id: string;
  readonly kind: string;
  readonly state: JobState;
  readonly progress: number;
  readonly stage: string;
  readonly input: Record<string, unknown>;
  readonly patient_id: string | null;
  readonly session_id: string | null;
  readonly requested_by: string;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly run_at: Date;
  readonly cancel_asked_at: Date | null;
  readonly error_code: string | null;
  readonly error_detail: string | null;
  readonly result: Record<string, unknown> | null;
  readonly file_run: string | null;
  readonly file_name: string | null;
  readonly file_type: string | null;
  readonly file_bytes: number | null;
  readonly file_expires_at: Date | null;
}

export function jobOf(row: JobRow): Job {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    progress: round(row.progress),
    stage: row.stage,
    input: row.input,
    patient: row.patient_id,
    session: row.session_id,
    requestedBy: row.requested_by,
    attempts: row.attempts,
    maxAttempts: row.max_attempts,
    createdAt: row.created_at.toISOString(),
    startedAt: row.started_at?.toISOString() ?? null,
    finishedAt: row.finished_at?.toISOString() ?? null,
    runsAt: row.state === 'queued' ? row.run_at.toISOString() : null,
    isStopping: row.state === 'running' && row.cancel_asked_at !== null,
    error:
      row.error_code === null || row.state === 'done'
        ? null
        : { code: row.error_code, detail: row.error_detail ?? '' },
    result: row.result,
    file: fileOf(row),
  };
}

/** A change of a job: what is told to whoever watches, and what it is about. */
export interface JobChange {
  readonly orgId: string;
  readonly news: JobNews;
  readonly patientId: string | null;
  readonly sessionId: string | null;
}

export function changeOf(orgId: string, row: JobRow): JobChange {
  const { id, kind, state, progress, stage } = row;
  return {
    orgId,
    news: { id, kind, state, progress: round(progress), stage },
    patientId: row.patient_id,
    sessionId: row.session_id,
  };
}

/** Stored as float4: what was 0.3 shall be shown as 0.3. */
function round(progress: number): number {
  return Math.round(progress * 1_000) / 1_000;
}

function fileOf(row: JobRow): Job['file'] {
  if (row.state !== 'done' || row.file_run === null || row.file_name === null) return null;
  return {
    name: row.file_name,
    type: row.file_type ?? 'application/octet-stream',
    bytes: row.file_bytes ?? 0,
    expiresAt: (row.file_expires_at ?? row.created_at).toISOString(),
  };
}
