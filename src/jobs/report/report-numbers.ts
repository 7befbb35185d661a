/** Owns how numbers and times of a report are written: honest digits, a real minus, units, dates in the report's time zone. */

import type { ReportFigure } from '#contract/report.ts';

export const DASH = '–';

/** With a dash for a minus, and none before zero. */
export function fixed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `${DASH}${text}` : text;
}

/** As many digits as its number; what would read as none is less than the last of them. */
export function errorText(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 && value > 0 ? `± < ${(10 ** -digits).toFixed(digits)}` : `± ${text}`;
}

/** `1.31 ± 0.07`: value and standard deviation; a dash where it is not known. */
export function figureText(figure: ReportFigure | null, digits: number): string {
  if (figure === null || figure.value === null) return DASH;
  const value = fixed(figure.value, digits);
  return figure.spread === null ? value : `${value} ${errorText(figure.spread, digits)}`;
}

const units: Readonly<Record<string, string>> = { '1': '', deg: '°', '% of stride': '% of stride' };

export function unitText(unit: string): string {
  return units[unit] ?? unit;
}

export function countText(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+(?!\d))/g, '\u00a0');
}

export function shareText(part: number, whole: number): string {
  if (whole === 0) return DASH;
  const percent = (100 * part) / whole;
  return percent > 0 && percent < 0.1 ? '< 0.1 %' : `${percent.toFixed(1)} %`;
}

export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${rest} s` : `${rest} s`;
}

/** `22 Nov 2026`. */
export function dateText(iso: string, timeZone: string): string {
  return format(iso, { timeZone, day: 'numeric', month: 'short', year: 'numeric' });
}

/** `22 Nov 2026, 18:05 (Europe/Berlin)`. */
export function momentText(iso: string, timeZone: string): string {
  const time = format(iso, { timeZone, hour: '2-digit', minute: '2-digit', hour12: false });
  return `${dateText(iso, timeZone)}, ${time} (${timeZone})`;
}

/** `Nov 26`, for under a tick. */
export function monthText(iso: string, timeZone: string): string {
  return format(iso, { timeZone, day: 'numeric', month: 'short' });
}

function format(iso: string, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat('en-GB', options).format(new Date(iso));
}
