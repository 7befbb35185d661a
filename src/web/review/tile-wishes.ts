/**
 * Owns which tiles the page wants at a moment: those on the screen, from the middle outwards, then what a person may
 * want next: the neighbours on both sides, the next finer ones around the middle, the next coarser.
 */

import {
  intersect,
  levelFor,
  parentOf,
  tileRange,
  tilesOver,
  type TilePlace,
} from '#web/review/tile-grid.ts';
import { spanOf, type TimeRange } from '#web/review/view-range.ts';

export interface WishedLane {
  /** What is on the screen, in device time. */
  readonly view: TimeRange;
  /** Where the stream has readings, in device time. */
  readonly stored: TimeRange;
  /** Columns of the whole that the page holds anyway are this long: no coarser tile is wanted. */
  readonly wholeColumnUs: number;
  readonly usPerPixel: number;
}

export interface PlacesWanted {
  readonly now: readonly TilePlace[];
  readonly next: readonly TilePlace[];
}

/** Whether the coarse picture of everything is fine enough. */
export function isWholeEnough({ wholeColumnUs, usPerPixel }: WishedLane): boolean {
  return wholeColumnUs <= usPerPixel * Math.SQRT2;
}

export function placesWanted(lane: WishedLane): PlacesWanted {
  const { view, stored, usPerPixel } = lane;
  const isStored = (place: TilePlace): boolean => intersect(tileRange(place), stored) !== null;
  const level = levelFor(usPerPixel);
  const middleUs = view.fromUs / 2 + view.toUs / 2;
  const finer = tilesOver(aroundMiddle(view), level - 1).filter(isStored);
  if (isWholeEnough(lane)) return { now: [], next: finer };
  const shown = tilesOver(view, level);
  const first = shown[0]!;
  const last = shown.at(-1)!;
  const aside = [
    { level, index: last.index + 1 },
    { level, index: first.index - 1 },
  ];
  const coarser = tilesOver(view, level + 1).filter(
    (place) => !shown.some((tile) => isSame(parentOf(tile), place)),
  );
  return {
    now: shown.filter(isStored).toSorted((a, b) => distance(a, middleUs) - distance(b, middleUs)),
    next: [...aside, ...finer, ...shown.map(parentOf), ...coarser].filter(
      (place, i, all) => isStored(place) && all.findIndex((other) => isSame(other, place)) === i,
    ),
  };
}

/** What a zoom step into the middle would show. */
function aroundMiddle(view: TimeRange): TimeRange {
  const quarter = spanOf(view) / 4;
  return { fromUs: view.fromUs + quarter, toUs: view.toUs - quarter };
}

function isSame(a: TilePlace, b: TilePlace): boolean {
  return a.level === b.level && a.index === b.index;
}

function distance(place: TilePlace, atUs: number): number {
  const { fromUs, toUs } = tileRange(place);
  return Math.abs(fromUs / 2 + toUs / 2 - atUs);
}
