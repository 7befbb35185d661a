/** Owns what the review page tells of its picture: the readings behind it and where they are drawn. Reads only. */

import type { Plot } from '#web/live/trace-layout.ts';
import { firstColumnAfter } from '#web/review/envelope-tile.ts';
import type { ReviewModel } from '#web/review/review-model.ts';

export interface ReviewInspection {
  readonly whole: { readonly fromUs: number; readonly toUs: number } | null;
  readonly range: { readonly fromUs: number; readonly toUs: number } | null;
  readonly isLoading: boolean;
  /** Of the frames drawn in the last second. */
  readonly fps: number;
  readonly longestDrawMs: number;
  readonly streams: readonly {
    readonly stream: string;
    readonly segment: string;
    /** Place on the canvas in device pixels, and the values at the upper and lower edge. */
    readonly panels: readonly { readonly plot: Plot; readonly low: number; readonly high: number }[];
    /** What is drawn, of at most INSPECTED_COLUMNS columns; device time. */
    readonly columns: readonly {
      readonly startUs: number;
      readonly count: number;
      readonly min: readonly number[];
      readonly max: readonly number[];
    }[];
    readonly gaps: number;
  }[];
}

/** More are not needed to compare a picture with a recording. */
const INSPECTED_COLUMNS = 4096;

export function inspectReview(model: ReviewModel): ReviewInspection {
  const { whole, range, isLoading } = model.state;
  const { fps, longestDrawMs } = model.meter.summarise(performance.now());
  return {
    whole,
    range,
    isLoading,
    fps,
    longestDrawMs,
    streams: [...model.lanes.values()].map((lane) => {
      const columns: ReviewInspection['streams'][number]['columns'][number][] = [];
      const fromUs = (range?.fromUs ?? 0) - lane.shiftUs;
      const toUs = (range?.toUs ?? 0) - lane.shiftUs;
      for (const { tile, range: piece } of lane.pieces) {
        const end = Math.min(toUs, piece.toUs);
        for (let i = firstColumnAfter(tile, Math.max(fromUs, piece.fromUs)); i < tile.startUs.length; i++) {
          const startUs = tile.startUs[i]!;
          if (startUs >= end || columns.length >= INSPECTED_COLUMNS) break;
          // A coarse column that reaches in from beside belongs to the piece before.
          if (startUs < Math.max(fromUs, piece.fromUs)) continue;
          columns.push({
            startUs,
            count: tile.count[i]!,
            min: tile.min.map((list) => list[i]!),
            max: tile.max.map((list) => list[i]!),
          });
        }
      }
      return {
        stream: lane.id,
        segment: lane.detail.definition.segment,
        panels: (lane.painter?.plots ?? []).map((plot, i) => ({ plot, ...model.scalesOf(lane)[i]! })),
        columns,
        gaps: lane.pieces.reduce((sum, { tile }) => sum + tile.gaps.length, 0),
      };
    }),
  };
}
