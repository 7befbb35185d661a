/**
 * Owns the pixels of a plot and how shapes become pixels: rectangles, hatches, bands and, through a mask of coverage,
 * lines with smooth edges. Written out by hand because a page of long traces is filled anew for every step of a zoom:
 * a canvas that draws in software takes 60 ms for twelve lines over bands. Pixels lie column by column, as traces do:
 * what is drawn at one moment of time is side by side in memory; `present` turns them into rows. Pure: a test reads the
 * pixels. Bound: one mask of the size of the plot, emptied where it was touched.
 */

import { assert } from '#base/assert.ts';

/** Red, green, blue, 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number];

export interface Surface {
  readonly width: number;
  readonly height: number;
  /** Pixel (x, y) is word `x * height + y`, its bytes as in ImageData on a little-endian machine: red lowest. */
  readonly pixels: Uint32Array;
}

/** How much of each pixel a shape covers, 0 to 255. Shapes of one mask join without a seam: the larger cover counts. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly cover: Uint8Array;
  /** First and last touched row of each column; `low > high` where none is. */
  readonly low: Int32Array;
  readonly high: Int32Array;
}

/** Columns and rows that are turned at once: both sides fit the cache nearest to the processor. */
const BLOCK = 16;

/** `#rrggbb`. */
export function parseColour(text: string): Rgb {
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  assert(match !== null, 'the palette writes colours as #rrggbb');
  return [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16), Number.parseInt(match[3]!, 16)];
}

function wordOf([red, green, blue]: Rgb): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

export function createSurface(width: number, height: number): Surface {
  return { width, height, pixels: new Uint32Array(width * height) };
}

export function createMask(width: number, height: number): Mask {
  return {
    width,
    height,
    cover: new Uint8Array(width * height),
    low: new Int32Array(width).fill(height),
    high: new Int32Array(width).fill(-1),
  };
}

/** Writes the surface row by row, as ImageData wants it. */
export function present({ width, height, pixels }: Surface, rows: Uint32Array): void {
  for (let left = 0; left < width; left += BLOCK) {
    const right = Math.min(width, left + BLOCK);
    for (let top = 0; top < height; top += BLOCK) {
      const bottom = Math.min(height, top + BLOCK);
      for (let x = left; x < right; x++) {
        let to = top * width + x;
        const end = x * height + bottom;
        for (let from = x * height + top; from < end; from++) {
          rows[to] = pixels[from]!;
          to += width;
        }
      }
    }
  }
}

