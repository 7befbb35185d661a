/**
 * Owns where the columns of a stream lie on a plot: for each the pixels that it touches, and whether a line may lead to
 * it. Worked out once a frame and used by all axes. Buffers grow to the most columns that were ever on the screen (a few
 * tiles of 2,048) and are reused: a frame allocates nothing.
 */

import type { EnvelopeGap } from '#contract/envelope.ts';
import { firstColumnAfter, type EnvelopeTile } from '#web/review/envelope-tile.ts';
import type { Piece } from '#web/review/tile-grid.ts';

export interface CurveView {
  readonly fromUs: number;
  readonly usPerPixel: number;
  /** Pixels. */
  readonly width: number;
  /** Device pixels a CSS pixel. */
  readonly scale: number;
  /** Microseconds between readings; two that are much further apart have no line between them. */
  readonly periodUs: number;
  /** Added to device time to get the page's time. */
  readonly shiftUs: number;
}

/** Columns [first, end) of a tile, which have the places `offset + 0, 1, ...` in the layout. */
export interface LaidPiece {
  readonly tile: EnvelopeTile;
  readonly first: number;
  readonly end: number;
  readonly offset: number;
}

export interface ColumnLayout {
  pieces: LaidPiece[];
  /** Pixels; a single reading has right = left. */
  left: Float64Array;
  right: Float64Array;
  /** One of the kinds below. */
  kind: Uint8Array;
  /** 1 where no line leads here from the column before. */
  isStart: Uint8Array;
}

/** Merged with others in the same pixels; a single reading with room; a column of several drawn over its width. */
export const MERGED = 0;
export const SINGLE = 1;
export const WIDE = 2;

/** Where columns are closer than this, in CSS pixels, they are merged pixel by pixel. */
const MERGE_BELOW_PX = 1.5;
/** Without a reading for so many periods the line ends: an irregular sensor is not drawn as if it were steady. */
const BREAK_PERIODS = 4;
const BREAK_MIN_US = 40_000;

export function createColumnLayout(): ColumnLayout {
  return {
    pieces: [],
    left: new Float64Array(0),
    right: new Float64Array(0),
    kind: new Uint8Array(0),
    isStart: new Uint8Array(0),
  };
}

/** `pieces` in order of time without overlap, and `gaps` in order, in device time. */
export function layOut(
  layout: ColumnLayout,
  { pieces, gaps }: { pieces: readonly Piece<EnvelopeTile>[]; gaps: readonly EnvelopeGap[] },
  view: CurveView,
): void {
  layout.pieces = [];
  let total = 0;
  for (const { tile, range } of pieces) {
    const first = firstColumnAfter(tile, range.fromUs);
    let end = first;
    while (end < tile.startUs.length && tile.startUs[end]! < range.toUs) end++;
    layout.pieces.push({ tile, first, end, offset: total });
    total += end - first;
  }
  grow(layout, total);
  const breaks = createBreaks(gaps, Math.max(BREAK_MIN_US, BREAK_PERIODS * view.periodUs));
  for (const [i, laid] of layout.pieces.entries())
    layOutPiece(layout, { laid, range: pieces[i]!.range, breaks, view });
}

function grow(layout: ColumnLayout, total: number): void {
  if (layout.kind.length >= total) return;
  const size = 2 ** Math.ceil(Math.log2(total));
  layout.left = new Float64Array(size);
  layout.right = new Float64Array(size);
  layout.kind = new Uint8Array(size);
  layout.isStart = new Uint8Array(size);
}

interface PieceJob {
  readonly laid: LaidPiece;
  readonly range: { readonly fromUs: number; readonly toUs: number };
  readonly breaks: Breaks;
  readonly view: CurveView;
}

function layOutPiece(layout: ColumnLayout, { laid, range, breaks, view }: PieceJob): void {
  const { left, right, kind, isStart } = layout;
  const { startUs, endUs, count, bucketUs } = laid.tile;
  const { usPerPixel } = view;
  const originUs = view.fromUs - view.shiftUs;
  const mergeBelow = MERGE_BELOW_PX * view.scale;
  const areSinglesMerged = view.periodUs / usPerPixel < mergeBelow;
  for (let i = laid.first; i < laid.end; i++) {
    const at = laid.offset + i - laid.first;
    const from = startUs[i]!;
    const to = endUs[i]!;
    isStart[at] = breaks.isBreak(from, to, bucketUs) ? 1 : 0;
    if (count[i] === 1) {
      left[at] = (from - originUs) / usPerPixel;
      right[at] = left[at]!;
      kind[at] = areSinglesMerged ? MERGED : SINGLE;
    } else {
      // A column ends with its last reading: it is drawn up to the next, as the line is.
      const until = Math.max(to, Math.min(to + view.periodUs, startUs[i + 1] ?? to));
      // A coarse column does not reach into what a finer tile draws beside it.
      left[at] = (Math.max(from, range.fromUs) - originUs) / usPerPixel;
      right[at] = (Math.min(until, range.toUs) - originUs) / usPerPixel;
      kind[at] = right[at] - left[at] < mergeBelow ? MERGED : WIDE;
    }
  }
}

interface Breaks {
  /** Asked of columns in order of time: whether no line may lead to this one from the one before. */
  isBreak(fromUs: number, toUs: number, bucketUs: number): boolean;
}

function createBreaks(gaps: readonly EnvelopeGap[], breakUs: number): Breaks {
  let lastUs = Number.NEGATIVE_INFINITY;
  let next = 0;
  return {
    isBreak(fromUs, toUs, bucketUs) {
      let isBreak = fromUs - lastUs > breakUs + bucketUs;
      while (next < gaps.length && gaps[next]!.fromUs < fromUs) {
        if (gaps[next]!.toUs > lastUs) isBreak = true;
        if (gaps[next]!.toUs > fromUs) break;
        next++;
      }
      lastUs = Math.max(fromUs, toUs);
      return isBreak;
    },
  };
}
