/**
 * Owns one stream of the review page: what is known of the whole of it, how its device's time is placed on the page's
 * axis, which panels share its scale, and its canvas while it has one.
 */

import type { StreamDetail } from '#contract/rest.ts';
import { groupAxes, partOf, sideOf, type AxisGroup, type BodySide } from '#web/live/axis-groups.ts';
import type { EnvelopeTile } from '#web/review/envelope-tile.ts';
import { intersect, type Piece } from '#web/review/tile-grid.ts';
import { firstColumnAfter } from '#web/review/envelope-tile.ts';
import type { LanePainter } from '#web/review/lane-painter.ts';
import type { TimeRange } from '#web/review/view-range.ts';

export interface Lane {
  readonly id: string;
  readonly groups: readonly AxisGroup[];
  readonly side: BodySide;
  /** One a panel: panels with the same key have one scale, so that left and right are compared at a glance. */
  readonly scaleKeys: readonly string[];
  readonly periodUs: number;
  detail: StreamDetail;
  /** All of the stream, coarsely; null until it has come. */
  whole: EnvelopeTile | null;
  /** Added to device time: 0 unless the device's clock was plainly wrong. */
  shiftUs: number;
  painter: LanePainter | null;
  /** Taken as seen until the browser says otherwise. */
  isVisible: boolean;
  isDirty: boolean;
  /** What was drawn last. */
  pieces: readonly Piece<EnvelopeTile>[];
  /** Changes when anything was stored or declared since. */
  revision: string;
  /** The whole is being asked for. */
  isAsking: boolean;
}

/** No sensor recorded before: a clock that says so was never set. */
const EARLIEST_US = Date.UTC(2005, 0, 1) * 1000;
/** A clock this far ahead of the server's is wrong, not in another time zone. */
const MAX_AHEAD_US = 86_400_000_000;

export function createLane(detail: StreamDetail): Lane {
  const { definition } = detail;
  const groups = groupAxes(definition.axes);
  const part = partOf(definition.segment);
  return {
    id: definition.stream,
    groups,
    side: sideOf(definition.segment),
    scaleKeys: groups.map(({ title, unit }) => JSON.stringify([part, definition.sensor, title, unit])),
    periodUs: 1e6 / definition.rateHz,
    detail,
    whole: null,
    shiftUs: 0,
    painter: null,
    isVisible: true,
    isDirty: false,
    pieces: [],
    revision: revisionOf(detail),
    isAsking: false,
  };
}

export function revisionOf({ epochs }: StreamDetail): string {
  return JSON.stringify(
    epochs.map(({ stored, lost, pending, tailLost }) => [stored, lost, pending, tailLost]),
  );
}

/** A device whose clock was never set, or runs far ahead, is shown as if it had begun when its stream was opened. */
export function shiftOf({ openedAt }: StreamDetail, firstUs: number): number {
  const openedUs = Date.parse(openedAt) * 1000;
  const isPlausible = firstUs >= EARLIEST_US && firstUs <= openedUs + MAX_AHEAD_US;
  return isPlausible ? 0 : openedUs - firstUs;
}

/** From the first reading to the end of the last, on the page's axis; null for an empty stream. */
export function extentOf({ whole, shiftUs, periodUs }: Lane): TimeRange | null {
  if (whole === null || whole.firstUs === null || whole.lastUs === null) return null;
  return {
    fromUs: whole.firstUs + shiftUs,
    toUs: whole.lastUs + shiftUs + Math.max(1, Math.round(periodUs)),
  };
}

/** Lowest and highest value of a panel's axes over pieces; null for none. */
export function extremesOf(
  pieces: readonly Piece<EnvelopeTile>[],
  group: AxisGroup,
): { low: number; high: number } | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { tile, range } of pieces)
    for (let i = firstColumnAfter(tile, range.fromUs); i < tile.startUs.length; i++) {
      if (tile.startUs[i]! >= range.toUs) break;
      for (const { axis } of group.axes) {
        const least = tile.min[axis]![i]!;
        const most = tile.max[axis]![i]!;
        if (least < low) low = least;
        if (most > high) high = most;
      }
    }
  return high >= low ? { low, high } : null;
}

/** All that is known of the stream, as one piece. */
export function wholePiece(tile: EnvelopeTile): Piece<EnvelopeTile> {
  return { tile, range: { fromUs: tile.fromUs, toUs: Math.max(tile.toUs, tile.fromUs + 1) } };
}

/** The part of `range` in which the stream has readings, in device time. */
export function storedPart(lane: Lane, range: TimeRange): TimeRange | null {
  const extent = extentOf(lane);
  if (extent === null) return null;
  return intersect(
    { fromUs: extent.fromUs - lane.shiftUs, toUs: extent.toUs - lane.shiftUs },
    { fromUs: range.fromUs - lane.shiftUs, toUs: range.toUs - lane.shiftUs },
  );
}
