/** Owns how numbers and times read on a page: honest digits, a unit, a dash where there is nothing behind it. */

export const DASH = '–';
/** Between a number and its unit: they never part at the end of a line. */
const NARROW_SPACE = '\u202f';

const counts = new Intl.NumberFormat('en-GB');

/** 12,345 */
export function formatCount(value: number): string {
  return counts.format(value);
}

/** Milliseconds for people: 0.4 ms, 12 ms, 1.3 s; a dash for what was not measured. */
export function formatMs(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return DASH;
  const size = Math.abs(ms);
  // Under a tenth of a millisecond the clocks of two programs do not agree anyway.
  if (size < 0.05) return `0${NARROW_SPACE}ms`;
  if (size < 9.95) return `${ms.toFixed(1)}${NARROW_SPACE}ms`;
  if (size < 999.5) return `${Math.round(ms)}${NARROW_SPACE}ms`;
  return formatSeconds(ms / 1000);
}

/** Seconds for people: 0.3 s, 12 s, 4 min, 3 h. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)}${NARROW_SPACE}s`;
  if (seconds < 99.5) return `${Math.round(seconds)}${NARROW_SPACE}s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}${NARROW_SPACE}min`;
  return `${Math.round(seconds / 3600)}${NARROW_SPACE}h`;
}

/** Readings a second with the digits that a few seconds of counting can carry: 204.8, 25.0, 0.5. */
export function formatRate(perSecond: number | null): string {
  if (perSecond === null) return DASH;
  return `${perSecond >= 999.95 ? formatCount(Math.round(perSecond)) : perSecond.toFixed(1)}${NARROW_SPACE}/s`;
}

/** A value of an axis: three significant digits, never more than two decimals, a real minus sign. */
export function formatValue(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return DASH;
  const size = Math.abs(value);
  const text = size >= 99.95 ? size.toFixed(0) : size >= 9.995 ? size.toFixed(1) : size.toFixed(2);
  return value < 0 && Number(text) !== 0 ? `\u2212${text}` : text;
}

const pad = (value: number): string => String(value).padStart(2, '0');

/** Local time to the second, with the date unless it is today: `14:03:22`, `3 May 2026, 14:03:22`. */
export function formatLocal(instant: Date, now: Date): string {
  const time = `${pad(instant.getHours())}:${pad(instant.getMinutes())}:${pad(instant.getSeconds())}`;
  if (instant.toDateString() === now.toDateString()) return time;
  const date = instant.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
  return `${date}, ${time}`;
}

/** What hovering shows: `2026-05-03 12:03:22 UTC`. */
export function formatUtc(instant: Date): string {
  return `${instant.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

const bodyWords: Readonly<Record<string, string>> = { 'lower-back': 'Lower back' };

/** A segment's code as words: `left-foot` reads `Left foot`. */
export function formatSegment(segment: string): string {
  const known = bodyWords[segment];
  if (known !== undefined) return known;
  const words = segment.replaceAll(/[-_]+/g, ' ').trim();
  return words === '' ? segment : words[0]!.toUpperCase() + words.slice(1);
}

const unitSymbols: Readonly<Record<string, string>> = {
  'm/s2': 'm/s²',
  'm/s^2': 'm/s²',
  'deg/s': '°/s',
  deg: '°',
  degC: '°C',
  uT: 'µT',
  '1': '',
};

/** A unit as people write it: `m/s2` reads `m/s²`. */
export function formatUnit(unit: string): string {
  return unitSymbols[unit] ?? unit;
}
