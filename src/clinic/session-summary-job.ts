/** Owns the job that an ended session causes: its figures in one row (kymo.session_summary). */

import type { Clock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { NewJob } from '#store/job-queue.ts';

/** The end of a session must never fail for want of a place: one waits for each session at most. */
const MOST = 1_000_000_000;

export function sessionSummaryJob(session: string, clock: Pick<Clock, 'nowUs'>): NewJob {
  return {
    id: uuidv7(clock),
    kind: 'session-summary',
    input: { session },
    lane: 'quick',
    maxAttempts: 5,
    sessionId: session,
    coalesceKey: `session-summary/${session}`,
    most: MOST,
  };
}
