/**
 * Owns the plot of a figure over a patient's sessions: left and right in their colours, the known error as a whisker. What
 * it draws stands in the table beside it too, so it is hidden from screen readers.
 */

import 'uplot/dist/uPlot.min.css';

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';

import { palettes, type Palette } from '#web/live/palette.ts';
import {
  progressRange,
  progressSeries,
  type ProgressPoint,
  type ProgressSeries,
  type ProgressSide,
} from '#web/clinic/progress-data.ts';

const HEIGHT_PX = 280;
const POINT_PX = 8;
/** Half of the bar at the end of a whisker. */
const WHISKER_PX = 4;
const HALF_DAY_S = 43_200;
const AXIS_FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';

export interface ProgressPlotProps {
  readonly points: readonly ProgressPoint[];
  readonly unit: string;
  readonly digits: number;
  /** The session under the pointer; null: none. */
  readonly onPoint: (index: number | null) => void;
}

export function ProgressPlot({ points, unit, digits, onPoint }: ProgressPlotProps) {
  const host = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme('dark', { getInitialValueInEffect: false });
  const latest = useRef(onPoint);
  useEffect(() => {
    latest.current = onPoint;
  });
  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const series = progressSeries(points);
    const times = points.map(({ startedAt }) => Date.parse(startedAt) / 1000);
    const columns = series.map(({ values }) => [...values]);
    const options = {
      ...plotOptions({ series, times, palette: palettes[scheme], unit, digits }),
      width: element.clientWidth,
      height: HEIGHT_PX,
    };
    const plot = new uPlot(options, [times, ...columns], element);
    plot.hooks.setCursor = [({ cursor }) => latest.current(cursor.idx ?? null)];
    const observer = new ResizeObserver(() =>
      plot.setSize({ width: element.clientWidth, height: HEIGHT_PX }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [points, scheme, unit, digits]);
  return <div ref={host} className="progress-plot" aria-hidden="true" />;
}

interface PlotParts {
  readonly series: readonly ProgressSeries[];
  /** Seconds since 1970, ascending, at least one. */
  readonly times: readonly number[];
  readonly palette: Palette;
  readonly unit: string;
  readonly digits: number;
}

function plotOptions({
  series,
  times,
  palette,
  unit,
  digits,
}: PlotParts): Omit<uPlot.Options, 'width' | 'height'> {
  const colours: Readonly<Record<ProgressSide, string>> = {
    left: palette.sides.left.solid,
    right: palette.sides.right.solid,
    both: palette.sides.centre.solid,
  };
  const axis = {
    stroke: palette.label,
    font: AXIS_FONT,
    grid: { stroke: palette.grid, width: 1 },
    ticks: { stroke: palette.grid, width: 1 },
  };
  return {
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false },
    scales: {
      x: { time: true, range: () => withMargin(times[0] ?? 0, times.at(-1) ?? 0) },
      y: { range: () => progressRange(series) ?? [0, 1] },
    },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map(dayOf) },
      {
        ...axis,
        size: 64,
        label: unit,
        labelFont: AXIS_FONT,
        labelSize: unit === '' ? 0 : 20,
        values: (_, ticks) => ticks.map((tick) => tick.toFixed(digits)),
      },
    ],
    series: [
      {},
      ...series.map(({ side }) => ({
        stroke: colours[side],
        width: 2,
        // A session without the figure breaks the line: what was not measured is not drawn.
        spanGaps: false,
        points: { show: true, size: POINT_PX, fill: colours[side], stroke: colours[side] },
      })),
    ],
    hooks: {
      draw: [(plot) => drawWhiskers(plot, series, colours)],
    },
  };
}

/** Half a day at least, so that a single session stands in the middle. */
function withMargin(from: number, to: number): [number, number] {
  const margin = Math.max(HALF_DAY_S, (to - from) * 0.03);
  return [from - margin, to + margin];
}

/** The mark at the beginning of each day says it; what stands between days says nothing. */
function dayOf(time: number): string {
  const date = new Date(time * 1000);
  if (date.getHours() > 1) return '';
  const isYear = date.getMonth() === 0 && date.getDate() === 1;
  return isYear
    ? String(date.getFullYear())
    : date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
}

function drawWhiskers(
  plot: uPlot,
  series: readonly ProgressSeries[],
  colours: Readonly<Record<ProgressSide, string>>,
): void {
  const { ctx } = plot;
  const half = WHISKER_PX * devicePixelRatio;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const { side, values, errors } of series) {
    ctx.strokeStyle = colours[side];
    ctx.beginPath();
    for (const [i, value] of values.entries()) {
      const error = errors[i] ?? null;
      const time = plot.data[0][i];
      if (value === null || error === null || time === undefined) continue;
      const x = Math.round(plot.valToPos(time, 'x', true));
      const [top, bottom] = [value + error, value - error].map((end) =>
        Math.round(plot.valToPos(end, 'y', true)),
      );
      ctx.moveTo(x, top!);
      ctx.lineTo(x, bottom!);
      for (const y of [top!, bottom!]) {
        ctx.moveTo(x - half, y);
        ctx.lineTo(x + half, y);
      }
    }
    ctx.stroke();
  }
  ctx.restore();
}
