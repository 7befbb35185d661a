/**
 * Owns the rows that wait to be taken from a tracker: a ring of a fixed number of rows, the oldest goes when it is full, counted.
 */

import type { Values } from '#motion/quaternion.ts';

export interface WaitingRows {
  /** A row of the time `clock[0]`. */
  put(clock: Values, row: Float32Array): void;
  take(out: Float32Array): number;
  clear(): void;
  dropped(): number;
}

export function createWaitingRows(width: number, most: number): WaitingRows {
  const times = new Float64Array(most);
  const values = new Float32Array(most * width);
  let first = 0;
  let count = 0;
  let dropped = 0;
  return {
    put(clock, row) {
      if (count === most) {
        first = (first + 1) % most;
        count--;
        dropped++;
      }
      const at = (first + count) % most;
      times[at] = clock[0]!;
      // A row is short: a loop takes a fraction of what a call of the engine does.
      for (let i = 0; i < width; i++) values[at * width + i] = row[i]!;
      count++;
    },
    take(out) {
      if (count === 0) return Number.NaN;
      const timeUs = times[first]!;
      for (let i = 0; i < width; i++) out[i] = values[first * width + i]!;
      first = (first + 1) % most;
      count--;
      return timeUs;
    },
    clear() {
      first = 0;
      count = 0;
      dropped = 0;
    },
    dropped: () => dropped,
  };
}