export function clearSurface({ pixels }: Surface, colour: Rgb): void {
  pixels.fill(wordOf(colour));
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Fills whole pixels; what lies outside is left out. */
export function fillBox({ width, height, pixels }: Surface, box: Box, colour: Rgb): void {
  const top = Math.max(0, box.top);
  const bottom = Math.min(height, box.top + box.height);
  const word = wordOf(colour);
  if (bottom <= top) return;
  for (let x = Math.max(0, box.left); x < Math.min(width, box.left + box.width); x++)
    pixels.fill(word, x * height + top, x * height + bottom);
}

export interface Hatch {
  readonly colour: Rgb;
  /** 0 to 255. */
  readonly alpha: number;
  /** Pixels between lines, and their width. */
  readonly period: number;
  readonly thickness: number;
  /** Moves with what it marks: the pattern's phase in pixels. */
  readonly shift: number;
}

/** Diagonal lines over the columns [left, right). */
export function hatchColumns(surface: Surface, [left, right]: readonly [number, number], hatch: Hatch): void {
  const { width, height, pixels } = surface;
  const { period, thickness, shift, colour, alpha } = hatch;
  for (let x = Math.max(0, left); x < Math.min(width, right); x++)
    for (let y = 0; y < height; y++) {
      const phase = (((x - shift + y) % period) + period) % period;
      if (phase < thickness)
        pixels[x * height + y] = blend(pixels[x * height + y]!, redBlueOf(colour), colour[1], alpha);
    }
}

function redBlueOf([red, , blue]: Rgb): number {
  return (blue << 16) | red;
}

/** Red and blue in one multiplication, green in another: a pixel has 32 bits and a channel needs 16 of them. */
function blend(under: number, redBlue: number, green: number, alpha: number): number {
  // 0 to 256, so that a full cover gives the colour itself.
  const a = alpha + (alpha >> 7);
  const outer = (Math.imul(under & 0xff00ff, 256 - a) + Math.imul(redBlue, a)) >>> 8;
  const middle = (Math.imul(under & 0x00ff00, 256 - a) + Math.imul(green << 8, a)) >>> 8;
  return (0xff000000 | (outer & 0xff00ff) | (middle & 0x00ff00)) >>> 0;
}

/** Lays a colour over column `x` from `top` to `bottom`, with a part of a pixel at each end. */
export function blendSpan(
  { height, pixels }: Surface,
  x: number,
  span: { readonly top: number; readonly bottom: number },
  ink: { readonly colour: Rgb; readonly alpha: number },
): void {
  const from = Math.max(0, span.top);
  const to = Math.min(height, span.bottom);
  if (!(to > from)) return;
  const { colour, alpha } = ink;
  const redBlue = redBlueOf(colour);
  const green = colour[1];
  const first = Math.floor(from);
  const last = Math.ceil(to) - 1;
  const column = x * height;
  if (first === last) {
    pixels[column + first] = blend(pixels[column + first]!, redBlue, green, (alpha * (to - from)) | 0);
    return;
  }
  const upper = (alpha * (first + 1 - from)) | 0;
  const lower = (alpha * (to - last)) | 0;
  pixels[column + first] = blend(pixels[column + first]!, redBlue, green, upper);
  for (let at = column + first + 1; at < column + last; at++)
    pixels[at] = blend(pixels[at]!, redBlue, green, alpha);
  pixels[column + last] = blend(pixels[column + last]!, redBlue, green, lower);
}

/**
 * A straight line `thickness` pixels wide. Its ends are round enough that the next one joins without a notch. Plain
 * numbers rather than points: this is called some ten thousand times a frame.
 */
export function addSegment(
  mask: Mask,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  thickness: number,
): void {
  if (Math.abs(x1 - x0) >= Math.abs(y1 - y0)) addFlat(mask, x0, y0, x1, y1, thickness);
  else addSteep(mask, x0, y0, x1, y1, thickness);
}

function addFlat(mask: Mask, x0: number, y0: number, x1: number, y1: number, thickness: number): void {
  const { width, height, cover, low, high } = mask;
  const slope = x1 === x0 ? 0 : (y1 - y0) / (x1 - x0);
  const half = (thickness / 2) * Math.sqrt(1 + slope * slope);
  const lowest = Math.min(x0, x1);
  const highest = Math.max(x0, x1);
  const to = Math.min(width - 1, Math.floor(highest));
  for (let x = Math.max(0, Math.floor(lowest)); x <= to; x++) {
    const centre = Math.min(highest, Math.max(lowest, x + 0.5));
    const y = y0 + (centre - x0) * slope;
    const top = Math.max(0, Math.floor(y - half));
    const bottom = Math.min(height - 1, Math.floor(y + half));
    if (bottom < top) continue;
    for (let row = top; row <= bottom; row++) {
      const share = coverOf(half, row + 0.5 - y);
      if (share > cover[x * height + row]!) cover[x * height + row] = share;
    }
    if (top < low[x]!) low[x] = top;
    if (bottom > high[x]!) high[x] = bottom;
  }
}

function addSteep(mask: Mask, x0: number, y0: number, x1: number, y1: number, thickness: number): void {
  const { width, height, cover, low, high } = mask;
  const slope = (x1 - x0) / (y1 - y0);
  const half = (thickness / 2) * Math.sqrt(1 + slope * slope);
  const lowest = Math.min(y0, y1);
  const highest = Math.max(y0, y1);
  const top = Math.max(0, Math.floor(lowest));
  const bottom = Math.min(height - 1, Math.floor(highest));
  if (bottom < top) return;
  const first = Math.max(0, Math.floor(Math.min(x0, x1) - half));
  const last = Math.min(width - 1, Math.floor(Math.max(x0, x1) + half));
  for (let x = first; x <= last; x++) {
    if (top < low[x]!) low[x] = top;
    if (bottom > high[x]!) high[x] = bottom;
    for (let row = top; row <= bottom; row++) {
      const centre = Math.min(highest, Math.max(lowest, row + 0.5));
      const share = coverOf(half, x + 0.5 - (x0 + (centre - y0) * slope));
      if (share > cover[x * height + row]!) cover[x * height + row] = share;
    }
  }
}

/** How much of a pixel lies in a line of half width `half` whose middle is `distance` from the pixel's. */
function coverOf(half: number, distance: number): number {
  const inside = Math.min(0.5, half - distance) + Math.min(0.5, half + distance);
  return inside <= 0 ? 0 : inside >= 1 ? 255 : (255 * inside + 0.5) | 0;
}

/** A filled circle. */
export function addDot(mask: Mask, x: number, y: number, radius: number): void {
  const { width, height, cover, low, high } = mask;
  const top = Math.max(0, Math.floor(y - radius));
  const bottom = Math.min(height - 1, Math.floor(y + radius));
  if (bottom < top) return;
  for (let column = Math.max(0, Math.floor(x - radius)); column <= x + radius && column < width; column++) {
    if (top < low[column]!) low[column] = top;
    if (bottom > high[column]!) high[column] = bottom;
    for (let row = top; row <= bottom; row++) {
      const inside = radius + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y);
      const share = inside <= 0 ? 0 : Math.round(255 * Math.min(1, inside));
      if (share > cover[column * height + row]!) cover[column * height + row] = share;
    }
  }
}

/** Lays `colour` over the surface where the mask covers it, as strong as `alpha` says per column, and empties the mask. */
export function stamp(
  surface: Surface,
  mask: Mask,
  { colour, alpha }: { colour: Rgb; alpha: Uint8Array },
): void {
  const { width, height, cover, low, high } = mask;
  const { pixels } = surface;
  const full = wordOf(colour);
  const redBlue = redBlueOf(colour);
  const green = colour[1];
  for (let x = 0; x < width; x++) {
    const strength = alpha[x]! + 1;
    const end = x * height + high[x]!;
    for (let at = x * height + low[x]!; at <= end; at++) {
      const covered = cover[at]!;
      if (covered === 0) continue;
      cover[at] = 0;
      const share = (covered * strength) >> 8;
      pixels[at] = share === 255 ? full : blend(pixels[at]!, redBlue, green, share);
    }
    low[x] = height;
    high[x] = -1;
  }
}
