/**
 * Owns which panels share a scale: the same quantity of the same part of the body on the left and on the right, so that
 * a difference between the sides is seen as one. Bound: the panels of the streams on a page.
 */

import type { StreamDefinition } from '#protocol/messages.ts';
import { partOf, type AxisGroup } from '#web/live/axis-groups.ts';
import { createRangeTracker, type RangeTracker } from '#web/live/value-range.ts';

export interface ScaleBook {
  trackerFor(definition: StreamDefinition, group: AxisGroup): RangeTracker;
}

export function createScaleBook(): ScaleBook {
  const trackers = new Map<string, RangeTracker>();
  return {
    trackerFor({ segment, sensor }, { title, unit }) {
      const key = JSON.stringify([partOf(segment), sensor, title, unit]);
      const known = trackers.get(key);
      if (known !== undefined) return known;
      const tracker = createRangeTracker(unit);
      trackers.set(key, tracker);
      return tracker;
    },
  };
}
