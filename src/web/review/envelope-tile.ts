/**
 * Owns what the page asks of an envelope: which column is at a time, which gaps are in a range, how large it is. Columns
 * are in order of time. A tile never changes once it came.
 */

import type { EnvelopeData, EnvelopeGap } from '#contract/envelope.ts';
import type { TimeRange } from '#web/review/view-range.ts';

export type EnvelopeTile = EnvelopeData;

/** Arrays of float64: four a column and three an axis; a gap is an object of five fields. */
export function bytesOf(tile: EnvelopeTile): number {
  return tile.startUs.length * 8 * (4 + 3 * tile.axes.length) + tile.gaps.length * 64 + 256;
}

/** Later than this is marked: a device that buffered, not a slow network. */
export const LATE_US = 5_000_000;

/** The first column that ends after `timeUs`. */
export function firstColumnAfter({ endUs }: EnvelopeTile, timeUs: number): number {
  let low = 0;
  let high = endUs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endUs[middle]! > timeUs) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The column nearest to `timeUs`; -1 for none. */
export function nearestColumn(tile: EnvelopeTile, timeUs: number): number {
  const after = firstColumnAfter(tile, timeUs);
  const { startUs, endUs } = tile;
  if (after >= startUs.length) return startUs.length - 1;
  if (after === 0 || startUs[after]! <= timeUs) return after;
  return timeUs - endUs[after - 1]! <= startUs[after]! - timeUs ? after - 1 : after;
}

/** Gaps that touch the range, each once, joined where tiles cut one in two, in order of time. */
export function gapsOver(tiles: Iterable<EnvelopeTile>, range: TimeRange): EnvelopeGap[] {
  const found: EnvelopeGap[] = [];
  for (const { gaps } of new Set(tiles))
    for (const gap of gaps) if (gap.toUs > range.fromUs && gap.fromUs < range.toUs) found.push(gap);
  found.sort((a, b) => a.fromUs - b.fromUs || b.toUs - a.toUs);
  const joined: EnvelopeGap[] = [];
  for (const gap of found) {
    const last = joined.at(-1);
    const isSame = last !== undefined && last.state === gap.state && last.reason === gap.reason;
    if (last === undefined || !isSame || gap.fromUs >= last.toUs) joined.push(gap);
    else if (gap.toUs > last.toUs) joined[joined.length - 1] = { ...last, toUs: gap.toUs, readings: null };
  }
  return joined;
}
