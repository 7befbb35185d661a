/**
 * Owns what people and programs may do with jobs: ask for one, look, cancel, try again, fetch its file. Every method asks the
 * one authorisation function first, and reads and writes as the caller, so that row-level security stands behind it. Asking
 * for a job is one round trip.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Job, JobPage, JobRequest, JobState } from '#contract/jobs.ts';
import { authorise, type Action, type Actor } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { enqueueStatements, queueLimits } from '#store/job-queue.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';
import { jobLimits } from '#jobs/job-limits.ts';
import { changeOf, jobColumns, jobOf, type JobChange, type JobRow } from '#jobs/job-rows.ts';
import { askableKind, jobKinds, type JobKind } from '#jobs/kinds.ts';
import { readFileParts } from '#jobs/result-file.ts';

export interface JobFilter {
  readonly state?: JobState;
  readonly patientId?: string;
  readonly sessionId?: string;
}

export interface JobFileContent {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  readonly parts: AsyncGenerator<Uint8Array, void>;
}

export interface JobService {
  /** Throws AppError `rate-limited` when too many of the organisation are open, `conflict`, `not-found`, `forbidden`. */
  start(actor: Principal, request: JobRequest): Promise<Job>;
  /** Newest first. `cursor`: `next` of the page before. Null when it is not one. */
  list(
    actor: Principal,
    page: { readonly limit: number; readonly cursor: string | null; readonly filter: JobFilter },
  ): Promise<JobPage | null>;
  get(actor: Principal, id: string): Promise<Job>;
  /** A job that waits is cancelled at once; one under way stops soon. Throws `conflict` when it has ended. */
  cancel(actor: Principal, id: string): Promise<Job>;
  /** Tries again what failed or was cancelled; what waits for its next attempt begins now. Throws `conflict` otherwise. */
  retry(actor: Principal, id: string): Promise<Job>;
  /** Throws `not-found` when it has none, `erased` when its time is over. */
  file(actor: Principal, id: string): Promise<JobFileContent>;
}

export interface JobServiceParts {
  readonly app: RolePool;
  readonly clock: Clock;
  readonly onChange: (change: JobChange) => void;
}

export function createJobService({ app, clock, onChange }: JobServiceParts): JobService {
  const run = async (
    actor: Principal,
    statements: readonly Statement[],
    mode: 'change' | 'snapshot',
  ): Promise<readonly JobRow[]> => {
    const results = await runAsOrg(app, actor, { statements, mode });
    return (results.at(-1)?.rows ?? []) as JobRow[];
  };
  const found = async (actor: Principal, id: string): Promise<JobRow> => {
    const [row] = await run(actor, [jobStatement(id)], 'snapshot');
    if (row === undefined) throw new AppError('not-found', 'there is no such job');
    return row;
  };
  return {
    async start(actor, request) {
      authorise(actor, 'job.run', null);
      const kind = jobKinds[request.kind];
      const { patientId, sessionId } = aboutOf(kind, request.input);
      authorise(actor, kind.action ?? 'job.run', patientId === undefined ? null : { patientId });
      const id = uuidv7(clock);
      const [row] = await run(
        actor,
        [
          ...enqueueStatements({
            id,
            kind: kind.kind,
            input: request.input,
            lane: kind.lane,
            maxAttempts: kind.maxAttempts ?? jobLimits.maxAttempts,
            patientId: patientId ?? null,
            sessionId: sessionId ?? null,
            outlivesPatient: kind.outlivesPatient ?? false,
            requestedBy: actor.subject,
            most: queueLimits.mostAsked,
            ...(request.idempotencyKey === undefined ? {} : { idempotencyKey: request.idempotencyKey }),
          }),
          startedStatement(id, request.idempotencyKey ?? null),
        ],
        'change',
      );
      onChange(changeOf(actor.orgId, row!));
      return jobOf(row!);
    },
    async list(actor, { limit, cursor, filter }) {
      authorise(actor, 'job.read', filter.patientId === undefined ? null : { patientId: filter.patientId });
      const after = cursor === null ? null : parseCursor(cursor);
      if (cursor !== null && after === null) return null;
      const rows = (await run(
        actor,
        [pageStatement(limit + 1, after, filter)],
        'snapshot',
      )) as readonly PagedRow[];
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return {
        jobs: shown.map(jobOf),
        next: rows.length > limit && last !== undefined ? formatCursor(last) : null,
      };
    },
    async get(actor, id) {
      authorise(actor, 'job.read', null);
      return jobOf(await found(actor, id));
    },
    async cancel(actor, id) {
      authorise(actor, 'job.run', null);
      authoriseKind(actor, await found(actor, id));
      const [row] = await run(actor, [cancelStatement(id), jobStatement(id)], 'change');
      return changed(actor, row, ['running', 'cancelled']);
    },
    async retry(actor, id) {
      authorise(actor, 'job.run', null);
      authoriseKind(actor, await found(actor, id));
      const statements = [
        retryStatement(id),
        { name: 'requeue-job', text: 'select kymo.requeue($1)', values: [id] },
        jobStatement(id),
      ];
      const [row] = await run(actor, statements, 'change');
      return changed(actor, row, ['queued']);
    },
    async file(actor, id) {
      authorise(actor, 'job.read', null);
      const row = await found(actor, id);
      authoriseKind(actor, row);
      if (row.state === 'done' && row.file_name !== null && row.file_run === null)
        throw new AppError('erased', `files are kept for ${jobLimits.fileDays} days: ask for the job again`);
      if (row.state !== 'done' || row.file_run === null)
        throw new AppError('not-found', 'this job has no file, or has not made it yet');
      const { bytes, name, type } = jobOf(row).file!;
      const parts = readFileParts(app, actor, { jobId: id, runId: row.file_run, bytes });
      return { name, type, bytes, parts };
    },
  };

  /** The job after a change; what did not become what was asked for stands in its way. */
  function changed(actor: Principal, row: JobRow | undefined, wanted: readonly JobState[]): Job {
    if (row === undefined) throw new AppError('not-found', 'there is no such job');
    if (!wanted.includes(row.state)) throw new AppError('conflict', `the job is ${row.state} already`);
    onChange(changeOf(actor.orgId, row));
    return jobOf(row);
  }
}

