/**
 * Owns the newest live angles of a session on a grid of device time, and when they are drawn: the head of the sweep runs
 * behind the newest rows by as much as lets them arrive before their turn. Bound: CAPACITY rows; the oldest go.
 */

import type { LiveAngles } from '#contract/motion.ts';
import { createPlayOut, type PlayOut } from '#web/live/play-out.ts';
import { createReadingRing, type ReadingRing } from '#web/live/reading-ring.ts';

/** 30 s, the longest window, at 200 rows a second with room for as much again. */
const CAPACITY = 12_288;
/** A row that comes sooner than any in this time tells the difference of the clocks best. */
const CLOCK_WINDOW_MS = 30_000;

/** What the sweep draws, for who compares it with what was sent. */
export interface AngleInspection {
  readonly columns: readonly string[];
  /** Oldest first; at most INSPECTED_ROWS, the newest. Null where a value is not known. */
  readonly rows: readonly { readonly timeUs: number; readonly values: readonly (number | null)[] }[];
}

const INSPECTED_ROWS = 512;

export function inspectAngles({ ring, columns }: Pick<AngleTrace, 'ring' | 'columns'>): AngleInspection {
  const rows: { timeUs: number; values: (number | null)[] }[] = [];
  if (ring === null) return { columns, rows };
  for (let i = Math.max(ring.start, ring.end - INSPECTED_ROWS); i < ring.end; i++) {
    if (!ring.has(i)) continue;
    const slot = ring.slotOf(i);
    const values = ring.values.map((axis) => (Number.isNaN(axis[slot]) ? null : axis[slot]!));
    rows.push({ timeUs: Math.round(ring.timeOf(i) * 1000), values });
  }
  return { columns, rows };
}

export interface AngleTrace {
  /** Null before the first rows. The index of a row is its number on the grid. */
  readonly ring: ReadingRing | null;
  readonly columns: readonly string[];
  /** Grows when columns or grid change: what was drawn is of no use then. */
  readonly generation: number;
  /** Newest row. */
  readonly latest: readonly (number | null)[];
  readonly latestUs: number | null;
  readonly rows: number;
  readonly computeMs: number | null;
  /** Takes rows in; `nowMs` runs evenly. Returns the earliest time that is new, in milliseconds; null when none is. */
  take(angles: LiveAngles, nowMs: number): number | null;
  /** The time that belongs at the head now, in milliseconds of device time; null before the first rows. */
  targetMs(nowMs: number): number | null;
}

export function createAngleTrace(): AngleTrace {
  let ring: ReadingRing | null = null;
  let columns: readonly string[] = [];
  let stepUs = 0;
  let generation = 0;
  let latest: readonly (number | null)[] = [];
  let latestUs: number | null = null;
  let rows = 0;
  let computeMs: number | null = null;
  let playOut: PlayOut = createPlayOut();
  let clock = createClockGuess();

  function begin(angles: LiveAngles): ReadingRing {
    ({ columns, stepUs } = angles);
    generation++;
    latestUs = null;
    playOut = createPlayOut();
    clock = createClockGuess();
    ring = createReadingRing(columns.length, CAPACITY);
    return ring;
  }

  return {
    get ring() {
      return ring;
    },
    get columns() {
      return columns;
    },
    get generation() {
      return generation;
    },
    get latest() {
      return latest;
    },
    get latestUs() {
      return latestUs;
    },
    get rows() {
      return rows;
    },
    get computeMs() {
      return computeMs;
    },
    take(angles, nowMs) {
      const isSame = ring !== null && angles.stepUs === stepUs && isEqual(angles.columns, columns);
      if (angles.rows.length === 0 || angles.columns.length === 0) {
        if (!isSame && angles.columns.length > 0) begin(angles);
        return null;
      }
      // Time that goes back by more than is kept is another recording.
      const isBefore = latestUs !== null && angles.firstUs < latestUs - (CAPACITY * stepUs) / 2;
      const into = isSame && !isBefore && ring !== null ? ring : begin(angles);
      const first = Math.round(angles.firstUs / stepUs);
      angles.rows.forEach((row, i) => {
        const slot = into.claim(first + i, (angles.firstUs + i * stepUs) / 1000);
        if (slot < 0) return;
        for (let axis = 0; axis < columns.length; axis++) into.values[axis]![slot] = row[axis] ?? Number.NaN;
      });
      rows += angles.rows.length;
      computeMs = angles.computeMs;
      const newestUs = angles.firstUs + (angles.rows.length - 1) * stepUs;
      if (latestUs === null || newestUs > latestUs) {
        latestUs = newestUs;
        latest = angles.rows.at(-1) ?? [];
      }
      clock.add(nowMs - newestUs / 1000, nowMs);
      playOut.add(nowMs - angles.firstUs / 1000 - clock.offsetMs, nowMs);
      playOut.update(nowMs);
      return angles.firstUs / 1000;
    },
    targetMs: (nowMs) => (latestUs === null ? null : nowMs - clock.offsetMs - playOut.delayMs),
  };
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

/** The least difference of two clocks within the last one to two windows. */
function createClockGuess(): { readonly offsetMs: number; add(differenceMs: number, nowMs: number): void } {
  let before = Number.POSITIVE_INFINITY;
  let now = Number.POSITIVE_INFINITY;
  let sinceMs = Number.NEGATIVE_INFINITY;
  return {
    get offsetMs() {
      return Math.min(before, now);
    },
    add(differenceMs, nowMs) {
      if (nowMs - sinceMs > CLOCK_WINDOW_MS) {
        before = now;
        now = Number.POSITIVE_INFINITY;
        sinceMs = nowMs;
      }
      now = Math.min(now, differenceMs);
    },
  };
}
