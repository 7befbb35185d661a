/** Owns which figures stand on the live panel, in which order, also before any is known: nothing moves when they come. */

import { metricOf } from '#motion/metric-catalogue.ts';
import { DASH } from '#web/format.ts';
import type { Metric } from '#web/motion/gait-feed.ts';
import { metricRows, unitWords, type MetricRow } from '#web/motion/metric-rows.ts';

/** What is read at a glance while somebody walks; all figures are on the review page. */
const shown = [
  'speed',
  'cadence',
  'stride-length',
  'stride-time',
  'stance-share',
  'swing-share',
  'double-support',
  'swing-time-robinson-index',
  'step-time-robinson-index',
  'stride-length-robinson-index',
] as const;

/** Of these the sides say no more than the body as a whole. */
const ofBody: ReadonlySet<string> = new Set(['speed', 'cadence', 'double-support']);

export function liveFigures(metrics: readonly Metric[]): MetricRow[] {
  const known = new Map(metricRows(metrics).map((row) => [row.metric, row]));
  return shown.map((metric) => {
    const row = known.get(metric) ?? emptyRow(metric);
    return row.both !== null && ofBody.has(metric) ? { ...row, left: null, right: null } : row;
  });
}

function emptyRow(metric: string): MetricRow {
  const entry = metricOf(metric);
  const none = { text: DASH, error: null, meaning: '', behind: '', hasValue: false };
  const label = entry?.label ?? metric;
  return { metric, label, unit: unitWords(entry?.unit ?? ''), both: none, left: null, right: null };
}
