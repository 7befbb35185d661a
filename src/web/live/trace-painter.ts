/**
 * Owns the picture of one stream on a canvas: per panel a sweep of its axes, gaps hatched with their cause, settled
 * readings full and provisional ones thin. It draws only columns that changed: those at the head, those that a commit
 * or a late reading touched; all of them after a change of size, scale, window or colours.
 */

import type { AxisGroup } from '#web/live/axis-groups.ts';
import { sideOf } from '#web/live/axis-groups.ts';
import { choosePoints, createPointBuffer, type PointBuffer } from '#web/live/decimation.ts';
import { gapsIn, isBreakAt, type GapSource, type GapSpan } from '#web/live/gap-spans.ts';
import { dashes, gapWords, isWorrying, type Palette } from '#web/live/palette.ts';
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
import { createRangeTracker, type RangeTracker } from '#web/live/value-range.ts';

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

/** Widths in CSS pixels: a commit is seen as the line getting its weight. */
const SETTLED_WIDTH_PX = 1.75;
const PROVISIONAL_WIDTH_PX = 0.9;
/** From this height on a stroke is drawn in full colour also where its dashes are faint: a peak is never faint. */
const STEEP_PX = 10;
const FAINT_ALPHA = 0.42;
const FONT_PX = 11;
const FONT_FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';
/** A full drawing may find a value beyond the range, which draws once more: a range grows at most so often a paint. */
const MAX_PASSES = 3;

