/**
 * Owns what is done by the clock. One runner of all does it each time (graphile-worker's crontab), and one that was down
 * does not make up for what it missed; so a schedule looks at what is to be done, and not at when it was done last.
 */

import type pg from 'pg';

export interface Schedule {
  readonly name: string;
  /** Crontab, UTC: minute, hour, day of month, month, day of week. */
  readonly match: string;
  /** May run twice. Ends soon when the signal is aborted. `queue`: connections of the role kymo_jobs. */
  run(signal: AbortSignal, queue: Pick<pg.Pool, 'query'>): Promise<void>;
}
