/**
 * Owns the trend of a report: a few metrics over the patient's sessions, each session by its stored figures (session_summary)
 * and this one by its analysis. Bound: `reportBounds.pastSessions`. Without an earlier session there is no trend.
 */

import type { Figure } from '#contract/clinic.ts';
import type { MotionAnalysis } from '#contract/motion.ts';
import { reportBounds, type ReportRow, type ReportTrend, type ReportTrendPoint } from '#contract/report.ts';
import type { SessionSummary } from '#contract/rest.ts';

/** A row of kymo.session_summary. */
export interface PastSummary {
  readonly session: string;
  readonly startedAt: string;
  readonly figures: readonly Figure[];
  readonly isProvisional: boolean;
}

/** What a clinic follows over months; Robinson's index for which side changes. */
const followed = [
  'speed',
  'cadence',
  'stride-length',
  'stance-share',
  'double-support',
  'swing-time-robinson-index',
] as const;

export function reportTrends(parts: {
  readonly session: Pick<SessionSummary, 'id' | 'startedAt'>;
  readonly motion: MotionAnalysis;
  readonly past: readonly PastSummary[];
  readonly rows: readonly ReportRow[];
}): ReportTrend[] {
  const { session, motion, rows } = parts;
  const past = parts.past.slice(-reportBounds.pastSessions);
  if (past.length === 0) return [];
  const all: readonly PastSummary[] = [
    ...past,
    {
      session: session.id,
      startedAt: session.startedAt,
      figures: summaryFigures(motion.metrics),
      isProvisional: motion.isProvisional,
    },
  ];
  return followed.flatMap((metric): ReportTrend[] => {
    const row = rows.find((one) => one.metric === metric);
    if (row === undefined) return [];
    const points = (side: Figure['side']): ReportTrendPoint[] =>
      all.flatMap(({ session: id, startedAt, figures, isProvisional }) => {
        const found = figures.find((figure) => figure.metric === metric && figure.side === side);
        if (found === undefined || found.value === null) return [];
        return { session: id, at: startedAt, value: found.value, spread: found.sd, isProvisional };
      });
    const { label, unit, digits, norm, error } = row;
    const [left, right, both] = [points('left'), points('right'), points(null)];
    if (Math.max(left.length, right.length, both.length) < 2) return [];
    return [{ metric, label, unit, digits, norm, error: error?.value ?? null, left, right, both }];
  });
}

/** Of symmetry measures the one that says which side is larger; the others say the same in other words. */
function isKept(metric: string): boolean {
  return !/-(?:ratio|symmetry-angle|asymmetry|normalised-index|trend)$/.test(metric);
}

/** With the error that was measured with these sensors, for plots over months. */
export type KeptFigure = Figure & { readonly error: number | null };

/** What is kept of an analysis for months: figures with a value, `kymo.session_summary.figures`. */
export function summaryFigures(metrics: MotionAnalysis['metrics']): KeptFigure[] {
  return metrics.flatMap(({ metric, side, value, spread, count, error }) =>
    value === null || !isKept(metric)
      ? []
      : { metric, side, value, sd: spread, n: count, error: error?.value ?? null },
  );
}
