/** Owns how a range of time is moved and scaled: always within the recording, never shorter than can be told apart. */

/** Microseconds, half-open. */
export interface TimeRange {
  readonly fromUs: number;
  readonly toUs: number;
}

export interface RangeLimits {
  readonly whole: TimeRange;
  readonly shortestUs: number;
}

/** Keys and buttons: twice as much, or half. */
export const ZOOM_STEP = 2;
/** Arrow keys move by this share of what is shown; page keys by PAGE_SHARE. */
export const PAN_SHARE = 0.1;
export const PAGE_SHARE = 0.9;

export function spanOf({ fromUs, toUs }: TimeRange): number {
  return toUs - fromUs;
}

/** The nearest range that is allowed: first as long as wanted, then where wanted. */
export function clampRange(range: TimeRange, { whole, shortestUs }: RangeLimits): TimeRange {
  const span = Math.min(spanOf(whole), Math.max(Math.min(shortestUs, spanOf(whole)), spanOf(range)));
  const middle = range.fromUs / 2 + range.toUs / 2;
  // Rounding must not make a range that fits already creep.
  const wanted = span === spanOf(range) ? range.fromUs : middle - span / 2;
  const fromUs = Math.min(whole.toUs - span, Math.max(whole.fromUs, wanted));
  return { fromUs, toUs: fromUs + span };
}

/** Shorter by `factor` (above 1) or longer, with `atUs` staying where it is on the screen. */
export function zoomAround(range: TimeRange, atUs: number, factor: number): TimeRange {
  const fromUs = atUs - (atUs - range.fromUs) / factor;
  return { fromUs, toUs: fromUs + spanOf(range) / factor };
}

export function panBy({ fromUs, toUs }: TimeRange, byUs: number): TimeRange {
  return { fromUs: fromUs + byUs, toUs: toUs + byUs };
}

export function isSameRange(a: TimeRange, b: TimeRange): boolean {
  return a.fromUs === b.fromUs && a.toUs === b.toUs;
}

export function unionOf(ranges: readonly TimeRange[]): TimeRange | null {
  if (ranges.length === 0) return null;
  return {
    fromUs: Math.min(...ranges.map(({ fromUs }) => fromUs)),
    toUs: Math.max(...ranges.map(({ toUs }) => toUs)),
  };
}
