/**
 * Owns the geometry of a sweep: time runs left to right over a fixed window, again and again, as on a medical monitor.
 * Columns are pixels counted from time zero without end; a column's place is its number modulo the plot's width.
 * Nothing moves once drawn: only the columns at the head change, and a bar ahead of the head is kept empty.
 */

export interface Sweep {
  readonly windowMs: number;
  /** Columns of the plot. */
  readonly width: number;
  readonly msPerColumn: number;
  /** Empty columns ahead of the head. */
  readonly eraseColumns: number;
}

/** A stretch of one cycle: columns [from, to), drawn at x = from - origin. */
export interface SweepSpan {
  readonly from: number;
  readonly to: number;
  /** Column number of the left edge of this cycle. */
  readonly origin: number;
}

/** Wide enough to be seen as the place of now, narrow enough to hide little of the past. */
const ERASE_SHARE = 0.03;
const ERASE_MIN_COLUMNS = 8;

export function createSweep(windowMs: number, width: number): Sweep {
  const columns = Math.max(1, Math.floor(width));
  const erase = Math.max(ERASE_MIN_COLUMNS, Math.round(columns * ERASE_SHARE));
  return {
    windowMs,
    width: columns,
    msPerColumn: windowMs / columns,
    eraseColumns: Math.min(columns - 1, erase),
  };
}

export function columnOf(sweep: Sweep, timeMs: number): number {
  return Math.floor(timeMs / sweep.msPerColumn);
}

/** The time at the left edge of a column. */
export function timeOfColumn(sweep: Sweep, column: number): number {
  return column * sweep.msPerColumn;
}

/** The oldest column that is still on the screen while `head` is the newest. */
export function oldestColumn(sweep: Sweep, head: number): number {
  return head - (sweep.width - sweep.eraseColumns) + 1;
}

/** Columns [from, to) cut at the plot's right edge; more than a whole width is cut to the newest. */
export function spansOf(sweep: Sweep, from: number, to: number): SweepSpan[] {
  const { width } = sweep;
  const spans: SweepSpan[] = [];
  for (let at = Math.max(from, to - width); at < to;) {
    const origin = Math.floor(at / width) * width;
    const until = Math.min(to, origin + width);
    spans.push({ from: at, to: until, origin });
    at = until;
  }
  return spans;
}

/** Seconds between two lines of the time grid. */
export function gridSeconds(windowSeconds: number): number {
  return windowSeconds > 20 ? 5 : 1;
}

/** The head's speed changes by at most this share: 5 % cannot be seen, and makes up 50 ms in a second. */
const MAX_SPEED_CHANGE = 0.05;
/** An error is worked off over about this time. */
const CATCH_UP_MS = 400;
/** After a longer break (a hidden tab, a set clock) the head jumps instead of running after. */
const JUMP_MS = 1000;

/** The head after `elapsedMs`: it runs at constant speed towards `targetMs` and never back, unless it must jump. */
export function advanceHead(headMs: number, targetMs: number, elapsedMs: number): number {
  const error = targetMs - (headMs + elapsedMs);
  if (Math.abs(error) > JUMP_MS) return targetMs;
  const change = Math.max(-MAX_SPEED_CHANGE, Math.min(MAX_SPEED_CHANGE, error / CATCH_UP_MS));
  return headMs + elapsedMs * (1 + change);
}
