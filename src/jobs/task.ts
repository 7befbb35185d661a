/**
 * Owns what a task is: a kind of job and the function that does it. A task may run twice (its process was killed, its lease
 * ran out), so what it stores must be the same after a second time; what must happen once goes into `statements`, which
 * commit together with the end of the job.
 */

import type { Static, TSchema } from 'typebox';

import type { Statement } from '#store/pools.ts';
import type { JobKind } from '#jobs/kinds.ts';

export interface TaskJob {
  readonly id: string;
  readonly orgId: string;
  readonly kind: string;
  readonly patientId: string | null;
  readonly sessionId: string | null;
  /** Subject of whoever asked; empty: Kymo itself. */
  readonly requestedBy: string;
  /** 1 at the first. */
  readonly attempt: number;
  readonly maxAttempts: number;
}

export interface TaskContext<Input> {
  readonly job: TaskJob;
  readonly input: Input;
  /** Progress from 0 to 1, and what is being done in words (no names). Cheap: call it as often as there is news. */
  report(progress: number, stage: string): void;
  /** Aborted when the job was cancelled, taken over, or this process stops: end soon, by throwing or returning. */
  readonly signal: AbortSignal;
  /**
   * Stores the job's one file, in pieces as they come. It is there for others when the job is done, for 7 days. Called
   * again it replaces what was stored. Throws AppError `limit-exceeded` beyond jobLimits.fileBytes.
   */
  store(
    file: { readonly name: string; readonly type: string },
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<void>;
}

export interface TaskOutcome {
  /** Committed with the job's end, in the organisation's scope; not at all when the job was cancelled or taken over. */
  readonly statements?: readonly Statement[];
  /** Shown with the job: small, ids and counts. */
  readonly result?: Readonly<Record<string, unknown>>;
}

export interface Task<S extends TSchema = TSchema> extends JobKind<S> {
  /** Wait after failed attempt n (from 1), ms, spread by a quarter. Default 2 s, 8 s, 32 s, ... at most an hour. */
  readonly backOffMs?: (attempt: number) => number;
  /** Throws AppError with `temporary: false` for what no other attempt would change: the job fails at once. */
  run(context: TaskContext<Static<S>>): Promise<TaskOutcome | void>;
}

/** Binds the input's type to its schema. */
export function defineTask<S extends TSchema>(task: Task<S>): Task {
  return task;
}
