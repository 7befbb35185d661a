/** Owns where a stream's panels lie on its canvas, in device pixels: a strip for the legend, then the plot. */

import type { ValueRange } from '#web/live/value-range.ts';

/** Sizes in CSS pixels, on the 4 px grid. The legend is laid over the strip by the page. */
export const STRIP_PX = 24;
export const GUTTER_PX = 48;
const PAD_PX = 8;

export interface CanvasSize {
  /** Device pixels. */
  readonly width: number;
  readonly height: number;
  /** Device pixels a CSS pixel. */
  readonly scale: number;
}

/** Device pixels, whole numbers: a column of the sweep is a column of the screen. */
export interface Plot {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** One plot a panel, from top to bottom, all of the same size. */
export function layoutPlots({ width, height, scale }: CanvasSize, panels: number): Plot[] {
  const x = Math.round(GUTTER_PX * scale);
  const strip = Math.round(STRIP_PX * scale);
  const pad = Math.round(PAD_PX * scale);
  const panelHeight = Math.floor((height - pad) / Math.max(1, panels));
  return Array.from({ length: panels }, (_, i) => ({
    x,
    y: i * panelHeight + strip,
    width: Math.max(1, width - x - pad),
    height: Math.max(1, panelHeight - strip),
  }));
}

/** Vertical place of a value; the range's ends lie half a line inside the plot. */
export function yOf(plot: Plot, { low, high }: ValueRange, value: number): number {
  const inset = 1;
  return plot.y + inset + ((high - value) / (high - low)) * (plot.height - 2 * inset);
}
