/** Owns the bounds of jobs: how long a runner may be silent, how large a result may be, how long things are kept. */

export const jobLimits = {
  /** A runner that renewed a job's lease not for this long has lost it: five renewals that did not come through. */
  leaseMs: 15_000,
  /** So often a running job's lease and progress are written, and it is looked whether it was cancelled. */
  renewMs: 2_500,
  /** So often it is looked for what lost runners held. With the lease, a killed process's jobs go on within 25 s. */
  mendMs: 10_000,
  /** Jobs are announced (LISTEN); this finds those whose time has come, and those announced while nobody listened. */
  pollMs: 5_000,
  /** At most so often the progress of one job is told to whoever watches. */
  newsMs: 400,
  /** What a job that is stopped has to come to an end, before it is left to its lease. */
  stopMs: 5_000,
  /** Pieces of a result, each a row: what one fetch holds in memory. */
  pieceBytes: 1024 * 1024,
  /** An hour of seven sensors as CSV, packed, is a third of it. */
  fileBytes: 768 * 1024 * 1024,
  /** Results can be made again, so they are not kept for long. */
  fileDays: 7,
  /** What was asked for and what became of it; idempotency keys hold as long. */
  keptDays: 30,
  /** Whoever asked for a slow job watches it for so long; what ends later is told by mail ... */
  watchedMs: 60_000,
  /** ... which is too late when it could not be sent for as long. */
  mailDays: 3,
  /** Rows that one step of tidying removes. */
  expiredPerStep: 500,
  /** Attempts of a task that says nothing else. */
  maxAttempts: 5,
  /** Wait after the first failed attempt; each further one waits four times as long ... */
  backOffMs: 2_000,
  backOffFactor: 4,
  /** ... but no longer than this. */
  mostBackOffMs: 3_600_000,
  /** Characters of a failure that are kept. */
  errorCharacters: 500,
  stageCharacters: 200,
} as const;

/** Wait after failed attempt `attempt` (from 1), before it is spread by chance. */
export function defaultBackOffMs(attempt: number): number {
  return Math.min(
    jobLimits.mostBackOffMs,
    jobLimits.backOffMs * jobLimits.backOffFactor ** Math.max(0, attempt - 1),
  );
}
