/**
 * Owns the way into the queue of jobs: statements for the transaction that causes a job, so that both happen or neither
 * does. At most `mostOpen` jobs of an organisation wait or run; whoever would add one beyond hears `rate-limited`, which
 * undoes the transaction.
 */

import type { Statement } from '#store/pools.ts';

export const queueLimits = {
  /** Queues of each lane; an organisation is always in the same one, whose jobs run one after the other. */
  shards: 16,
  /** Open jobs of an organisation that people and programs ask for: half an hour of exports of 20 s. */
  mostAsked: 100,
  /** ... and with those that events cause (summaries, e-mails, webhooks), which must not fail sooner than they can pile up. */
  mostOpen: 10_000,
} as const;

/** `quick`: done within seconds. `slow`: may take minutes; never takes all workers. */
export type Lane = 'quick' | 'slow';

export interface NewJob {
  /** UUIDv7, made by the caller. */
  readonly id: string;
  readonly kind: string;
  /** Ids and choices; at most 16 KiB as JSON. */
  readonly input: object;
  readonly lane: Lane;
  readonly maxAttempts: number;
  /** Gone with the patient. */
  readonly patientId?: string | null;
  /** It is not gone with the patient: for what erases one. */
  readonly outlivesPatient?: boolean;
  /** The patient follows from it. Gone with the session. */
  readonly sessionId?: string | null;
  /** Subject of the principal; left out: Kymo itself. */
  readonly requestedBy?: string;
  /** The same key again is the same job, as long as it is remembered (30 days). */
  readonly idempotencyKey?: string;
  /** While a job with this key has not begun, no other is made. */
  readonly coalesceKey?: string;
  /** Begins no sooner than this from now. */
  readonly delayMs?: number;
  /** Default queueLimits.mostOpen. */
  readonly most?: number;
}

/**
 * For runAsOrg. The one row of the result says `id` (of the older job, when there was one by key) and `is_new`. Throws
 * AppError `conflict` (the key stands for another job), `rate-limited` (too many are open), `not-found` (no such patient
 * or session in the organisation).
 */
export function enqueueStatements(job: NewJob): Statement[] {
  const options = {
    patient: job.patientId ?? null,
    session: job.sessionId ?? null,
    outlives: job.outlivesPatient ?? false,
    requestedBy: job.requestedBy ?? '',
    idempotencyKey: job.idempotencyKey ?? null,
    coalesceKey: job.coalesceKey ?? null,
    lane: job.lane,
    shards: queueLimits.shards,
    maxAttempts: job.maxAttempts,
    delayMs: job.delayMs ?? 0,
    most: job.most ?? queueLimits.mostOpen,
  };
  return [
    {
      name: 'enqueue-job',
      text: 'select id, is_new from kymo.enqueue($1, $2, $3::jsonb, $4::jsonb)',
      values: [job.id, job.kind, JSON.stringify(job.input), JSON.stringify(options)],
    },
  ];
}
