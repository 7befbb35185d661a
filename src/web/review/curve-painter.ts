/**
 * Owns how one axis becomes a picture: where several readings share a pixel, a band from the lowest to the highest with
 * the line of their mean; where each has room, a line through the readings themselves, with a point each when they are
 * far enough apart. No reading is left out: a peak is in the band of its pixel at every zoom. Buffers are as wide as the
 * plot.
 */

import {
  MERGED,
  SINGLE,
  type ColumnLayout,
  type CurveView,
  type LaidPiece,
} from '#web/review/column-layout.ts';
import {
  addDot,
  addSegment,
  blendSpan,
  stamp,
  type Mask,
  type Rgb,
  type Surface,
} from '#web/review/raster.ts';

/** Sizes in CSS pixels. */
const LINE_PX = 1.5;
const DOT_RADIUS_PX = 2.25;
/** Readings this far apart each get a point. */
const DOTS_FROM_PX = 7;
/** A band is at least this high, or a quiet signal would vanish. */
const BAND_MIN_PX = 1.25;
/** From this height on, in CSS pixels, a line is in full colour also where its dashes are faint. */
const STEEP_PX = 10;
const BAND_ALPHA = 112;
const FAINT_ALPHA = 118;

export interface CurveBuffers {
  readonly mask: Mask;
  readonly alpha: Uint8Array;
  /** Per pixel: lowest, highest, sum and number of readings. */
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly sum: Float64Array;
  readonly count: Float64Array;
  /** 1 where no line leads to this pixel from the one before. */
  readonly isBreak: Uint8Array;
  /** Corners of the line, in pixels; one without a line to it has isStart 1. */
  x: Float64Array;
  y: Float64Array;
  isStart: Uint8Array;
  points: number;
}

export function createCurveBuffers(mask: Mask): CurveBuffers {
  const { width } = mask;
  return {
    mask,
    alpha: new Uint8Array(width),
    low: new Float64Array(width),
    high: new Float64Array(width),
    sum: new Float64Array(width),
    count: new Float64Array(width),
    isBreak: new Uint8Array(width),
    x: new Float64Array(0),
    y: new Float64Array(0),
    isStart: new Uint8Array(0),
    points: 0,
  };
}

export interface Curve {
  readonly layout: ColumnLayout;
  readonly axis: number;
  readonly colour: Rgb;
  /** On and off lengths along time in CSS pixels; empty for a full line. */
  readonly dash: readonly number[];
  /** Row of the value 0, and rows per unit of the value (negative: up is up). */
  readonly zeroRow: number;
  readonly rowsPerUnit: number;
  /** Bands in full colour and no line: where there is no room for more. */
  readonly isBandOnly?: boolean;
}

export function paintCurve(
  surface: Surface,
  curve: Curve,
  { view, buffers }: { view: CurveView; buffers: CurveBuffers },
): void {
  const job: CurveJob = { curve, view, buffers, startsLine: true, mergedPixel: -1, hasBand: false };
  buffers.points = 0;
  buffers.count.fill(0);
  buffers.isBreak.fill(0);
  const corners = curve.layout.pieces.reduce((sum, { first, end }) => sum + end - first, 0);
  if (buffers.x.length < corners) growCorners(buffers, corners);
  for (const piece of curve.layout.pieces) gather(job, piece);
  flushMerged(job);
  if (job.hasBand) paintBand(surface, job);
  if (curve.isBandOnly === true) return;
  addLine(job);
  fillDash(job);
  stamp(surface, buffers.mask, { colour: curve.colour, alpha: buffers.alpha });
  if (addDots(job)) {
    buffers.alpha.fill(255);
    stamp(surface, buffers.mask, { colour: curve.colour, alpha: buffers.alpha });
  }
}

interface CurveJob {
  readonly curve: Curve;
  readonly view: CurveView;
  readonly buffers: CurveBuffers;
  startsLine: boolean;
  /** Pixel whose readings are being merged; -1 for none. */
  mergedPixel: number;
  hasBand: boolean;
}

function growCorners(buffers: CurveBuffers, corners: number): void {
  const size = 2 ** Math.ceil(Math.log2(corners));
  buffers.x = new Float64Array(size);
  buffers.y = new Float64Array(size);
  buffers.isStart = new Uint8Array(size);
}

