/** Owns the table of all figures of an analysis: left, right, what is usual, and what stands behind each. */

import { normOf } from '#motion/norms.ts';
import { DASH, formatSegment } from '#web/format.ts';
import type { Metric } from '#web/motion/gait-feed.ts';
import { metricSections } from '#web/motion/metric-groups.ts';
import { formatFixed, withUnit, type MetricRow } from '#web/motion/metric-rows.ts';
import { SideCells } from '#web/motion/metric-table.tsx';
import type { Norms } from '#web/motion/norms-query.ts';

export interface FigureTableProps {
  readonly metrics: readonly Metric[];
  readonly norms: Norms | null;
}

export function FigureTable({ metrics, norms }: FigureTableProps) {
  const digits = new Map(metrics.map((metric) => [metric.metric, metric.digits]));
  return (
    // A region that scrolls must be reachable by keyboard (axe: scrollable-region-focusable).
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="numbers-scroll figure-scroll" role="region" aria-labelledby="figures-title" tabIndex={0}>
      <table className="metrics figures">
        <colgroup>
          <col className="figure-name-column" />
          <col span={2} className="figure-side-column" />
          <col className="figure-norm-column" />
          <col />
        </colgroup>
        <thead>
          <tr>
            <th scope="col">Measure</th>
            {(['left', 'right'] as const).map((side) => (
              <th key={side} scope="col" className="side-mark" data-side={side}>
                {formatSegment(side)}
              </th>
            ))}
            <th scope="col">Usual</th>
            <th scope="col">Behind it</th>
          </tr>
        </thead>
        {metricSections(metrics).map(({ title, rows }) => (
          <tbody key={title}>
            <tr className="figure-section">
              <th scope="rowgroup" colSpan={5}>
                {title}
              </th>
            </tr>
            {rows.map((row) => (
              <tr key={row.metric} data-metric={row.metric}>
                <th scope="row">{row.label}</th>
                <SideCells row={row} />
                <NormCell row={row} norms={norms} digits={digits.get(row.metric) ?? 0} />
                <td className="muted small">{behind(row)}</td>
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

function NormCell({ row, norms, digits }: { row: MetricRow; norms: Norms | null; digits: number }) {
  const range = norms === null ? null : normOf(norms.figures, row.metric);
  if (range === null) return <td className="muted">{DASH}</td>;
  const text = `${formatFixed(range.low, digits)} to ${formatFixed(range.high, digits)}`;
  return (
    <td title={`${range.population}, mean ± 1 SD. ${range.about}`}>
      <span className="nowrap">{withUnit(text, row.unit)}</span>
    </td>
  );
}

/** What the cells say on hovering, once for both sides where it is the same. */
function behind({ both, left, right }: MetricRow): string {
  const cells = [both, left, right].filter((cell) => cell?.hasValue === true);
  return [...new Set(cells.map((cell) => cell!.meaning))].join(' ');
}
