/**
 * Owns count, mean, spread and range of values that come one at a time, in constant memory (Welford 1962). Plain data, so that
 * it can be saved and continued.
 */

export interface Tally {
  count: number;
  mean: number;
  /** Sum of the squared deviations from the mean. */
  squares: number;
  /** 0 while there is no value. */
  min: number;
  max: number;
}

export function createTally(): Tally {
  return { count: 0, mean: 0, squares: 0, min: 0, max: 0 };
}

/** Null and not finite values are left out. */
export function addToTally(tally: Tally, value: number | null): void {
  if (value === null || !Number.isFinite(value)) return;
  tally.count += 1;
  const before = value - tally.mean;
  tally.mean += before / tally.count;
  tally.squares += before * (value - tally.mean);
  if (tally.count === 1 || value < tally.min) tally.min = value;
  if (tally.count === 1 || value > tally.max) tally.max = value;
}

/** Of the values of both (Chan, Golub, LeVeque 1979). */
export function mergeTallies(a: Tally, b: Tally): Tally {
  if (a.count === 0) return { ...b };
  if (b.count === 0) return { ...a };
  const count = a.count + b.count;
  const between = b.mean - a.mean;
  return {
    count,
    mean: a.mean + (between * b.count) / count,
    squares: a.squares + b.squares + (between * between * a.count * b.count) / count,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
  };
}

/** Standard deviation of the population that the values are a sample of; null with less than two. */
export function spreadOf(tally: Tally): number | null {
  return tally.count < 2 ? null : Math.sqrt(tally.squares / (tally.count - 1));
}
