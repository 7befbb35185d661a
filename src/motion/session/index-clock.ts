/**
 * Owns the device times of the readings that an algorithm has taken, by their index since it was reset: algorithms count
 * readings, people want times, and no device keeps its nominal rate exactly. Bounded: the newest `keptS` seconds.
 */

import type { StatePart } from '#motion/session/state.ts';

export interface IndexClock extends StatePart {
  add(timeUs: number): void;
  /** The time of a fractional index, rounded to a microsecond; before what is kept by the nominal rate. */
  timeUsOf(index: number): number;
  reset(): void;
}

export function createIndexClock(rateHz: number, keptS: number): IndexClock {
  const capacity = Math.max(16, Math.ceil(keptS * rateHz));
  const periodUs = 1e6 / rateHz;
  const times = new Float64Array(capacity);
  let count = 0;
  return {
    add(timeUs) {
      times[count % capacity] = timeUs;
      count++;
    },
    timeUsOf(index) {
      const oldest = Math.max(0, count - capacity);
      const last = count - 1;
      if (index <= oldest) return Math.round(times[oldest % capacity]! + (index - oldest) * periodUs);
      if (index >= last) return Math.round(times[last % capacity]! + (index - last) * periodUs);
      const whole = Math.floor(index);
      const before = times[whole % capacity]!;
      const after = times[(whole + 1) % capacity]!;
      return Math.round(before + (index - whole) * (after - before));
    },
    reset() {
      count = 0;
    },
    save: () => Float64Array.of(count, ...times.subarray(0, Math.min(count, capacity))),
    load(from) {
      count = from[0]!;
      times.set(from.subarray(1));
    },
  };
}
