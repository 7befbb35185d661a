/**
 * Owns the picture of one stream on a canvas: per panel a sweep of its axes, gaps hatched with their cause, settled
 * readings full and provisional ones thin. It draws only columns that changed: those at the head, those that a commit
 * or a late reading touched; all of them after a change of size, scale, window or colours.
 */

import { groupAxes, sideOf, type AxisGroup } from '#web/live/axis-groups.ts';
import { dashPattern, hatchPattern } from '#web/live/canvas-patterns.ts';
import { choosePoints, createPointBuffer, type PointBuffer } from '#web/live/decimation.ts';
import { gapsIn, isBreakAt, type GapSource, type GapSpan } from '#web/live/gap-spans.ts';
import { hatchGap } from '#web/live/gap-painter.ts';
import { drawLine } from '#web/live/line-painter.ts';
import { canvasFont, dashes, type Palette } from '#web/live/palette.ts';
import type { ScaleBook } from '#web/live/scale-book.ts';
import { takeDirty, type StreamTrace } from '#web/live/stream-trace.ts';
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
import type { RangeTracker, ValueRange } from '#web/live/value-range.ts';

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

export interface PainterView {
  readonly windowMs: number;
  readonly palette: Palette;
  /** A recording is drawn from edge to edge; a sweep keeps a bar ahead of its head empty. */
  readonly hasEraseBar: boolean;
}

export interface PaintMoment {
  /** The newest time that is shown. */
  readonly headMs: number;
  readonly isOffline: (timeMs: number) => boolean;
  /** Where the stream is silent now: since when; null while readings come. */
  readonly silentSinceMs: number | null;
}

export interface TracePainter {
  resize(size: CanvasSize): void;
  setView(view: PainterView): void;
  /** Draw everything at the next paint. */
  invalidate(): void;
  /** Draws what changed. Returns false when nothing had to be drawn. */
  paint(moment: PaintMoment): boolean;
}

interface Panel {
  readonly group: AxisGroup;
  readonly tracker: RangeTracker;
  /** The scale of the picture as it is. */
  drawnRange: ValueRange | null;
  plot: Plot;
  /** One stroke style an axis: a colour, or a pattern that repeats along time. */
  strokes: (string | CanvasPattern)[];
  colours: string[];
}

interface Painter {
  readonly context: Context;
  readonly trace: StreamTrace;
  readonly panels: Panel[];
  size: CanvasSize;
  view: PainterView;
  sweep: Sweep;
  points: PointBuffer;
  hatches: { calm: string | CanvasPattern; worrying: string | CanvasPattern };
  headColumn: number;
  silentSinceMs: number | null;
  isStale: boolean;
}

/** A full drawing may find a value beyond the range, which draws once more: a range grows at most so often a paint. */
const MAX_PASSES = 3;

/** Draws `trace` on `context`. Nothing is drawn before `resize`. */
export function createTracePainter(
  context: Context,
  { trace, scales }: { trace: StreamTrace; scales: ScaleBook },
  view: PainterView,
): TracePainter {
  const p: Painter = {
    context,
    trace,
    panels: groupAxes(trace.definition.axes).map((group) => ({
      group,
      tracker: scales.trackerFor(trace.definition, group),
      drawnRange: null,
      plot: { x: 0, y: 0, width: 1, height: 1 },
      strokes: [],
      colours: [],
    })),
    size: { width: 1, height: 1, scale: 1 },
    view,
    sweep: createSweep(view.windowMs, 1),
    points: createPointBuffer(1),
    hatches: { calm: '', worrying: '' },
    headColumn: Number.NEGATIVE_INFINITY,
    silentSinceMs: null,
    isStale: true,
  };
  return {
    resize(size) {
      p.size = size;
      prepare(p);
    },
    setView(next) {
      p.view = next;
      prepare(p);
    },
    invalidate() {
      p.isStale = true;
    },
    paint: (moment) => paint(p, moment),
  };
}

