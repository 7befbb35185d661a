/** Owns times on a recording as people say them: minutes and seconds since its start. */

import { formatSinceStart } from '#web/review/time-ticks.ts';

/** `1:05.2` since the start, with tenths. */
export function sinceStart(timeUs: number, startUs: number): string {
  return formatSinceStart(timeUs - startUs, 1);
}

/** What somebody typed: `65`, `65.2`, `1:05`, `1:02:03.5`; in microseconds. Null for nothing, NaN for what is no time. */
export function offsetOf(text: string): number | null {
  const trimmed = text.trim().replace(',', '.');
  if (trimmed === '') return null;
  if (!/^(?:\d+:){0,2}\d+(?:\.\d+)?$/.test(trimmed)) return Number.NaN;
  const seconds = trimmed.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return Math.round(seconds * 1e6);
}
