/**
 * Owns the newest readings of one stream in typed arrays. A reading has an index that grows by one a reading; slots
 * whose reading never came are holes. Invariant: times never fall from one index to the next, holes included, so that
 * a time is found by bisection. Bound: `capacity` readings; the oldest are overwritten.
 */

import { assert } from '#base/assert.ts';

export interface ReadingRing {
  readonly capacity: number;
  /** Values per axis, by slot. */
  readonly values: readonly Float32Array[];
  /** Time per slot, milliseconds. */
  readonly timesMs: Float64Array;
  /** The oldest index that is kept, and one more than the newest. Equal when the ring is empty. */
  readonly start: number;
  readonly end: number;
  /** Readings that were overwritten since the ring was made. */
  readonly overwritten: number;
  slotOf(index: number): number;
  has(index: number): boolean;
  timeOf(index: number): number;
  /**
   * Makes room for a reading and returns its slot, into which the caller writes the values; -1 when the index is
   * older than everything kept.
   */
  claim(index: number, timeMs: number): number;
  /** The first index in [start, end] whose time is not before `timeMs`. */
  lowerBound(timeMs: number): number;
  clear(): void;
}

export function createReadingRing(axes: number, capacity: number): ReadingRing {
  assert(Number.isSafeInteger(capacity) && capacity > 0, 'a ring needs a positive capacity');
  const values = Array.from({ length: axes }, () => new Float32Array(capacity));
  const timesMs = new Float64Array(capacity);
  const indexes = new Float64Array(capacity).fill(-1);
  let first = 0;
  let end = 0;
  let overwritten = 0;

  const start = (): number => Math.max(first, end - capacity);
  const slotOf = (index: number): number => index % capacity;
  const timeOf = (index: number): number => timesMs[index % capacity]!;
  const clear = (): void => {
    indexes.fill(-1);
    first = 0;
    end = 0;
  };
  /** Appends past the end. Holes get times between their neighbours; their slots still name an older index. */
  const append = (index: number, timeMs: number): void => {
    const before = end === first ? timeMs : timeOf(end - 1);
    const at = Math.max(before, timeMs);
    const holes = index - end;
    const step = (at - before) / (holes + 1);
    // Only the newest `capacity` slots survive, so a jump of any width costs at most one round.
    for (let i = Math.max(end, index - capacity + 1); i < index; i++)
      timesMs[i % capacity] = before + step * (i - end + 1);
    overwritten += Math.max(0, Math.min(end, index + 1 - capacity) - start());
    timesMs[index % capacity] = at;
    end = index + 1;
  };
  return {
    capacity,
    values,
    timesMs,
    get start() {
      return start();
    },
    get end() {
      return end;
    },
    get overwritten() {
      return overwritten;
    },
    slotOf,
    has: (index) => index >= start() && index < end && indexes[index % capacity] === index,
    timeOf,
    claim(index, timeMs) {
      if (end === first) {
        first = index;
        end = index;
      }
      if (index < start()) return -1;
      const slot = index % capacity;
      if (index >= end) append(index, timeMs);
      else {
        // A late reading keeps the order of times; its neighbours bound it.
        const lowest = index > start() ? timeOf(index - 1) : Number.NEGATIVE_INFINITY;
        const highest = index + 1 < end ? timeOf(index + 1) : Number.POSITIVE_INFINITY;
        timesMs[slot] = Math.min(Math.max(timeMs, lowest), highest);
      }
      indexes[slot] = index;
      return slot;
    },
    lowerBound(timeMs) {
      let low = start();
      let high = end;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        if (timeOf(middle) < timeMs) low = middle + 1;
        else high = middle;
      }
      return low;
    },
    clear,
  };
}
