/**
 * Owns the picture of one stream on the review page: per panel a plot with grid, hatched gaps, marks of what came late,
 * and the curves of its axes. Plots are filled in memory and put on the canvas at once. Nothing is kept between paints
 * but buffers of the plots' size.
 */

import type { EnvelopeGap } from '#contract/envelope.ts';
import type { AxisGroup, BodySide } from '#web/live/axis-groups.ts';
import { canvasFont, dashes, type Palette } from '#web/live/palette.ts';
import { layoutPlots, yOf, type CanvasSize, type Plot } from '#web/live/trace-layout.ts';
import { scaleNumber } from '#web/live/trace-painter.ts';
import type { ValueRange } from '#web/live/value-range.ts';
import { createColumnLayout, layOut } from '#web/review/column-layout.ts';
import { createCurveBuffers, paintCurve, type CurveBuffers } from '#web/review/curve-painter.ts';
import { firstColumnAfter, LATE_US, type EnvelopeTile } from '#web/review/envelope-tile.ts';
import { gapWordsOf } from '#web/review/gap-words.ts';
import {
  clearSurface,
  createMask,
  createSurface,
  fillBox,
  hatchColumns,
  parseColour,
  present,
  type Rgb,
  type Surface,
} from '#web/review/raster.ts';
import type { Piece } from '#web/review/tile-grid.ts';

/** Sizes in CSS pixels, on the 4 px grid where it shows. */
const LATE_BAR_PX = 3;
const HATCH_PX = 8;
const HATCH_ALPHA = 115;
/** A gap narrower than this is drawn solid: a hatch would not show. */
const SOLID_GAP_PX = 4;
const SOLID_ALPHA = 170;
const WORDS_PAD_PX = 4;
const WORDS_HEIGHT_PX = 18;

export interface LaneFrame {
  /** The page's time at the left edge of the plots, and how much of it a device pixel is. */
  readonly fromUs: number;
  readonly usPerPixel: number;
  /** Added to device time to get the page's time. */
  readonly shiftUs: number;
  readonly periodUs: number;
  /** In device time; null while nothing has come yet. */
  readonly pieces: readonly Piece<EnvelopeTile>[] | null;
  readonly gaps: readonly EnvelopeGap[];
  /** One a panel. */
  readonly scales: readonly ValueRange[];
  /** The page's times of the grid's lines. */
  readonly grid: readonly number[];
  readonly palette: Palette;
}

export interface LanePainter {
  readonly plots: readonly Plot[];
  readonly size: CanvasSize;
  resize(size: CanvasSize): void;
  paint(frame: LaneFrame): void;
}

interface Panel {
  readonly group: AxisGroup;
  /** The plot with the lines of its scale and nothing else: it changes with scale and colours only. */
  readonly ground: Surface;
  plot: Plot;
  image: ImageData;
  rows: Uint32Array;
  surface: Surface;
  buffers: CurveBuffers;
}

interface Colours {
  readonly palette: Palette;
  readonly surface: Rgb;
  readonly grid: Rgb;
  readonly zero: Rgb;
  readonly label: Rgb;
  readonly attention: Rgb;
}