function aboutOf(kind: JobKind, input: unknown): ReturnType<JobKind['about']> {
  return kind.about(input);
}

/** Whoever may not ask for a kind of job may neither stop one nor have what came of it. */
function authoriseKind(actor: Actor, row: JobRow): void {
  const action: Action = askableKind(row.kind)?.action ?? 'organisation.manage';
  authorise(actor, action, row.patient_id === null ? null : { patientId: row.patient_id });
}

function jobStatement(id: string): Statement {
  return { name: 'get-job', text: `select ${jobColumns} from kymo.job where id = $1`, values: [id] };
}

/** The job that was asked for: the one just made, or an older one of the same key. */
function startedStatement(id: string, key: string | null): Statement {
  return {
    name: key === null ? 'get-job' : 'get-keyed-job',
    text: `select ${jobColumns} from kymo.job where ${key === null ? 'id = $1' : 'id = $1 or (org_id = kymo.current_org() and idempotency_key = $2)'}`,
    values: key === null ? [id] : [id, key],
  };
}

function cancelStatement(id: string): Statement {
  return {
    name: 'cancel-job',
    text: `update kymo.job set cancel_asked_at = coalesce(cancel_asked_at, now()),
        finished_at = case when state = 'queued' then now() end,
        coalesce_key = case when state = 'queued' then null else coalesce_key end,
        state = case when state = 'queued' then 'cancelled' else state end
      where id = $1 and state in ('queued', 'running')`,
    values: [id],
  };
}

function retryStatement(id: string): Statement {
  return {
    name: 'retry-job',
    text: `update kymo.job j set state = 'queued', run_at = now(), cancel_asked_at = null, finished_at = null, progress = 0,
        attempts = case when j.state = 'queued' then j.attempts else 0 end
      where j.id = $1 and (j.state = 'queued' or (j.state in ('failed', 'cancelled') and (
        select count(*) from kymo.job o
         where o.org_id = j.org_id and o.state in ('queued', 'running')) < ${queueLimits.mostAsked}))`,
    values: [id],
  };
}

interface PagedRow extends JobRow {
  readonly created_us: number;
}

interface Cursor {
  readonly createdUs: number;
  readonly id: string;
}

function pageStatement(limit: number, after: Cursor | null, filter: JobFilter): Statement {
  const values: unknown[] = [limit];
  const conditions = ['org_id = kymo.current_org()'];
  let name = 'jobs';
  const add = (part: string, given: readonly unknown[], condition: (...at: string[]) => string): void => {
    name += `-${part}`;
    conditions.push(condition(...given.map((value) => `$${values.push(value)}`)));
  };
  if (filter.state !== undefined) add('state', [filter.state], (at) => `state = ${at}`);
  if (filter.patientId !== undefined) add('patient', [filter.patientId], (at) => `patient_id = ${at}::uuid`);
  if (filter.sessionId !== undefined) add('session', [filter.sessionId], (at) => `session_id = ${at}::uuid`);
  if (after !== null)
    add(
      'after',
      [after.createdUs, after.id],
      (us, id) =>
        `(created_at, id) < (timestamptz 'epoch' + ${us}::bigint * interval '1 microsecond', ${id}::uuid)`,
    );
  return {
    name,
    text: `select ${jobColumns}, (extract(epoch from created_at) * 1000000)::bigint as created_us
      from kymo.job where ${conditions.join(' and ')} order by created_at desc, id desc limit $1`,
    values,
  };
}

function formatCursor(row: PagedRow): string {
  return Buffer.from(`${row.created_us}.${row.id}`).toString('base64url');
}

function parseCursor(text: string): Cursor | null {
  const match = /^(\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(
    Buffer.from(text, 'base64url').toString('latin1'),
  );
  return match === null ? null : { createdUs: Number(match[1]), id: match[2]! };
}
