/** Owns the frame of a chart: a scale with whole steps, grid lines with their numbers, lines that break where nothing is known. */

import { ink, sizes, type Sheet } from '#jobs/report/sheet.ts';

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly step: number;
}

/** From and to whole steps of 1, 2 or 5 times a power of ten, about `steps` of them. */
export function scaleOf(
  values: readonly number[],
  { steps = 4, from }: { steps?: number; from?: number } = {},
): Scale {
  const known = values.filter((value) => Number.isFinite(value));
  if (known.length === 0) return { low: 0, high: 1, step: 1 };
  let low = from ?? Math.min(...known);
  let high = Math.max(...known);
  if (high - low < 1e-9)
    [low, high] = [low - Math.max(1e-3, Math.abs(low) * 0.1), high + Math.max(1e-3, Math.abs(high) * 0.1)];
  const rough = (high - low) / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  return { low: Math.floor(low / step + 1e-9) * step, high: Math.ceil(high / step - 1e-9) * step, step };
}

/** From the top of the box. */
export function placeY({ y, height }: Box, { low, high }: Scale, value: number): number {
  return y + (height * (high - value)) / (high - low);
}

export function drawGrid(sheet: Sheet, box: Box, scale: Scale): void {
  const { doc } = sheet;
  const digits = Math.max(0, -Math.floor(Math.log10(scale.step) + 1e-9));
  for (let value = scale.low; value <= scale.high + scale.step / 2; value += scale.step) {
    const y = placeY(box, scale, value);
    const isZero = Math.abs(value) < scale.step / 1e6;
    doc
      .moveTo(box.x, y)
      .lineTo(box.x + box.width, y)
      .lineWidth(isZero ? 0.7 : 0.35)
      .stroke(isZero ? '#9aa1a9' : ink.line);
    const text = isZero ? '0' : value.toFixed(digits).replace('-', '–');
    sheet.text(text, box.x - 26, y - 3.4, { size: sizes.tiny, color: ink.muted, width: 22, align: 'right' });
  }
}

export interface Stroke {
  readonly color: string;
  readonly width: number;
  readonly isDashed: boolean;
}

/** `at(i)`: where the i-th value is; null breaks the line. */
export function drawLine(
  { doc }: Sheet,
  points: readonly (readonly [x: number, y: number] | null)[],
  stroke: Stroke,
): void {
  let isDown = false;
  doc.save().lineJoin('round').lineCap('butt');
  if (stroke.isDashed) doc.dash(4, { space: 1.8 });
  for (const point of points) {
    if (point === null) isDown = false;
    else if (isDown) doc.lineTo(point[0], point[1]);
    else {
      doc.moveTo(point[0], point[1]);
      isDown = true;
    }
  }
  doc.lineWidth(stroke.width).stroke(stroke.color).restore();
}

/** Filled between two lines of equal length, in pieces where both are known. */
export function drawBand(
  { doc }: Sheet,
  points: readonly (readonly [x: number, low: number, high: number] | null)[],
  fill: { readonly color: string; readonly opacity: number },
): void {
  let piece: (readonly [number, number, number])[] = [];
  const flush = (): void => {
    if (piece.length > 1) {
      const outline = [
        ...piece.map(([x, , high]) => [x, high] as [number, number]),
        ...piece.toReversed().map(([x, low]) => [x, low] as [number, number]),
      ];
      doc
        .save()
        .fillOpacity(fill.opacity)
        .polygon(...outline)
        .fill(fill.color)
        .restore();
    }
    piece = [];
  };
  for (const point of points) {
    if (point === null) flush();
    else piece.push(point);
  }
  flush();
}
