/** Owns the sections of the table of all figures, in the order of the catalogue. */

import { metricGroups, metricOf } from '#motion/metric-catalogue.ts';
import type { Metric } from '#web/motion/gait-feed.ts';
import { metricRows, type MetricRow } from '#web/motion/metric-rows.ts';

export interface MetricSection {
  readonly title: string;
  readonly rows: readonly MetricRow[];
}

export const groupTitles: Readonly<Record<(typeof metricGroups)[number], string>> = {
  pace: 'Pace',
  time: 'Timing',
  distance: 'Foot in the air',
  symmetry: 'Symmetry of left and right',
  variability: 'Variation from stride to stride',
  trend: 'Trend over the session',
  regularity: 'Regularity of the trunk',
  angles: 'Range of motion in a stride',
  amount: 'How much was walked',
};

/** Sections without a row are left out. */
export function metricSections(metrics: readonly Metric[]): MetricSection[] {
  const rows = metricRows(metrics);
  const groupOf = ({ metric }: MetricRow): string => metricOf(metric)?.group ?? 'amount';
  return metricGroups
    .map((group) => ({ title: groupTitles[group], rows: rows.filter((row) => groupOf(row) === group) }))
    .filter((section) => section.rows.length > 0);
}
