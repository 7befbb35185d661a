/**
 * Owns the grid of windows: pieces of device time of one length, counted from 1970, the same for every session. The length
 * is part of what is stored and never changes.
 */

/** Six to twelve strides of walking: enough for figures of a window, and few enough rows of a long session. */
export const WINDOW_US = 10_000_000;

/** Where the window begins that a device time is in. */
export function windowStartUs(timeUs: number): number {
  return Math.floor(timeUs / WINDOW_US) * WINDOW_US;
}
