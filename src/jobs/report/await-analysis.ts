/**
 * Owns the wait of a job until the analysis has caught up with what is stored of a session: it looks a few times a second, and
 * no longer than it is told, since jobs of one organisation stand in line.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { AnalysisStanding, ReportQueries } from '#store/report-queries.ts';

/** Windows and analysis look once a second each: looking more often than this finds nothing. */
const LOOK_MS = 200;

export interface AwaitedAnalysis {
  readonly queries: Pick<ReportQueries, 'standing'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly waitMs: number;
}

/** Where it stands: caught up, failed, of a session that has not ended, or as it was when the time was over. */
export async function awaitAnalysis(
  orgId: string,
  sessionId: string,
  { queries, clock, signal, waitMs }: AwaitedAnalysis,
): Promise<AnalysisStanding> {
  const untilMs = clock.monotonicMs() + waitMs;
  for (;;) {
    const standing = await queries.standing(orgId, sessionId);
    if (standing === null) throw new AppError('not-found', 'there is no such session');
    if (standing.isCaughtUp || standing.hasFailed || standing.endedAt === null) return standing;
    if (clock.monotonicMs() >= untilMs) return standing;
    await pause(clock, signal);
  }
}

function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      cancel();
      reject(new AppError('draining', 'the job was stopped', { temporary: true }));
    };
    const cancel = clock.after(LOOK_MS, () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
