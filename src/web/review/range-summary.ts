/** Owns the numbers of what is shown: per axis lowest, mean and highest, from the columns that are drawn. */

import { firstColumnAfter } from '#web/review/envelope-tile.ts';
import type { Lane } from '#web/review/lane.ts';
import type { TimeRange } from '#web/review/view-range.ts';

export interface AxisSummary {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
}

/** One entry an axis; NaN where no reading is in sight. */
export function rangeSummary({ pieces, shiftUs, detail }: Lane, range: TimeRange): AxisSummary[] {
  const fromUs = range.fromUs - shiftUs;
  const toUs = range.toUs - shiftUs;
  return detail.definition.axes.map((_, axis) => {
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    let sum = 0;
    let count = 0;
    for (const { tile, range: piece } of pieces) {
      const end = Math.min(toUs, piece.toUs);
      for (let i = firstColumnAfter(tile, Math.max(fromUs, piece.fromUs)); i < tile.startUs.length; i++) {
        if (tile.startUs[i]! >= end) break;
        const mean = tile.mean[axis]![i]!;
        if (!Number.isFinite(mean)) continue;
        min = Math.min(min, tile.min[axis]![i]!);
        max = Math.max(max, tile.max[axis]![i]!);
        sum += mean * tile.count[i]!;
        count += tile.count[i]!;
      }
    }
    return count === 0
      ? { min: Number.NaN, max: Number.NaN, mean: Number.NaN }
      : { min, max, mean: sum / count };
  });
}
