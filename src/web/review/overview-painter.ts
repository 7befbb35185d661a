/** Owns the strip of the whole recording: one thin lane a stream with the range of its first panel, and its gaps. */

import type { Palette } from '#web/live/palette.ts';
import type { CanvasSize, Plot } from '#web/live/trace-layout.ts';
import { createColumnLayout, layOut } from '#web/review/column-layout.ts';
import { createCurveBuffers, paintCurve, type CurveBuffers } from '#web/review/curve-painter.ts';
import type { AxisGroup } from '#web/live/axis-groups.ts';
import type { EnvelopeTile } from '#web/review/envelope-tile.ts';
import { wholePiece, type Lane } from '#web/review/lane.ts';
import {
  clearSurface,
  createMask,
  createSurface,
  hatchColumns,
  parseColour,
  present,
  type Surface,
} from '#web/review/raster.ts';
import { spanOf, type TimeRange } from '#web/review/view-range.ts';

export interface OverviewFrame {
  readonly whole: TimeRange;
  readonly lanes: readonly Lane[];
  readonly plot: Plot;
  readonly size: CanvasSize;
  readonly palette: Palette;
}

/** Lanes that can be told apart in a strip this high; more share it. */
const MAX_LANES = 8;
const LANE_GAP_PX = 2;
const GAP_ALPHA = 200;
const COMMON_SHARE = 0.97;

export function paintOverview(context: CanvasRenderingContext2D, frame: OverviewFrame): void {
  const { lanes, plot, size, palette } = frame;
  context.fillStyle = palette.surface;
  context.fillRect(0, 0, size.width, size.height);
  const shown = lanes.slice(0, MAX_LANES);
  const gap = Math.round(LANE_GAP_PX * size.scale);
  const height = Math.max(
    4,
    Math.floor((size.height - gap * (shown.length + 1)) / Math.max(1, shown.length)),
  );
  const image = new ImageData(plot.width, height);
  const rows = new Uint32Array(image.data.buffer);
  const surface = createSurface(plot.width, height);
  const buffers = createCurveBuffers(createMask(plot.width, height));
  for (const [i, lane] of shown.entries()) {
    clearSurface(surface, parseColour(palette.surface));
    paintLane(surface, { lane, frame, buffers });
    present(surface, rows);
    context.putImageData(image, plot.x, gap + i * (height + gap));
  }
}

function paintLane(
  surface: Surface,
  { lane, frame, buffers }: { lane: Lane; frame: OverviewFrame; buffers: CurveBuffers },
): void {
  const { whole } = lane;
  const group = lane.groups[0];
  if (whole === null || group === undefined) return;
  const { plot, palette, size } = frame;
  const { low, high } = commonExtremes(whole, group);
  const usPerPixel = spanOf(frame.whole) / plot.width;
  const pixel = (us: number): number => (us + lane.shiftUs - frame.whole.fromUs) / usPerPixel;
  const least = Math.max(1, Math.round(size.scale));
  for (const { fromUs, toUs } of whole.gaps) {
    const left = Math.floor(pixel(fromUs));
    const right = Math.max(left + least, Math.ceil(pixel(toUs)));
    const colour = parseColour(palette.attention);
    hatchColumns(surface, [left, right], { colour, alpha: GAP_ALPHA, period: 2, thickness: 1, shift: 0 });
  }
  const layout = createColumnLayout();
  const view = {
    fromUs: frame.whole.fromUs,
    usPerPixel,
    width: plot.width,
    scale: size.scale,
    periodUs: lane.periodUs,
    shiftUs: lane.shiftUs,
  };
  layOut(layout, { pieces: [wholePiece(whole)], gaps: whole.gaps }, view);
  const rowsPerUnit = -(surface.height - 2) / Math.max(1e-9, high - low);
  const zeroRow = 1 - high * rowsPerUnit;
  for (const { axis, style } of group.axes) {
    const colour = parseColour(palette.sides[lane.side][style]);
    const curve = { layout, axis, colour, dash: [], zeroRow, rowsPerUnit, isBandOnly: true };
    paintCurve(surface, curve, { buffers, view });
  }
}

/** What most columns reach: a strip this low is to show where something happened, and one hit would flatten it. */
function commonExtremes({ min, max }: EnvelopeTile, group: AxisGroup): { low: number; high: number } {
  const sorted = (lists: readonly Float64Array[]): number[] =>
    group.axes
      .flatMap(({ axis }) => Array.from(lists[axis]!).filter(Number.isFinite))
      .toSorted((a, b) => a - b);
  const lows = sorted(min);
  const highs = sorted(max);
  return {
    low: lows[Math.floor(lows.length * (1 - COMMON_SHARE))] ?? 0,
    high: highs[Math.ceil(highs.length * COMMON_SHARE) - 1] ?? 1,
  };
}
