/**
 * Owns the levels of roll-ups: how long their buckets are, which of them a stream has, and how buckets pack into rows. A
 * bucket of one level lies within one row of the level below, so that it can be made of that row alone. Buckets and rows
 * start at multiples of their length since 1970, before and after it. Pure.
 */

export interface RollupLevel {
  readonly bucketUs: number;
  /** Streams below this nominal rate do without: a bucket of theirs would hold less than about five readings. */
  readonly fromRateHz: number;
}

/** Buckets in a row: a minute of the level of one second (DESIGN section 7). */
export const BUCKETS_PER_ROW = 60;

/**
 * From fine to coarse. The ratio of two is at most 12, so that a curve reads at most 12 times as many buckets as it has
 * columns; 5 from a second on, where the hours of a recording are. Fifty readings in the shortest bucket keep roll-ups at
 * a few per cent of the readings. Changing this needs a migration that rolls up anew.
 */
export const rollupLevels: readonly RollupLevel[] = [
  { bucketUs: 10_000, fromRateHz: 5_000 },
  { bucketUs: 100_000, fromRateHz: 500 },
  { bucketUs: 1_000_000, fromRateHz: 5 },
  { bucketUs: 5_000_000, fromRateHz: 1 },
  { bucketUs: 10_000_000, fromRateHz: 0.5 },
  { bucketUs: 60_000_000, fromRateHz: 0 },
  { bucketUs: 600_000_000, fromRateHz: 0 },
  { bucketUs: 3_600_000_000, fromRateHz: 0 },
  { bucketUs: 43_200_000_000, fromRateHz: 0 },
];

/** Lengths of the buckets of a stream, from fine to coarse. */
export function bucketLengths(rateHz: number): readonly number[] {
  return rollupLevels.filter((level) => level.fromRateHz <= rateHz).map((level) => level.bucketUs);
}

/** Names one row among those of an epoch. */
export interface RowKey {
  readonly bucketUs: number;
  /** A multiple of `rowUs(bucketUs)`. */
  readonly startUs: number;
}

export function rowUs(bucketUs: number): number {
  return bucketUs * BUCKETS_PER_ROW;
}

/** The largest multiple of `lengthUs` that is at most `timeUs`; exact for all times, also before 1970. */
export function floorTo(timeUs: number, lengthUs: number): number {
  const rest = timeUs % lengthUs;
  return rest < 0 ? timeUs - rest - lengthUs : timeUs - rest;
}

/** The row of a bucket length that holds a time. */
export function rowKeyOf(bucketUs: number, timeUs: number): RowKey {
  return { bucketUs, startUs: floorTo(timeUs, rowUs(bucketUs)) };
}

export function rowName({ bucketUs, startUs }: RowKey): string {
  return `${bucketUs}/${startUs}`;
}
