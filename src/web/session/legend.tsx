/** Owns the legend of a panel: quantity, unit, and for each line its style as drawn, letter and newest value. */

import { formatUnit, formatValue } from '#web/format.ts';
import type { AxisGroup, BodySide, LineStyle } from '#web/live/axis-groups.ts';
import { dashes, palettes } from '#web/live/palette.ts';

export interface LegendProps {
  readonly group: AxisGroup;
  readonly side: BodySide;
  readonly scheme: 'dark' | 'light';
  /** Newest value per axis of the stream; null where there is no newest. */
  readonly latest: readonly (number | null)[] | null;
}

export function Legend({ group, side, scheme, latest }: LegendProps) {
  return (
    <div className="legend">
      <span className="legend-title">{group.title}</span>
      <span className="muted">{formatUnit(group.unit)}</span>
      <span className="shell-space" />
      {group.axes.map(({ axis, label, style }) => (
        <span key={axis} className="legend-axis">
          <LineSample side={side} scheme={scheme} style={style} />
          {label}
          {latest !== null && <span className="legend-value">{formatValue(latest[axis] ?? null)}</span>}
        </span>
      ))}
    </div>
  );
}

export interface LineSampleProps {
  readonly side: BodySide;
  readonly scheme: 'dark' | 'light';
  readonly style: LineStyle;
}

export function LineSample({ side, scheme, style }: LineSampleProps) {
  const colour = palettes[scheme].sides[side][style];
  return (
    <svg width="26" height="8" viewBox="0 0 26 8" aria-hidden="true">
      <path d="M0 4h26" stroke={colour} strokeWidth="2" opacity="0.42" />
      <path d="M0 4h26" stroke={colour} strokeWidth="2" strokeDasharray={dashes[style].join(' ')} />
    </svg>
  );
}