export function createLanePainter(
  context: CanvasRenderingContext2D,
  { groups, side }: { groups: readonly AxisGroup[]; side: BodySide },
): LanePainter {
  let size: CanvasSize = { width: 1, height: 1, scale: 1 };
  let panels: Panel[] = [];
  let colours: Colours | null = null;
  let drawnScales = '';
  const layout = createColumnLayout();

  return {
    get plots() {
      return panels.map(({ plot }) => plot);
    },
    get size() {
      return size;
    },
    resize(next) {
      size = next;
      context.canvas.width = next.width;
      context.canvas.height = next.height;
      panels = layoutPlots(next, groups.length).map((plot, i) => createPanel(groups[i]!, plot));
      drawnScales = '';
    },
    paint(frame) {
      if (colours?.palette !== frame.palette) {
        colours = coloursOf(frame.palette);
        drawnScales = '';
      }
      const scales = JSON.stringify(frame.scales);
      if (scales !== drawnScales) {
        paintScales(context, { panels, size, frame });
        for (const [i, panel] of panels.entries())
          paintGround(panel, { colours, scale: frame.scales[i]!, size });
      }
      drawnScales = scales;
      const width = panels[0]?.plot.width ?? 1;
      const view = { ...frame, width, scale: size.scale };
      if (frame.pieces !== null) layOut(layout, { pieces: frame.pieces, gaps: frame.gaps }, view);
      for (const [i, panel] of panels.entries()) {
        const { buffers, plot, surface } = panel;
        const scale = frame.scales[i]!;
        surface.pixels.set(panel.ground.pixels);
        paintMarks(panel, { frame, colours, size });
        const rows = { ...plot, x: 0, y: 0 };
        const zeroRow = yOf(rows, scale, 0);
        const rowsPerUnit = yOf(rows, scale, 1) - zeroRow;
        const lines = frame.pieces === null ? [] : panel.group.axes.toReversed();
        for (const { axis, style } of lines) {
          const colour = parseColour(frame.palette.sides[side][style]);
          const curve = { layout, axis, colour, dash: dashes[style], zeroRow, rowsPerUnit };
          paintCurve(surface, curve, { buffers, view });
        }
        present(surface, panel.rows);
        context.putImageData(panel.image, plot.x, plot.y);
        writeGaps(context, { panel, frame, size });
      }
    },
  };
}

function createPanel(group: AxisGroup, plot: Plot): Panel {
  const image = new ImageData(plot.width, plot.height);
  return {
    group,
    plot,
    image,
    rows: new Uint32Array(image.data.buffer),
    ground: createSurface(plot.width, plot.height),
    surface: createSurface(plot.width, plot.height),
    buffers: createCurveBuffers(createMask(plot.width, plot.height)),
  };
}

function coloursOf(palette: Palette): Colours {
  return {
    palette,
    surface: parseColour(palette.surface),
    grid: parseColour(palette.grid),
    zero: parseColour(palette.zero),
    label: parseColour(palette.label),
    attention: parseColour(palette.attention),
  };
}

interface PanelJob {
  readonly frame: LaneFrame;
  readonly colours: Colours;
  readonly size: CanvasSize;
}

/** The numbers beside the plots, and everything that no plot covers. */
function paintScales(
  context: CanvasRenderingContext2D,
  { panels, size, frame }: { panels: readonly Panel[]; size: CanvasSize; frame: LaneFrame },
): void {
  context.fillStyle = frame.palette.surface;
  context.fillRect(0, 0, size.width, size.height);
  context.font = canvasFont(size.scale);
  context.fillStyle = frame.palette.label;
  context.textAlign = 'right';
  for (const [i, { plot }] of panels.entries()) {
    const scale = frame.scales[i]!;
    const { low, high } = scale;
    for (const [value, baseline] of [
      [high, 'top'],
      [(low + high) / 2, 'middle'],
      [low, 'bottom'],
    ] as const) {
      context.textBaseline = baseline;
      context.fillText(scaleNumber(value, high - low), plot.x - 6 * size.scale, yOf(plot, scale, value));
    }
  }
}

function paintGround(
  { ground, plot }: Panel,
  { colours, scale, size }: { colours: Colours; scale: ValueRange; size: CanvasSize },
): void {
  clearSurface(ground, colours.surface);
  const height = Math.max(1, Math.round(size.scale));
  const at = (value: number): number => Math.round(yOf({ ...plot, x: 0, y: 0 }, scale, value));
  const line = { left: 0, width: plot.width, height };
  const { low, high } = scale;
  const middle = (low + high) / 2;
  for (const value of [high, (high + middle) / 2, (low + middle) / 2])
    fillBox(ground, { ...line, top: at(value) }, colours.grid);
  fillBox(ground, { ...line, top: at(low) - height }, colours.grid);
  fillBox(ground, { ...line, top: at(middle) }, colours.zero);
}

