/** Owns the scales of the page's panels: one for each quantity of a part of the body, so that left and right compare. */

import { createRangeTracker, roundOut, type ValueRange } from '#web/live/value-range.ts';
import { extremesOf, wholePiece, type Lane } from '#web/review/lane.ts';

/** Of what is on the screen where `isFitted`, else of the whole recording: then no zoom changes them. */
export function scalesFor(lanes: Iterable<Lane>, isFitted: boolean): Map<string, ValueRange> {
  const needed = new Map<string, { unit: string; low: number; high: number }>();
  for (const lane of lanes) {
    if (isFitted && !lane.isVisible) continue;
    const pieces = isFitted ? lane.pieces : lane.whole === null ? [] : [wholePiece(lane.whole)];
    for (const [i, group] of lane.groups.entries()) {
      const extremes = extremesOf(pieces, group);
      if (extremes === null) continue;
      const known = needed.get(lane.scaleKeys[i]!);
      needed.set(lane.scaleKeys[i]!, {
        unit: group.unit,
        low: Math.min(extremes.low, known?.low ?? Number.POSITIVE_INFINITY),
        high: Math.max(extremes.high, known?.high ?? Number.NEGATIVE_INFINITY),
      });
    }
  }
  return new Map(
    [...needed].map(([key, { unit, low, high }]) => [
      key,
      isFitted ? roundOut({ low, high }) : ladder(unit, low, high),
    ]),
  );
}

/** The step of the ladder that the live page would have taken for these values. */
function ladder(unit: string, low: number, high: number): ValueRange {
  const tracker = createRangeTracker(unit);
  tracker.add(low);
  tracker.add(high);
  return tracker.range;
}

/** One a panel; the unit's smallest where nothing is known. */
export function panelScales(lane: Lane, scales: ReadonlyMap<string, ValueRange>): ValueRange[] {
  return lane.groups.map(({ unit }, i) => scales.get(lane.scaleKeys[i]!) ?? createRangeTracker(unit).range);
}
