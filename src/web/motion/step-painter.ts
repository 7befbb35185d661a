/**
 * Owns the picture of steps on the axis of the review: for each foot the time on the ground as a bar that begins with a
 * tick, turns as a veil over both. Thin where the analysis is provisional.
 */

import { canvasFont, type Palette } from '#web/live/palette.ts';
import { GUTTER_PX, type CanvasSize } from '#web/live/trace-layout.ts';
import type { Turn } from '#web/motion/gait-feed.ts';
import { formatFixed } from '#web/motion/metric-rows.ts';
import { firstBarAt, type Side, type StanceBar } from '#web/motion/stance-bars.ts';
import { spanOf, type TimeRange } from '#web/review/view-range.ts';

export interface StepFrame {
  /** Of the page's axis. */
  readonly range: TimeRange;
  /** Added to device time to get the page's time. */
  readonly shiftUs: number;
  readonly bars: Readonly<Record<Side, readonly StanceBar[]>>;
  readonly turns: readonly Turn[];
  readonly isProvisional: boolean;
  readonly size: CanvasSize;
  readonly palette: Palette;
}

/** Sizes in CSS pixels. */
const PAD_PX = 8;
const TICK_PX = 2;
const BAR_SHARE = 0.5;
const STANCE_ALPHA = { provisional: 0.25, stored: 0.5 } as const;
const TURN_ALPHA = 0.16;

export function paintSteps(context: CanvasRenderingContext2D, frame: StepFrame): void {
  const { range, shiftUs, size, palette, bars, isProvisional } = frame;
  const { scale } = size;
  const left = Math.round(GUTTER_PX * scale);
  const width = Math.max(1, size.width - left - Math.round(PAD_PX * scale));
  const xOf = (us: number): number => left + ((us + shiftUs - range.fromUs) / spanOf(range)) * width;
  context.fillStyle = palette.surface;
  context.fillRect(0, 0, size.width, size.height);
  context.font = canvasFont(scale);
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  const rowHeight = size.height / 2;
  context.save();
  context.beginPath();
  context.rect(left, 0, width, size.height);
  context.clip();
  (['left', 'right'] as const).forEach((side, row) => {
    const top = row * rowHeight;
    const colour = palette.sides[side].solid;
    context.fillStyle = palette.grid;
    context.fillRect(left, Math.round(top + rowHeight / 2), width, Math.max(1, Math.round(scale)));
    const barTop = top + (rowHeight * (1 - BAR_SHARE)) / 2;
    const tick = TICK_PX * scale * (isProvisional ? 0.5 : 1);
    context.fillStyle = colour;
    const own = bars[side];
    for (let i = firstBarAt(own, range.fromUs - shiftUs); i < own.length; i++) {
      const { fromUs, toUs } = own[i]!;
      if ((fromUs ?? toUs ?? 0) + shiftUs > range.toUs) break;
      if (fromUs !== null && toUs !== null) {
        context.globalAlpha = STANCE_ALPHA[isProvisional ? 'provisional' : 'stored'];
        context.fillRect(
          xOf(fromUs),
          barTop,
          Math.max(scale, xOf(toUs) - xOf(fromUs)),
          rowHeight * BAR_SHARE,
        );
      }
      context.globalAlpha = 1;
      // The initial contact over the whole row, the final one beside the bar.
      if (fromUs !== null) context.fillRect(xOf(fromUs), top + 2 * scale, tick, rowHeight - 4 * scale);
      if (toUs !== null) context.fillRect(xOf(toUs) - tick / 2, barTop, tick / 2, rowHeight * BAR_SHARE);
    }
  });
  paintTurns(context, frame, xOf);
  context.restore();
  (['L', 'R'] as const).forEach((letter, row) => {
    context.fillStyle = palette.label;
    context.fillText(letter, left - 6 * scale, (row + 0.5) * rowHeight);
  });
}

function paintTurns(
  context: CanvasRenderingContext2D,
  { turns, size, palette }: StepFrame,
  xOf: (us: number) => number,
): void {
  context.textAlign = 'center';
  for (const { startUs, endUs, angleDeg } of turns) {
    const x = xOf(startUs);
    const width = Math.max(size.scale, xOf(endUs) - x);
    if (x > size.width || x + width < 0) continue;
    context.globalAlpha = TURN_ALPHA;
    context.fillStyle = palette.label;
    context.fillRect(x, 0, width, size.height);
    context.globalAlpha = 1;
    const words = `turn ${formatFixed(Math.abs(angleDeg), 0)}°`;
    if (context.measureText(words).width + 8 * size.scale > width) continue;
    context.fillText(words, x + width / 2, size.height / 2);
  }
}
