/**
 * Owns how a line looks: settled readings full, provisional ones thin; dashes by place along time, with what rises or
 * falls steeply in full colour, so that a peak is never faint; a reading without neighbours is a dot.
 */

import type { PointBuffer } from '#web/live/decimation.ts';

export interface LineBrush {
  readonly context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
  /** Device pixels a CSS pixel. */
  readonly scale: number;
  readonly colour: string;
  /** The colour, or a pattern of it that repeats along time. */
  readonly stroke: string | CanvasPattern;
  /** Place on the canvas. */
  readonly xOf: (timeMs: number) => number;
  readonly yOf: (value: number) => number;
}

/** Widths in CSS pixels: a commit is seen as the line getting its weight. */
const SETTLED_WIDTH_PX = 1.75;
const PROVISIONAL_WIDTH_PX = 0.9;
/** From this height on, in CSS pixels, a stroke is in full colour also where its dashes are faint. */
const STEEP_PX = 10;

/** Draws the chosen points. `isSettled` is asked by a reading's index in its ring. */
export function drawLine(brush: LineBrush, points: PointBuffer, isSettled: (index: number) => boolean): void {
  const { context, scale } = brush;
  let settled = 0;
  for (let i = 0; i < points.count; i++) if (isSettled(points.index[i]!)) settled++;
  context.lineJoin = 'round';
  context.lineCap = 'round';
  if (settled < points.count) {
    context.lineWidth = PROVISIONAL_WIDTH_PX * scale;
    strokeLine(brush, points, settled === 0 ? always : (i) => !isSettled(points.index[i]!));
  }
  if (settled > 0) {
    context.lineWidth = SETTLED_WIDTH_PX * scale;
    strokeLine(brush, points, settled === points.count ? always : (i) => isSettled(points.index[i]!));
  }
}

const always = (): boolean => true;

function strokeLine(brush: LineBrush, points: PointBuffer, isWanted: (i: number) => boolean): void {
  const { context, colour, stroke, scale, yOf } = brush;
  context.strokeStyle = stroke;
  strokePoints(brush, points, isWanted);
  if (stroke === colour) return;
  context.strokeStyle = colour;
  const steep = STEEP_PX * scale;
  strokePoints(
    brush,
    points,
    (i) =>
      points.isStart[i] !== 1 &&
      Math.abs(yOf(points.value[i]!) - yOf(points.value[i - 1]!)) > steep &&
      isWanted(i),
  );
}

/** Strokes the lines that end in a wanted point. */
function strokePoints(brush: LineBrush, points: PointBuffer, isWanted: (i: number) => boolean): void {
  const { context, xOf, yOf } = brush;
  const x = (i: number): number => xOf(points.timeMs[i]!);
  const y = (i: number): number => yOf(points.value[i]!);
  let pen = -1;
  context.beginPath();
  for (let i = 0; i < points.count; i++) {
    if (!isWanted(i)) continue;
    if (points.isStart[i] === 1) {
      context.moveTo(x(i), y(i));
      // A line of no length would not be drawn at all.
      if (i + 1 === points.count || points.isStart[i + 1] === 1) context.lineTo(x(i) + 0.5, y(i));
    } else {
      if (pen !== i - 1) context.moveTo(x(i - 1), y(i - 1));
      context.lineTo(x(i), y(i));
    }
    pen = i;
  }
  context.stroke();
}
