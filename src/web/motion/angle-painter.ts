/**
 * Owns the picture of live angles: one sweep a curve, left and right in one plot, what the stored analysis covers full
 * and the rest thin. Only the columns at the head, and behind it those that came late, are drawn anew; everything after
 * a change of size, scale, window or colours.
 */

import { choosePoints, createPointBuffer, type PointBuffer } from '#web/live/decimation.ts';
import { drawLine } from '#web/live/line-painter.ts';
import { canvasFont, type Palette } from '#web/live/palette.ts';
import type { ReadingRing } from '#web/live/reading-ring.ts';
import {
  columnOf,
  createSweep,
  gridSeconds,
  oldestColumn,
  spansOf,
  timeOfColumn,
  type Sweep,
  type SweepSpan,
} from '#web/live/sweep.ts';
import { layoutPlots, yOf, type CanvasSize, type Plot } from '#web/live/trace-layout.ts';
import type { AngleCurve } from '#web/motion/angle-groups.ts';
import { degreeRange, type DegreeRange } from '#web/motion/cycle-curves.ts';
import { isCommitted, type CommittedSpan } from '#web/motion/gait-feed.ts';

export interface AngleView {
  readonly windowMs: number;
  readonly palette: Palette;
  readonly curves: readonly AngleCurve[];
}

export interface AnglePainter {
  resize(size: CanvasSize): void;
  setView(view: AngleView): void;
  setCommitted(committed: readonly CommittedSpan[]): void;
  invalidate(): void;
  /** Draws what changed since the last time. `fromMs`: what came since is not before this. */
  paint(ring: ReadingRing | null, headMs: number, fromMs: number | null): void;
}

interface State {
  readonly context: CanvasRenderingContext2D;
  size: CanvasSize;
  view: AngleView;
  committed: readonly CommittedSpan[];
  plots: Plot[];
  ranges: DegreeRange[];
  sweep: Sweep;
  points: PointBuffer;
  headColumn: number;
  isStale: boolean;
}

/** A full drawing may find a value beyond the scale, which draws once more. */
const MAX_PASSES = 2;

export function createAnglePainter(context: CanvasRenderingContext2D, first: AngleView): AnglePainter {
  const s: State = {
    context,
    size: { width: 1, height: 1, scale: 1 },
    view: first,
    committed: [],
    plots: [],
    ranges: [],
    sweep: createSweep(first.windowMs, 1),
    points: createPointBuffer(1),
    headColumn: Number.NEGATIVE_INFINITY,
    isStale: true,
  };
  prepare(s);
  return {
    resize(size) {
      s.size = size;
      context.canvas.width = size.width;
      context.canvas.height = size.height;
      prepare(s);
    },
    setView(view) {
      s.view = view;
      prepare(s);
    },
    setCommitted(committed) {
      if (JSON.stringify(committed) === JSON.stringify(s.committed)) return;
      s.committed = committed;
      s.isStale = true;
    },
    invalidate() {
      s.isStale = true;
    },
    paint: (ring, headMs, fromMs) => paint(s, ring, { headMs, fromMs }),
  };
}

/** Everything that follows from size and view. */
function prepare(s: State): void {
  const { size, view } = s;
  s.plots = layoutPlots(size, Math.max(1, view.curves.length));
  s.ranges = view.curves.map(({ key }) => degreeRange(key, []));
  s.sweep = createSweep(view.windowMs, s.plots[0]?.width ?? 1);
  s.points = createPointBuffer(s.sweep.width);
  s.isStale = true;
}

function paint(
  s: State,
  ring: ReadingRing | null,
  { headMs, fromMs }: { headMs: number; fromMs: number | null },
): void {
  const head = columnOf(s.sweep, headMs);
  const oldest = oldestColumn(s.sweep, head);
  if (head < s.headColumn || s.headColumn < oldest) s.isStale = true;
  let from = s.headColumn;
  if (fromMs !== null && fromMs < headMs) from = Math.min(from, columnOf(s.sweep, fromMs) - 1);
  if (!s.isStale && from === head) return;
  s.headColumn = head;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (s.isStale) {
      paintGround(s);
      from = oldest;
    }
    s.isStale = false;
    for (const span of spansOf(s.sweep, Math.max(oldest, from), head + 1)) paintSpan(s, ring, span);
    if (!s.isStale) break;
  }
  paintEraseBar(s, head);
}