/** Everything that follows from size and view. */
function prepare(p: Painter): void {
  const { size, view, context } = p;
  context.canvas.width = size.width;
  context.canvas.height = size.height;
  const plots = layoutPlots(size, p.panels.length);
  const { palette } = view;
  const side = palette.sides[sideOf(p.trace.definition.segment)];
  p.panels.forEach((panel, i) => {
    panel.plot = plots[i]!;
    panel.colours = panel.group.axes.map(({ style }) => side[style]);
    panel.strokes = panel.group.axes.map(({ style }) =>
      dashPattern(
        context,
        side[style],
        dashes[style].map((length) => Math.max(1, Math.round(length * size.scale))),
      ),
    );
  });
  p.hatches = {
    calm: hatchPattern(context, palette.label, size.scale),
    worrying: hatchPattern(context, palette.attention, size.scale),
  };
  const sweep = createSweep(view.windowMs, plots[0]?.width ?? 1);
  p.sweep = view.hasEraseBar ? sweep : { ...sweep, eraseColumns: 0 };
  p.points = createPointBuffer(p.sweep.width);
  p.isStale = true;
}

function paint(p: Painter, moment: PaintMoment): boolean {
  const head = columnOf(p.sweep, moment.headMs);
  const dirty = takeDirty(p.trace);
  const oldest = oldestColumn(p.sweep, head);
  for (const { tracker } of p.panels) tracker.beginCycle(Math.floor(head / p.sweep.width));
  if (p.panels.some(isOutOfScale)) p.isStale = true;
  // A head that went back, or more than a whole width ahead, leaves nothing of the old picture.
  if (head < p.headColumn || p.headColumn < oldest) p.isStale = true;
  let from = p.headColumn;
  if (moment.silentSinceMs !== p.silentSinceMs)
    from = Math.min(from, columnOf(p.sweep, moment.silentSinceMs ?? moment.headMs));
  p.silentSinceMs = moment.silentSinceMs;
  if (dirty !== null && dirty.fromMs <= moment.headMs)
    from = Math.min(from, Number.isFinite(dirty.fromMs) ? columnOf(p.sweep, dirty.fromMs) : oldest);
  if (!p.isStale && from === head && head === p.headColumn && dirty === null) return false;
  p.headColumn = head;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (p.isStale) {
      paintGround(p);
      from = oldest;
    }
    p.isStale = false;
    for (const span of spansOf(p.sweep, Math.max(oldest, from), head + 1)) paintSpan(p, span, moment);
    // A value beyond the range changes the scale while the picture is drawn.
    if (!p.panels.some(isOutOfScale)) break;
    p.isStale = true;
  }
  paintEraseBar(p, head);
  return true;
}

/** The scale is shared by both sides of the body: the other side's values may have changed it. */
function isOutOfScale({ tracker, drawnRange }: Panel): boolean {
  return tracker.range !== drawnRange;
}

/** The parts that do not move: surface, and the numbers of the scale. */
function paintGround(p: Painter): void {
  const { context, size, view } = p;
  context.fillStyle = view.palette.surface;
  context.fillRect(0, 0, size.width, size.height);
  context.font = canvasFont(size.scale);
  context.fillStyle = view.palette.label;
  context.textAlign = 'right';
  for (const panel of p.panels) {
    const { plot, tracker } = panel;
    panel.drawnRange = tracker.range;
    const { low, high } = tracker.range;
    for (const [value, baseline] of [
      [high, 'top'],
      [(low + high) / 2, 'middle'],
      [low, 'bottom'],
    ] as const) {
      context.textBaseline = baseline;
      context.fillText(
        scaleNumber(value, high - low),
        plot.x - 6 * size.scale,
        yOf(plot, tracker.range, value),
      );
    }
  }
}

export function scaleNumber(value: number, span: number): string {
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(span / 2)));
  const text = Math.abs(value).toFixed(Math.min(4, span >= 10 ? 0 : decimals));
  return value < 0 ? `\u2212${text}` : text;
}

function paintEraseBar({ context, sweep, panels, view }: Painter, head: number): void {
  context.fillStyle = view.palette.surface;
  for (const { from, to, origin } of spansOf(sweep, head + 1, head + 1 + sweep.eraseColumns))
    for (const { plot } of panels) context.fillRect(plot.x + from - origin, plot.y, to - from, plot.height);
}

