/**
 * Owns the readings of one placement that wait for their turn: converted to SI, in order of time. Bounded: QUEUE_S seconds
 * of readings; who waits longer loses the oldest, counted. It begins small and grows by what waits: 30 s of seven sensors
 * are 4 MB, and live streams hardly wait at all.
 */

import type { Placement } from '#motion/body-model.ts';
import type { StatePart } from '#motion/session/state.ts';

/** acc (m/s2), gyr (rad/s), mag (uT, NaN without one). */
export const READING_VALUES = 9;

/** A window of the analysis of committed readings is 10 s; live streams wait for each other for a second. */
const QUEUE_S = 30;
const FIRST_READINGS = 64;

export interface QueueCounters {
  /** Not after the reading before it, or of a time that was passed already. */
  late: number;
  /** More waited than there is room for. */
  dropped: number;
}

export interface ReadingQueue extends StatePart {
  readonly length: number;
  /** Time of the oldest; Infinity when empty. */
  readonly headUs: number;
  /** `SI values[at ..]` of the oldest are at `values`, `at`. */
  readonly values: Float64Array;
  readonly at: number;
  push(
    readings: {
      readonly timesUs: Float64Array;
      readonly values: Float32Array;
      readonly axes: number;
      readonly count: number;
    },
    notBeforeUs: number,
  ): void;
  shift(): void;
}

export function createReadingQueue(placement: Placement, counters: QueueCounters): ReadingQueue {
  const { acc, gyr, mag, rateHz } = placement;
  const columns = [...acc.axes, ...gyr.axes, ...(mag?.axes ?? [])];
  const scales = [acc, acc, acc, gyr, gyr, gyr, ...(mag === null ? [] : [mag, mag, mag])].map(
    ({ scale }) => scale,
  );
  const most = Math.max(FIRST_READINGS, Math.ceil(QUEUE_S * rateHz));
  let capacity = FIRST_READINGS;
  let times = new Float64Array(capacity);
  let values = new Float64Array(capacity * READING_VALUES).fill(Number.NaN);
  let head = 0;
  let length = 0;
  // In an array, since a number that changes with each reading would be a new object each time.
  const newest = Float64Array.of(Number.NEGATIVE_INFINITY);

  const drop = (): void => {
    length--;
    // An empty queue begins at the front again, so that a short one stays in the cache.
    head = length === 0 || head + 1 === capacity ? 0 : head + 1;
  };
  /** Room for so many, with what waits at the front. */
  const grow = (atLeast: number): void => {
    const grown = Math.min(most, Math.max(2 * capacity, atLeast));
    const newTimes = new Float64Array(grown);
    const newValues = new Float64Array(grown * READING_VALUES).fill(Number.NaN);
    for (let i = 0; i < length; i++) {
      const slot = (head + i) % capacity;
      newTimes[i] = times[slot]!;
      newValues.set(values.subarray(slot * READING_VALUES, (slot + 1) * READING_VALUES), i * READING_VALUES);
    }
    [times, values, head, capacity] = [newTimes, newValues, 0, grown];
  };
  return {
    get length() {
      return length;
    },
    get headUs() {
      return length === 0 ? Number.POSITIVE_INFINITY : times[head]!;
    },
    get values() {
      return values;
    },
    get at() {
      return head * READING_VALUES;
    },
    push({ timesUs, values: given, axes, count }, notBeforeUs) {
      if (length + count > capacity && capacity < most) grow(length + count);
      for (let i = 0; i < count; i++) {
        const timeUs = timesUs[i]!;
        if (!(timeUs > newest[0]! && timeUs >= notBeforeUs)) {
          counters.late++;
          continue;
        }
        newest[0] = timeUs;
        if (length === most) {
          drop();
          counters.dropped++;
        }
        let slot = head + length;
        if (slot >= capacity) slot -= capacity;
        times[slot] = timeUs;
        const to = slot * READING_VALUES;
        const from = i * axes;
        for (let k = 0; k < columns.length; k++) values[to + k] = given[from + columns[k]!]! * scales[k]!;
        length++;
      }
    },
    shift: drop,
    save() {
      const state = new Float64Array(1 + length * (1 + READING_VALUES));
      state[0] = newest[0]!;
      for (let i = 0; i < length; i++) {
        const slot = (head + i) % capacity;
        const to = 1 + i * (1 + READING_VALUES);
        state[to] = times[slot]!;
        state.set(values.subarray(slot * READING_VALUES, (slot + 1) * READING_VALUES), to + 1);
      }
      return state;
    },
    load(from) {
      newest[0] = from[0]!;
      head = 0;
      length = 0;
      const saved = (from.length - 1) / (1 + READING_VALUES);
      if (saved > capacity) grow(saved);
      length = saved;
      for (let i = 0; i < length; i++) {
        const at = 1 + i * (1 + READING_VALUES);
        times[i] = from[at]!;
        values.set(from.subarray(at + 1, at + 1 + READING_VALUES), i * READING_VALUES);
      }
    },
  };
}