function paintGround({ context, size, view, plots, ranges }: State): void {
  const { palette } = view;
  context.fillStyle = palette.surface;
  context.fillRect(0, 0, size.width, size.height);
  context.font = canvasFont(size.scale);
  context.textAlign = 'right';
  context.fillStyle = palette.label;
  ranges.forEach((range, i) => {
    const plot = plots[i]!;
    for (const [value, baseline] of [
      [range.high, 'top'],
      [range.low, 'bottom'],
    ] as const) {
      context.textBaseline = baseline;
      context.fillText(degreeText(value), plot.x - 6 * size.scale, yOf(plot, range, value));
    }
  });
}

export function degreeText(value: number): string {
  return `${value < 0 ? '\u2212' : ''}${Math.abs(value)}°`;
}

function paintEraseBar({ context, sweep, plots, view }: State, head: number): void {
  context.fillStyle = view.palette.surface;
  for (const { from, to, origin } of spansOf(sweep, head + 1, head + 1 + sweep.eraseColumns))
    for (const plot of plots) context.fillRect(plot.x + from - origin, plot.y, to - from, plot.height);
}

function paintSpan(s: State, ring: ReadingRing | null, span: SweepSpan): void {
  const { context } = s;
  s.view.curves.forEach((curve, i) => {
    const plot = s.plots[i]!;
    context.save();
    context.beginPath();
    context.rect(plot.x + span.from - span.origin, plot.y, span.to - span.from, plot.height);
    context.clip();
    paintGrid(s, { plot, range: s.ranges[i]!, span });
    if (ring !== null) paintLines(s, { ring, curve, span, place: i });
    context.restore();
  });
}

function paintGrid(
  { context, sweep, view, size }: State,
  { plot, range, span }: { plot: Plot; range: DegreeRange; span: SweepSpan },
): void {
  const { palette } = view;
  const hairline = Math.max(1, Math.round(size.scale));
  context.fillStyle = palette.surface;
  context.fillRect(plot.x + span.from - span.origin, plot.y, span.to - span.from, plot.height);
  context.fillStyle = palette.grid;
  context.fillRect(plot.x, Math.round(yOf(plot, range, range.high)), plot.width, hairline);
  context.fillRect(plot.x, Math.round(yOf(plot, range, range.low)) - hairline, plot.width, hairline);
  const seconds = sweep.windowMs / 1000;
  for (let second = 0; second < seconds; second += gridSeconds(seconds))
    context.fillRect(plot.x + Math.round((second * 1000) / sweep.msPerColumn), plot.y, hairline, plot.height);
  context.fillStyle = palette.zero;
  context.fillRect(plot.x, Math.round(yOf(plot, range, 0)), plot.width, hairline);
}

interface LineJob {
  readonly ring: ReadingRing;
  readonly curve: AngleCurve;
  readonly span: SweepSpan;
  /** Of the curve among those shown. */
  readonly place: number;
}

function paintLines(s: State, { ring, curve, span, place }: LineJob): void {
  const { sweep, points, view, committed } = s;
  const plot = s.plots[place]!;
  const range = s.ranges[place]!;
  // One row beyond each edge, so that lines enter and leave the span.
  const from = Math.max(ring.start, ring.lowerBound(timeOfColumn(sweep, span.from)) - 1);
  const to = Math.min(ring.end, ring.lowerBound(timeOfColumn(sweep, span.to)) + 1);
  for (const { side, column } of curve.lines) {
    if (column >= ring.values.length) continue;
    choosePoints({ ring, axis: column, from, to, msPerColumn: sweep.msPerColumn, isBreak: never }, points);
    if (points.count === 0) continue;
    const wider = degreeRange(curve.key, [[range.low, range.high], points.value.subarray(0, points.count)]);
    if (wider.low < range.low || wider.high > range.high) {
      s.ranges[place] = wider;
      s.isStale = true;
      return;
    }
    const colour = view.palette.sides[side].solid;
    drawLine(
      {
        context: s.context,
        scale: s.size.scale,
        colour,
        stroke: colour,
        xOf: (timeMs) => plot.x + timeMs / sweep.msPerColumn - span.origin,
        yOf: (value) => yOf(plot, range, value),
      },
      points,
      (index) => isCommitted(committed, ring.timeOf(index) * 1000),
    );
  }
}

/** Rows that are missing are holes of the ring already. */
const never = (): boolean => false;
