/**
 * Owns the job that keeps the figures of an ended session (kymo.session_summary): of the newest analysis, as often as it is
 * asked for. It waits for nothing, since a report stands in line behind it: while the analysis is behind it stores what there is,
 * says that it is provisional, and comes again.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { MotionAnalysis } from '#contract/motion.ts';
import type { SummaryQuality } from '#contract/report.ts';
import type { SessionDetail } from '#contract/rest.ts';
import { enqueueStatements } from '#store/job-queue.ts';
import type { ReportQueries } from '#store/report-queries.ts';
import type { SessionQueries } from '#store/session-queries.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { summaryFigures } from '#jobs/report/report-trends.ts';
import { defineTask, type Task } from '#jobs/task.ts';

export const summaryLimits = {
  /** When it comes again while the analysis is behind. */
  againMs: 15_000,
  /** Beyond it the analysis has a backlog, and tells when it is through. */
  againForMs: 60 * 60_000,
  /** Times that the analysis may move on while it is read. */
  tries: 5,
} as const;

/** What the app gives: figures of the stored analysis, without its records. */
export type ReadFigures = (orgId: string, sessionId: string) => Promise<MotionAnalysis | null>;

export interface ReportTaskParts {
  readonly queries: ReportQueries;
  readonly sessions: Pick<SessionQueries, 'detail'>;
  readonly figures: ReadFigures;
  readonly clock: Clock;
}

export function sessionSummaryTask(parts: ReportTaskParts): Task {
  const { queries, clock } = parts;
  return defineTask({
    ...jobKinds['session-summary'],
    async run({ job: { orgId }, input, report }) {
      const sessionId = input.session;
      const first = await queries.standing(orgId, sessionId);
      if (first === null) throw missing();
      if (first.endedAt === null) return { result: { stored: false, why: 'the session has not ended' } };
      report(0.5, 'keeping the figures');
      const stored = await storeCurrent(parts, orgId, sessionId);
      const agoMs = clock.nowUs() / 1000 - first.endedAt.getTime();
      const comesAgain = !first.isCaughtUp && !first.hasFailed && agoMs < summaryLimits.againForMs;
      return {
        result: { stored: true, ...stored },
        ...(comesAgain ? { statements: enqueueStatements(summaryAgain(sessionId, clock)) } : {}),
      };
    },
  });
}

async function storeCurrent(
  { queries, sessions, figures }: ReportTaskParts,
  orgId: string,
  sessionId: string,
): Promise<{ readonly inputRevision: number; readonly provisional: string | null }> {
  for (let tries = 0; tries < summaryLimits.tries; tries++) {
    const standing = await queries.standing(orgId, sessionId);
    const analysis = await figures(orgId, sessionId);
    const detail = await sessions.detail(orgId, sessionId);
    if (standing === null || analysis === null || detail === null) throw missing();
    const quality = summaryQuality(detail, analysis);
    const { startedAt, endedAt } = standing;
    const isStored = await queries.storeSummary(orgId, {
      sessionId,
      durationS: Math.max(0, ((endedAt ?? startedAt).getTime() - startedAt.getTime()) / 1000),
      figures: summaryFigures(analysis.metrics),
      quality,
      algorithm: analysis.algorithm,
      algorithmVersion: String(analysis.version),
      standing,
    });
    if (isStored) return { inputRevision: standing.change, provisional: quality.provisional };
  }
  throw new AppError('outdated', 'the analysis moves on faster than it can be read', { temporary: true });
}

function missing(): AppError {
  return new AppError('not-found', 'there is no such session');
}

function summaryAgain(sessionId: string, clock: Clock) {
  return {
    id: uuidv7(clock),
    kind: jobKinds['session-summary'].kind,
    lane: jobKinds['session-summary'].lane,
    maxAttempts: 5,
    input: { session: sessionId },
    sessionId,
    coalesceKey: `session-summary/${sessionId}`,
    delayMs: summaryLimits.againMs,
  };
}

function summaryQuality({ session, streams }: SessionDetail, analysis: MotionAnalysis): SummaryQuality {
  const epochs = streams.flatMap((stream) => stream.epochs);
  const pending = epochs.flatMap((epoch) => epoch.pending.map(([from, to]) => to - from));
  return {
    storedReadings: session.storedReadings,
    lostReadings: session.lostReadings,
    pendingReadings: pending.reduce((sum, size) => sum + size, 0),
    gaps: epochs.reduce((sum, epoch) => sum + epoch.lost.length + epoch.pending.length, 0),
    tailLost: epochs.some(({ tailLost }) => tailLost),
    sensors: streams.length,
    uncalibratedSensors: analysis.bodyModel.placements.filter(
      ({ alignment }) => alignment.kind === 'from-movement',
    ).length,
    provisional: analysis.isProvisional ? (analysis.reason ?? 'the analysis is not finished') : null,
  };
}