/** Draws the columns of one span in all panels. */
function paintSpan(p: Painter, span: SweepSpan, moment: PaintMoment): void {
  const { context, trace, sweep } = p;
  const fromMs = timeOfColumn(sweep, span.from);
  const toMs = timeOfColumn(sweep, span.to);
  // One reading beyond each edge, so that lines enter and leave the span.
  const first = Math.max(trace.ring.start, trace.ring.lowerBound(fromMs) - 1);
  const last = Math.min(trace.ring.end, trace.ring.lowerBound(toMs) + 1);
  const source: GapSource = { ...trace, isOffline: moment.isOffline };
  const gaps = gapsIn(source, first, last);
  if (moment.silentSinceMs !== null && moment.silentSinceMs < toMs)
    gaps.push({
      fromMs: moment.silentSinceMs,
      toMs: moment.headMs,
      cause: moment.isOffline(moment.headMs) ? 'offline' : 'pause',
    });
  for (const panel of p.panels) {
    const { plot } = panel;
    context.save();
    context.beginPath();
    context.rect(plot.x + span.from - span.origin, plot.y, span.to - span.from, plot.height);
    context.clip();
    paintGrid(p, panel, span);
    for (const gap of gaps) paintGap(p, panel, { gap, span });
    for (let line = panel.group.axes.length - 1; line >= 0; line--)
      paintLine(p, panel, { line, first, last, span, source });
    context.restore();
  }
}

function paintGrid({ context, sweep, view, size }: Painter, { plot, tracker }: Panel, span: SweepSpan): void {
  const { palette } = view;
  context.fillStyle = palette.surface;
  context.fillRect(plot.x + span.from - span.origin, plot.y, span.to - span.from, plot.height);
  const hairline = Math.max(1, Math.round(size.scale));
  const { low, high } = tracker.range;
  const middle = (low + high) / 2;
  context.fillStyle = palette.grid;
  for (const value of [high, (high + middle) / 2, (low + middle) / 2, low])
    context.fillRect(
      plot.x,
      Math.round(yOf(plot, tracker.range, value)) - (value === low ? hairline : 0),
      plot.width,
      hairline,
    );
  const seconds = sweep.windowMs / 1000;
  const step = gridSeconds(seconds);
  for (let second = 0; second < seconds; second += step)
    context.fillRect(plot.x + Math.round((second * 1000) / sweep.msPerColumn), plot.y, hairline, plot.height);
  context.fillStyle = palette.zero;
  context.fillRect(plot.x, Math.round(yOf(plot, tracker.range, middle)), plot.width, hairline);
}

function paintGap(p: Painter, { plot }: Panel, { gap, span }: { gap: GapSpan; span: SweepSpan }): void {
  const { sweep } = p;
  const x = (timeMs: number): number =>
    plot.x + Math.min(sweep.width, Math.max(0, timeMs / sweep.msPerColumn - span.origin));
  const left = x(gap.fromMs);
  const width = x(gap.toMs) - left;
  if (width <= 0) return;
  hatchGap(
    { context: p.context, scale: p.size.scale, palette: p.view.palette, hatches: p.hatches },
    { cause: gap.cause, left, top: plot.y, width, height: plot.height },
    gap.fromMs === p.silentSinceMs,
  );
}

interface LineJob {
  /** Place in the panel's list of axes. */
  readonly line: number;
  /** Readings [first, last). */
  readonly first: number;
  readonly last: number;
  readonly span: SweepSpan;
  readonly source: GapSource;
}

function paintLine(p: Painter, panel: Panel, { line, first, last, span, source }: LineJob): void {
  const { trace, sweep, points } = p;
  const { plot, tracker } = panel;
  choosePoints(
    {
      ring: trace.ring,
      axis: panel.group.axes[line]!.axis,
      from: first,
      to: last,
      msPerColumn: sweep.msPerColumn,
      isBreak: (index) => isBreakAt(source, index),
    },
    points,
  );
  if (points.count === 0) return;
  for (let i = 0; i < points.count; i++) tracker.add(points.value[i]!);
  const range = panel.drawnRange ?? tracker.range;
  drawLine(
    {
      context: p.context,
      scale: p.size.scale,
      colour: panel.colours[line]!,
      stroke: panel.strokes[line]!,
      xOf: (timeMs) => plot.x + timeMs / sweep.msPerColumn - span.origin,
      yOf: (value) => yOf(plot, range, value),
    },
    points,
    trace.settlement.isSettled,
  );
}
