/** Owns the table of all figures of an analysis: left, right, what is usual, and what stands behind each. */

import { normOf } from '#motion/norms.ts';
import { DASH, formatSegment } from '#web/format.ts';
import type { Metric } from '#web/motion/gait-feed.ts';
import { metricSections } from '#web/motion/metric-groups.ts';
import { formatFixed, withUnit, type MetricRow } from '#web/motion/metric-rows.ts';
import { ValueCell } from '#web/motion/metric-table.tsx';
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
          <col span={3} className="figure-side-column" />
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
            <th scope="col">Both</th>
            <th scope="col">Usual</th>
            <th scope="col">Behind it</th>
          </tr>
        </thead>
        {metricSections(metrics).map(({ title, rows }) => (
          <tbody key={title}>
            <tr className="figure-section">
              <th scope="rowgroup" colSpan={6}>
                {title}
              </th>
            </tr>
            {rows.map((row) => (
              <tr key={row.metric} data-metric={row.metric}>
                <th scope="row">{row.label}</th>
                <ValueCells row={row} />
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

/** One cell over all columns for a reason that they share. */
function ValueCells({ row: { both, left, right, unit } }: { row: MetricRow }) {
  const cells = [left, right, both];
  const known = cells.filter((cell) => cell !== null);
  const [first] = known;
  if (first !== undefined && known.every(({ hasValue, meaning }) => !hasValue && meaning === first.meaning))
    return <ValueCell cell={first} unit={unit} span={3} />;
  return (
    <>
      <ValueCell cell={left} unit={unit} span={1} />
      <ValueCell cell={right} unit={unit} span={1} />
      <ValueCell cell={both} unit={unit} span={1} />
    </>
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

/** Of the body as a whole where there is that; each cell says all of it on hovering. */
function behind({ both, left, right }: MetricRow): string {
  return [both, left, right].find((cell) => cell?.hasValue === true)?.behind ?? '';
}
