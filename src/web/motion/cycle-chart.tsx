/**
 * Owns one chart of gait cycles over 0 to 100 % of the stride: single cycles, the mean of each side, foot-off, and the
 * band of a reference population. What the stored analysis has is drawn full, the rest thin.
 */

import type { NormBand } from '#motion/norms.ts';
import {
  bandPath,
  curvePath,
  degreeRange,
  placeOf,
  type CycleCurves,
  type SideCurves,
} from '#web/motion/cycle-curves.ts';
import { degreeText } from '#web/motion/angle-painter.ts';
import { degrees } from '#web/motion/angle-sweep.tsx';

export interface CycleChartProps {
  readonly label: string;
  readonly curves: CycleCurves;
  /** Of people without a complaint; two where the sides differ. */
  readonly bands: readonly NormBand[];
}

const sideLetters = { left: 'L', right: 'R' } as const;

export function CycleChart({ label, curves, bands }: CycleChartProps) {
  const { sides } = curves;
  const range = degreeRange(curves.key, [
    ...sides.flatMap(({ single, mean }) => [
      ...single.map(({ curve }) => curve),
      ...(mean === null ? [] : [mean]),
    ]),
    ...bands.flatMap(({ low, high }) => [low, high]),
  ]);
  const hasAny = sides.some(({ mean }) => mean !== null);
  return (
    <figure className="cycle-chart" aria-label={`${label} over the stride`}>
      <figcaption className="legend">
        <span className="legend-title">{label}</span>
        <span className="shell-space" />
        {sides.map(({ side, count }) => (
          <span key={side} className="legend-axis side-mark" data-side={side}>
            {sideLetters[side]}
            <span className="motion-degrees">{count === 0 ? '' : `n ${count}`}</span>
          </span>
        ))}
      </figcaption>
      <div className="cycle-plot">
        <span className="cycle-scale muted" aria-hidden="true">
          <span>{degreeText(range.high)}</span>
          <span>{degreeText(range.low)}</span>
        </span>
        <svg
          viewBox="0 0 100 100"
          preserveAspectRatio="none"
          role="img"
          aria-label={spoken(label, curves, bands)}
        >
          {bands.map(({ low, high, mean }) => (
            <path key={mean[0]} className="cycle-band" d={bandPath(low, high, range)} />
          ))}
          <path className="cycle-zero" d={`M0 ${placeOf(range, 0)}H100`} />
          {[25, 50, 75].map((percent) => (
            <path key={percent} className="cycle-grid" d={`M${percent} 0V100`} />
          ))}
          {sides.map((side) => (
            <SideLines key={side.side} side={side} range={range} />
          ))}
        </svg>
        {!hasAny && <p className="motion-nothing muted">No cycle yet</p>}
      </div>
      <CycleTable label={label} curves={curves} bands={bands} />
    </figure>
  );
}

/** Below the last of several charts: the share of the stride, and who the grey bands are of. */
export function CycleAxis({ bands }: { bands: readonly NormBand[] }) {
  const [band] = bands;
  return (
    <p className="cycle-axis muted">
      <span aria-hidden="true">0</span>
      {band !== undefined && <span title={band.about}>grey: {band.population}, mean ± 1 SD</span>}
      <span aria-hidden="true">100{'\u202f'}% of the stride</span>
    </p>
  );
}

function SideLines({ side, range }: { side: SideCurves; range: { low: number; high: number } }) {
  return (
    <g className="cycle-side" data-side={side.side}>
      {side.single.map(({ startUs, curve, isCommitted }) => (
        <path
          key={startUs}
          className="cycle-single"
          data-committed={isCommitted}
          d={curvePath(curve, range)}
        />
      ))}
      {side.mean !== null && (
        <path className="cycle-mean" data-committed={side.isMeanCommitted} d={curvePath(side.mean, range)} />
      )}
      {side.footOffPercent !== null && (
        <path className="cycle-foot-off" d={`M${side.footOffPercent} ${side.side === 'left' ? 0 : 94}v6`} />
      )}
    </g>
  );
}

function spoken(label: string, { sides }: CycleCurves, bands: readonly NormBand[]): string {
  const parts = sides.map(({ side, count }) =>
    count === 0 ? `${side}: none yet` : `${side}: mean of ${count} cycles`,
  );
  for (const { population } of bands.slice(0, 1)) parts.push(`grey: ${population}`);
  return `${label}, 0 to 100 % of the stride; ${parts.join('; ')}. The means follow as a table.`;
}

const TABLE_PERCENTS = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100] as const;

/** The picture as text, for who does not see it. */
function CycleTable({ label, curves, bands }: CycleChartProps) {
  return (
    <table className="unseen">
      <caption>{label}: mean over the stride, in degrees</caption>
      <thead>
        <tr>
          <th scope="col">Share of the stride</th>
          {curves.sides.map(({ side }) => (
            <th key={side} scope="col">
              {side}
            </th>
          ))}
          {bands.map(({ population, mean }) => (
            <th key={mean[0]} scope="col">
              {population}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {TABLE_PERCENTS.map((percent) => (
          <tr key={percent}>
            <th scope="row">{percent} %</th>
            {curves.sides.map(({ side, mean }) => (
              <td key={side}>{degrees(mean?.[percent])}</td>
            ))}
            {bands.map(({ low, high, mean }) => (
              <td key={mean[0]}>
                {degrees(low[percent])} to {degrees(high[percent])}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
