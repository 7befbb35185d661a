/** Owns the table of figures: left and right side by side, each with unit and known error, a dash and why without one. */

import { DASH, formatSegment } from '#web/format.ts';
import { withUnit, type MetricCell, type MetricRow } from '#web/motion/metric-rows.ts';

export interface MetricTableProps {
  readonly caption: string;
  readonly rows: readonly MetricRow[];
}

export function MetricTable({ caption, rows }: MetricTableProps) {
  return (
    <table className="metrics">
      <caption className="unseen">{caption}</caption>
      <colgroup>
        <col className="metric-name-column" />
        <col span={2} />
      </colgroup>
      <thead>
        <tr>
          <th scope="col">
            <span className="unseen">Measure</span>
          </th>
          {(['left', 'right'] as const).map((side) => (
            <th key={side} scope="col" className="side-mark" data-side={side}>
              {formatSegment(side)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.metric} data-metric={row.metric}>
            <th scope="row">{row.label}</th>
            <SideCells row={row} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** One cell over both columns for what is of the body as a whole, and for one reason that both sides share. */
function SideCells({ row }: { row: MetricRow }) {
  const { both, left, right, unit } = row;
  if (left === null && right === null) return <ValueCell cell={both} unit={unit} span={2} />;
  const isSameReason = left !== null && right !== null && !left.hasValue && !right.hasValue;
  if (isSameReason && left.meaning === right.meaning) return <ValueCell cell={left} unit={unit} span={2} />;
  return (
    <>
      <ValueCell cell={left} unit={unit} span={1} />
      <ValueCell cell={right} unit={unit} span={1} />
    </>
  );
}

export function ValueCell({ cell, unit, span }: { cell: MetricCell | null; unit: string; span: number }) {
  if (cell === null) return <td colSpan={span}>{DASH}</td>;
  if (!cell.hasValue)
    return (
      <td colSpan={span} title={cell.meaning} className="muted">
        {cell.text} <span className="metric-reason small">{cell.meaning}</span>
      </td>
    );
  return (
    <td colSpan={span} title={cell.meaning}>
      <span className="metric-value">{withUnit(cell.text, unit)}</span>
      {cell.error !== null && <span className="metric-error muted small">{cell.error}</span>}
    </td>
  );
}