/** What moves with time, below the curves: its grid, gaps, and what arrived late. */
function paintMarks(panel: Panel, job: PanelJob): void {
  const { frame, colours, size } = job;
  const width = Math.max(1, Math.round(size.scale));
  for (const timeUs of frame.grid) {
    const left = Math.round((timeUs - frame.fromUs) / frame.usPerPixel);
    fillBox(panel.surface, { left, top: 0, width, height: panel.plot.height }, colours.grid);
  }
  for (const gap of frame.gaps) paintGap(panel, job, gap);
  paintLate(panel, job);
}

/** Pixels [left, right) of a gap: at least two, so that it is seen at every zoom. */
function columnsOf(frame: LaneFrame, gap: EnvelopeGap, scale: number): [left: number, right: number] {
  const pixel = (deviceUs: number): number => (deviceUs + frame.shiftUs - frame.fromUs) / frame.usPerPixel;
  const left = Math.floor(Math.max(-1e6, pixel(gap.fromUs)));
  return [left, Math.max(left + Math.round(2 * scale), Math.ceil(Math.min(1e6, pixel(gap.toUs))))];
}

function paintGap({ surface }: Panel, { frame, colours, size }: PanelJob, gap: EnvelopeGap): void {
  const [left, right] = columnsOf(frame, gap, size.scale);
  const isSolid = right - left < SOLID_GAP_PX * size.scale;
  const period = Math.round(HATCH_PX * size.scale);
  hatchColumns(surface, [left, right], {
    colour: colours.attention,
    alpha: isSolid ? SOLID_ALPHA : HATCH_ALPHA,
    period,
    thickness: isSolid ? period : Math.max(1, Math.round(size.scale)),
    shift: Math.round(left) % period,
  });
}

/** A bar along the upper edge over what arrived late. */
function paintLate({ surface, plot }: Panel, { frame, colours, size }: PanelJob): void {
  const pixel = (deviceUs: number): number => (deviceUs + frame.shiftUs - frame.fromUs) / frame.usPerPixel;
  const height = Math.round(LATE_BAR_PX * size.scale);
  for (const { tile, range } of frame.pieces ?? []) {
    const { startUs, endUs, lateUs } = tile;
    for (let i = firstColumnAfter(tile, range.fromUs); i < startUs.length; i++) {
      if (startUs[i]! >= range.toUs) break;
      if (lateUs[i]! <= LATE_US) continue;
      const left = Math.max(0, Math.floor(pixel(startUs[i]!)));
      const untilUs = Math.max(endUs[i]!, startUs[i]! + frame.periodUs);
      const right = Math.min(plot.width, Math.max(left + 1, Math.ceil(pixel(untilUs))));
      fillBox(surface, { left, top: 0, width: right - left, height }, colours.label);
    }
  }
}

/** The cause in words, where there is room. */
function writeGaps(
  context: CanvasRenderingContext2D,
  { panel, frame, size }: { panel: Panel; frame: LaneFrame; size: CanvasSize },
): void {
  const { plot } = panel;
  const { scale } = size;
  context.font = canvasFont(scale);
  context.textAlign = 'left';
  context.textBaseline = 'middle';
  for (const gap of frame.gaps) {
    const [from, to] = columnsOf(frame, gap, scale);
    const left = Math.max(0, from);
    const room = Math.min(plot.width, to) - left - 2 * WORDS_PAD_PX * scale;
    if (room < 3 * WORDS_HEIGHT_PX * scale) continue;
    const widthOf = (words: string): number => context.measureText(words).width + 2 * WORDS_PAD_PX * scale;
    const words = gapWordsOf(gap).find((choice) => widthOf(choice) <= room);
    if (words === undefined) continue;
    const height = WORDS_HEIGHT_PX * scale;
    const x = plot.x + left + WORDS_PAD_PX * scale;
    const middle = plot.y + plot.height / 2;
    context.fillStyle = frame.palette.surface;
    context.fillRect(x, middle - height / 2, widthOf(words), height);
    context.fillStyle = frame.palette.attention;
    context.fillText(words, x + WORDS_PAD_PX * scale, middle);
  }
}
