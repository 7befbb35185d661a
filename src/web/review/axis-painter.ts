/** Owns the picture of the time axis: marks with the time since the start above, the local time of day below. */

import { canvasFont, type Palette } from '#web/live/palette.ts';
import type { CanvasSize, Plot } from '#web/live/trace-layout.ts';
import {
  formatSinceStart,
  formatTimeOfDay,
  localZeroUs,
  secondDigits,
  ticksIn,
  tickStep,
} from '#web/review/time-ticks.ts';
import type { TimeRange } from '#web/review/view-range.ts';

/** Marks are at least this far apart, in CSS pixels: the longest label with air. */
const TICK_PX = 104;
const TICK_LENGTH_PX = 4;
const ROW_PX = 16;

export interface AxisFrame {
  readonly range: TimeRange;
  readonly startUs: number;
  readonly plot: Plot;
  readonly size: CanvasSize;
  readonly palette: Palette;
  readonly ground: string;
}

/** Microseconds between marks. */
export function axisStep({ range, plot, size }: Pick<AxisFrame, 'range' | 'plot' | 'size'>): number {
  return tickStep(((range.toUs - range.fromUs) / plot.width) * TICK_PX * size.scale);
}

export function paintAxis(context: CanvasRenderingContext2D, frame: AxisFrame): void {
  const { range, startUs, plot, size, palette } = frame;
  const { scale } = size;
  const stepUs = axisStep(frame);
  const digits = secondDigits(stepUs);
  const xOf = (us: number): number =>
    plot.x + ((us - range.fromUs) / (range.toUs - range.fromUs)) * plot.width;
  context.fillStyle = frame.ground;
  context.fillRect(0, 0, size.width, size.height);
  context.font = canvasFont(scale);
  context.textBaseline = 'middle';
  context.textAlign = 'center';
  const write = (text: string, us: number, row: number): void => {
    const half = context.measureText(text).width / 2;
    // A label at the edge stays whole.
    const x = Math.min(size.width - half, Math.max(half, xOf(us)));
    context.fillText(text, x, (TICK_LENGTH_PX + (row + 0.5) * ROW_PX) * scale);
  };
  context.fillStyle = palette.label;
  for (const us of ticksIn(range, stepUs, startUs)) {
    context.fillRect(Math.round(xOf(us)), 0, Math.max(1, Math.round(scale)), TICK_LENGTH_PX * scale);
    write(formatSinceStart(us - startUs, digits), us, 0);
  }
  context.globalAlpha = 0.8;
  for (const us of ticksIn(range, stepUs, localZeroUs(range.fromUs)))
    write(formatTimeOfDay(us, digits), us, 1);
  context.globalAlpha = 1;
}
