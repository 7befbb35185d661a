/**
 * Owns the job that makes the report of a session: it waits for the analysis to catch up, builds, draws and keeps the PDF with
 * the job. What the analysis had not seen by then is said on the first page.
 */

import { AppError } from '#base/errors.ts';
import type { MotionAnalysis } from '#contract/motion.ts';
import { reportBounds } from '#contract/report.ts';
import { webhookStatements } from '#store/webhook-events.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { awaitAnalysis } from '#jobs/report/await-analysis.ts';
import { buildSessionReport, type Norms } from '#jobs/report/build-session-report.ts';
import { renderSessionReport } from '#jobs/report/render-session-report.ts';
import { defineTask, type Task } from '#jobs/task.ts';
import type { ReportTaskParts } from '#jobs/tasks/session-summary.ts';

export const reportLimits = {
  /** Whoever asked looks at a bar: after this a report that says what is missing is better than none. */
  waitMs: 8_000,
  /** Strides that curves are of: an hour of walking. Longer sessions give their newest. */
  cycles: 10_000,
} as const;

/** What the app gives: the stored analysis in the words of the contract (app/motion-answers.ts). */
type ReadMotion = (
  orgId: string,
  query: {
    readonly sessionId: string;
    readonly cycles: number;
    readonly fromUs: number;
    readonly toUs: number;
  },
) => Promise<MotionAnalysis | null>;

export interface SessionReportParts extends Omit<ReportTaskParts, 'figures'> {
  readonly motion: ReadMotion;
  readonly norms: Norms;
  /** IANA name. */
  readonly timeZone: string;
  /** Name and version. */
  readonly program: string;
}

export function sessionReportTask(parts: SessionReportParts): Task {
  const { queries, sessions, motion, clock } = parts;
  return defineTask({
    ...jobKinds['session-report'],
    async run({ job, input, report, signal, store }) {
      const { orgId } = job;
      const sessionId = input.session;
      report(0.05, 'waiting for the analysis');
      await awaitAnalysis(orgId, sessionId, { queries, clock, signal, waitMs: reportLimits.waitMs });
      report(0.4, 'reading the analysis');
      // First the standing: what is read after it is as new, or newer.
      const standing = await queries.standing(orgId, sessionId);
      const analysis = await motion(orgId, {
        sessionId,
        cycles: reportLimits.cycles,
        fromUs: Number.MIN_SAFE_INTEGER,
        toUs: Number.MAX_SAFE_INTEGER,
      });
      const detail = await sessions.detail(orgId, sessionId);
      const context = await queries.context(orgId, sessionId, reportBounds.pastSessions);
      if (standing === null || analysis === null || detail === null || context === null)
        throw new AppError('not-found', 'there is no such session');
      report(0.6, 'drawing');
      const made = { at: new Date(clock.nowUs() / 1000), timeZone: parts.timeZone, program: parts.program };
      const built = buildSessionReport({
        detail,
        motion: analysis,
        context: { ...context, inputRevision: standing.change },
        norms: parts.norms,
        made,
      });
      const pdf = await renderSessionReport(built);
      const name = `gait-report-${context.patient?.code ?? 'session'}-${built.session.startedAt.slice(0, 10)}.pdf`;
      await store({ name, type: 'application/pdf' }, [pdf]);
      return {
        result: { bytes: pdf.length, provisional: built.provisional },
        statements: webhookStatements(
          { type: 'report.ready', data: { job: job.id, session: sessionId } },
          { clock, patientId: job.patientId },
        ),
      };
    },
  });
}