/** Readings into the pixels that they share; corners of the line from the others. */
function gather(job: CurveJob, { tile, first, end, offset }: LaidPiece): void {
  const { curve, buffers } = job;
  const { left, right, kind, isStart } = curve.layout;
  const { low, high, sum, count, isBreak } = buffers;
  const { width } = buffers.mask;
  const min = tile.min[curve.axis]!;
  const max = tile.max[curve.axis]!;
  const mean = tile.mean[curve.axis]!;
  for (let i = first; i < end; i++) {
    const at = offset + i - first;
    const value = mean[i]!;
    // What is not a number ends the line, as a gap does.
    if (isStart[at] === 1 || !(value - value === 0)) {
      flushMerged(job);
      job.startsLine = true;
      if (!(value - value === 0)) continue;
    }
    if (kind[at] === SINGLE) {
      flushMerged(job);
      addCorner(job, left[at]!, value);
      continue;
    }
    const isMerged = kind[at] === MERGED;
    if (!isMerged) {
      flushMerged(job);
      addCorner(job, (left[at]! + right[at]!) / 2, value);
    }
    job.hasBand = true;
    const lowest = min[i]!;
    const highest = max[i]!;
    const readings = tile.count[i]!;
    const from = Math.max(0, Math.floor(left[at]!));
    const to = Math.min(width, Math.max(Math.floor(left[at]!) + 1, Math.ceil(right[at]!)));
    for (let pixel = from; pixel < to; pixel++) {
      if (isMerged && pixel !== job.mergedPixel) {
        flushMerged(job);
        job.mergedPixel = pixel;
      }
      if (count[pixel] === 0) {
        low[pixel] = lowest;
        high[pixel] = highest;
        sum[pixel] = 0;
        if (job.startsLine && pixel === from) isBreak[pixel] = 1;
      } else {
        if (lowest < low[pixel]!) low[pixel] = lowest;
        if (highest > high[pixel]!) high[pixel] = highest;
      }
      sum[pixel] = sum[pixel]! + value * readings;
      count[pixel] = count[pixel]! + readings;
    }
  }
}

/** The mean of the merged pixel becomes a corner of the line. */
function flushMerged(job: CurveJob): void {
  const pixel = job.mergedPixel;
  if (pixel < 0) return;
  job.mergedPixel = -1;
  addCorner(job, pixel + 0.5, job.buffers.sum[pixel]! / job.buffers.count[pixel]!);
}

function addCorner(job: CurveJob, x: number, value: number): void {
  const { buffers, curve } = job;
  const at = buffers.points++;
  buffers.x[at] = x;
  buffers.y[at] = curve.zeroRow + value * curve.rowsPerUnit;
  buffers.isStart[at] = job.startsLine ? 1 : 0;
  job.startsLine = false;
}

/** From the lowest to the highest of each pixel, and on to the neighbour's where a steep rise would leave a hole. */
function paintBand(surface: Surface, { buffers, view, curve }: CurveJob): void {
  const { low, high, count, isBreak } = buffers;
  const ink = { colour: curve.colour, alpha: curve.isBandOnly === true ? 255 : BAND_ALPHA };
  const span = { top: 0, bottom: 0 };
  const { zeroRow, rowsPerUnit } = curve;
  const least = BAND_MIN_PX * view.scale;
  for (let x = 0; x < surface.width; x++) {
    if (count[x] === 0) continue;
    let bottomValue = low[x]!;
    let topValue = high[x]!;
    if (x > 0 && count[x - 1]! > 0 && isBreak[x] === 0) {
      if (high[x - 1]! < bottomValue) bottomValue = high[x - 1]!;
      if (low[x - 1]! > topValue) topValue = low[x - 1]!;
    }
    span.top = zeroRow + topValue * rowsPerUnit;
    span.bottom = zeroRow + bottomValue * rowsPerUnit;
    const missing = least - (span.bottom - span.top);
    if (missing > 0) {
      span.top -= missing / 2;
      span.bottom += missing / 2;
    }
    blendSpan(surface, x, span, ink);
  }
}

function addLine({ buffers, view }: CurveJob): void {
  const { mask, x, y, isStart, points } = buffers;
  const thickness = LINE_PX * view.scale;
  for (let i = 0; i < points; i++) {
    if (isStart[i] === 0) addSegment(mask, x[i - 1]!, y[i - 1]!, x[i]!, y[i]!, thickness);
    // A reading without neighbours would not be seen at all.
    else if (i + 1 === points || isStart[i + 1] === 1) addDot(mask, x[i]!, y[i]!, (thickness + 1) / 2);
  }
}

/** A point for each reading; false where there is no room. */
function addDots({ buffers, view }: CurveJob): boolean {
  if (view.periodUs / view.usPerPixel < DOTS_FROM_PX * view.scale) return false;
  const { mask, x, y, points } = buffers;
  for (let i = 0; i < points; i++) addDot(mask, x[i]!, y[i]!, DOT_RADIUS_PX * view.scale);
  return true;
}

/** How strong each column of the line is: dashes are fixed to time, what is steep is in full colour. */
function fillDash({ curve, view, buffers }: CurveJob): void {
  const { mask, alpha } = buffers;
  alpha.fill(255);
  const lengths = curve.dash.map((length) => Math.max(1, Math.round(length * view.scale)));
  const period = lengths.reduce((sum, length) => sum + length, 0);
  if (period === 0) return;
  const steep = STEEP_PX * view.scale;
  const shift = Math.round(view.fromUs / view.usPerPixel) % period;
  for (let x = 0; x < mask.width; x++) {
    if (isOn(lengths, (((x + shift) % period) + period) % period)) continue;
    if (mask.high[x]! - mask.low[x]! <= steep) alpha[x] = FAINT_ALPHA;
  }
}

function isOn(lengths: readonly number[], phase: number): boolean {
  let end = 0;
  for (let i = 0; i < lengths.length; i++) {
    end += lengths[i]!;
    if (phase < end) return i % 2 === 0;
  }
  return true;
}