/** Draws `trace` on `context`. Nothing is drawn before `resize`. */
export function createTracePainter(
  context: Context,
  { trace, groups }: { trace: StreamTrace; groups: readonly AxisGroup[] },
  view: PainterView,
): TracePainter {
  const p: Painter = {
    context,
    trace,
    panels: groups.map((group) => ({
      group,
      tracker: createRangeTracker(group.unit),
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
  if (
    Math.floor(head / p.sweep.width) !== Math.floor(p.headColumn / p.sweep.width) &&
    Number.isFinite(p.headColumn)
  )
    for (const { tracker } of p.panels) if (tracker.endCycle()) p.isStale = true;
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
    // A value beyond the range made the picture stale while it was drawn.
    if (!p.isStale) break;
  }
  paintEraseBar(p, head);
  return true;
}

/** The parts that do not move: surface, and the numbers of the scale. */
function paintGround(p: Painter): void {
  const { context, size, view } = p;
  context.fillStyle = view.palette.surface;
  context.fillRect(0, 0, size.width, size.height);
  context.font = `${FONT_PX * size.scale}px ${FONT_FAMILY}`;
  context.fillStyle = view.palette.label;
  context.textAlign = 'right';
  for (const { plot, tracker } of p.panels) {
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

function scaleNumber(value: number, span: number): string {
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
    context.lineJoin = 'round';
    context.lineCap = 'round';
    for (let line = panel.group.axes.length - 1; line >= 0; line--)
      paintLine(p, panel, { line, first, last, origin: span.origin, source });
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
  const { context, sweep } = p;
  const x = (timeMs: number): number =>
    plot.x + Math.min(sweep.width, Math.max(0, timeMs / sweep.msPerColumn - span.origin));
  const left = x(gap.fromMs);
  const width = x(gap.toMs) - left;
  if (width <= 0) return;
  context.fillStyle = isWorrying(gap.cause) ? p.hatches.worrying : p.hatches.calm;
  context.fillRect(left, plot.y, width, plot.height);
  paintGapWords(p, { gap, left, width, middle: plot.y + plot.height / 2 });
}

interface GapPlace {
  readonly gap: GapSpan;
  readonly left: number;
  readonly width: number;
  /** Vertical centre. */
  readonly middle: number;
}

function paintGapWords({ context, size, view, silentSinceMs }: Painter, place: GapPlace): void {
  const { gap, left, width, middle } = place;
  const { scale } = size;
  context.font = `${FONT_PX * scale}px ${FONT_FAMILY}`;
  context.textAlign = 'left';
  context.textBaseline = 'middle';
  const choices = gapWords[gap.cause];
  const widthOf = (words: string): number => context.measureText(words).width + 8 * scale;
  const isGrowing = gap.fromMs === silentSinceMs;
  const words = isGrowing ? choices.at(-1) : choices.find((choice) => widthOf(choice) + 8 * scale <= width);
  if (words === undefined) return;
  const at = left + 4 * scale;
  const height = 18 * scale;
  context.save();
  context.beginPath();
  context.rect(left, middle - height, width, height * 2);
  context.clip();
  context.fillStyle = view.palette.surface;
  context.fillRect(at, middle - height / 2, widthOf(words), height);
  context.fillStyle = isWorrying(gap.cause) ? view.palette.attention : view.palette.label;
  context.fillText(words, at + 4 * scale, middle);
  context.restore();
}

interface LineJob {
  /** Place in the panel's list of axes. */
  readonly line: number;
  readonly first: number;
  readonly last: number;
  readonly origin: number;
  readonly source: GapSource;
}

function paintLine(p: Painter, panel: Panel, { line, first, last, origin, source }: LineJob): void {
  const { context, trace, sweep, points, size } = p;
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
  for (let i = 0; i < points.count; i++) if (panel.tracker.add(points.value[i]!)) p.isStale = true;
  const { settlement } = trace;
  const isFirstSettled = settlement.isSettled(points.index[0]!);
  const isLastSettled = settlement.isSettled(points.index[points.count - 1]!);
  const widthOf = (isSettled: boolean): number =>
    (isSettled ? SETTLED_WIDTH_PX : PROVISIONAL_WIDTH_PX) * size.scale;
  if (isFirstSettled === isLastSettled) {
    context.lineWidth = widthOf(isLastSettled);
    strokeAxis(p, panel, { line, origin, isWanted: () => true });
    return;
  }
  for (const isSettled of [false, true]) {
    context.lineWidth = widthOf(isSettled);
    const isWanted = (i: number): boolean => settlement.isSettled(points.index[i]!) === isSettled;
    strokeAxis(p, panel, { line, origin, isWanted });
  }
}

interface StrokeJob {
  readonly line: number;
  readonly origin: number;
  /** Whether the line that ends in a point is part of this stroke. */
  readonly isWanted: (i: number) => boolean;
}

function strokeAxis(p: Painter, panel: Panel, { line, origin, isWanted }: StrokeJob): void {
  const { context, points, size } = p;
  const { plot, tracker } = panel;
  context.strokeStyle = panel.strokes[line]!;
  strokePoints(p, panel, { origin, isWanted });
  if (panel.strokes[line] === panel.colours[line]) return;
  const { low, high } = tracker.range;
  const steep = (STEEP_PX * size.scale * (high - low)) / plot.height;
  context.strokeStyle = panel.colours[line]!;
  strokePoints(p, panel, {
    origin,
    isWanted: (i) =>
      points.isStart[i] !== 1 && Math.abs(points.value[i]! - points.value[i - 1]!) > steep && isWanted(i),
  });
}

/** Strokes the lines that end in a wanted point; a point without neighbours is a dot. */
function strokePoints(
  p: Painter,
  { plot, tracker }: Panel,
  { origin, isWanted }: Omit<StrokeJob, 'line'>,
): void {
  const { context, points, sweep } = p;
  const { range } = tracker;
  const x = (i: number): number => plot.x + points.timeMs[i]! / sweep.msPerColumn - origin;
  const y = (i: number): number => yOf(plot, range, points.value[i]!);
  let pen = -1;
  context.beginPath();
  for (let i = 0; i < points.count; i++) {
    if (!isWanted(i)) continue;
    if (points.isStart[i] === 1) {
      context.moveTo(x(i), y(i));
      if (i + 1 === points.count || points.isStart[i + 1] === 1) context.lineTo(x(i) + 0.5, y(i));
    } else {
      if (pen !== i - 1) context.moveTo(x(i - 1), y(i - 1));
      context.lineTo(x(i), y(i));
    }
    pen = i;
  }
  context.stroke();
}

/** A colour that is full and faint in turn along x; columns keep their shade however often they are drawn anew. */
function dashPattern(context: Context, colour: string, lengths: readonly number[]): string | CanvasPattern {
  const period = lengths.reduce((sum, length) => sum + length, 0);
  if (period === 0) return colour;
  const tile = new OffscreenCanvas(period, 1).getContext('2d');
  if (tile === null) return colour;
  tile.fillStyle = colour;
  let x = 0;
  lengths.forEach((length, i) => {
    tile.globalAlpha = i % 2 === 0 ? 1 : FAINT_ALPHA;
    tile.fillRect(x, 0, length, 1);
    x += length;
  });
  return context.createPattern(tile.canvas, 'repeat') ?? colour;
}

function hatchPattern(context: Context, colour: string, scale: number): string | CanvasPattern {
  const size = Math.round(8 * scale);
  const tile = new OffscreenCanvas(size, size).getContext('2d');
  if (tile === null) return colour;
  tile.strokeStyle = colour;
  tile.globalAlpha = 0.45;
  tile.lineWidth = scale;
  tile.beginPath();
  // The diagonal, and its continuation in the neighbouring tiles' corners.
  for (const shift of [-size, 0, size]) {
    tile.moveTo(shift - 1, size + 1);
    tile.lineTo(shift + size + 1, -1);
  }
  tile.stroke();
  return context.createPattern(tile.canvas, 'repeat') ?? colour;
}
