/** Owns the marks of the time axis: where they are, and how a moment reads as time of day and as time since the start. */

/** Steps that people read at once, in microseconds: 1, 2, 5 of each decade below a second, then of clock and calendar. */
const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const steps: readonly number[] = [
  ...[1, 10, 100, 1_000, 10_000, 100_000].flatMap((unit) => [unit, 2 * unit, 5 * unit]),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000].map((n) => n * DAY),
];

/** The smallest step that is at least `leastUs`. */
export function tickStep(leastUs: number): number {
  return steps.find((step) => step >= leastUs) ?? steps.at(-1)!;
}

/** Whole multiples of `stepUs` from `zeroUs` within [fromUs, toUs], at most `MAX_TICKS`. */
export function ticksIn(range: { fromUs: number; toUs: number }, stepUs: number, zeroUs: number): number[] {
  const first = Math.ceil((range.fromUs - zeroUs) / stepUs);
  const last = Math.min(first + MAX_TICKS - 1, Math.floor((range.toUs - zeroUs) / stepUs));
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => zeroUs + (first + i) * stepUs);
}

/** A mark every 40 pixels of the widest screen. */
const MAX_TICKS = 256;

/** Digits after the second that tell moments `stepUs` apart. */
export function secondDigits(stepUs: number): number {
  if (stepUs >= SECOND) return 0;
  return Math.min(6, Math.ceil(-Math.log10(stepUs / SECOND) - 1e-9));
}

const pad = (value: number, digits = 2): string => String(value).padStart(digits, '0');

/** `0:00`, `1:05.250`, `2:03:04`, `3 d 02:00:00`; a real minus sign before the start. */
export function formatSinceStart(us: number, digits: number): string {
  const unit = 10 ** (6 - digits);
  // Rounded once, as a whole: 59.9996 s is not 60 s of the minute before.
  const rounded = Math.round(Math.abs(us) / unit) * unit;
  const sign = us < 0 && rounded > 0 ? '\u2212' : '';
  const days = Math.floor(rounded / DAY);
  const hours = Math.floor((rounded % DAY) / HOUR);
  const minutes = Math.floor((rounded % HOUR) / MINUTE);
  const seconds = Math.floor((rounded % MINUTE) / SECOND);
  const clock =
    rounded >= HOUR
      ? `${days > 0 ? pad(hours) : hours}:${pad(minutes)}:${pad(seconds)}`
      : `${minutes}:${pad(seconds)}`;
  return `${sign}${days > 0 ? `${days} d ` : ''}${clock}${fraction(rounded, digits)}`;
}

function fraction(us: number, digits: number): string {
  if (digits === 0) return '';
  return `.${pad(Math.round(us) % SECOND, 6).slice(0, digits)}`;
}

/** Local time of day: `14:03:22.250`. */
export function formatTimeOfDay(us: number, digits: number): string {
  const unit = 10 ** (6 - digits);
  const rounded = Math.round(us / unit) * unit;
  const date = new Date(Math.floor(rounded / 1000));
  const below = ((rounded % SECOND) + SECOND) % SECOND;
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}${fraction(below, digits)}`;
}

/** `3 May 2026` */
export function formatDate(us: number): string {
  return new Date(us / 1000).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
}

/** Local midnight's offset, so that marks of a clock fall on whole hours of the local day. */
export function localZeroUs(us: number): number {
  return new Date(us / 1000).getTimezoneOffset() * MINUTE;
}

/** How long, for people: `0.25 s`, `38.7 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`. */
export function formatSpan(us: number): string {
  const space = '\u202f';
  if (us < 1_000) return `${trim(us, 0)}${space}\u00b5s`;
  if (us < SECOND) return `${trim(us / 1_000, us < 10_000 ? 2 : us < 100_000 ? 1 : 0)}${space}ms`;
  if (us < 10 * SECOND) return `${trim(us / SECOND, 2)}${space}s`;
  if (us < MINUTE) return `${trim(us / SECOND, 1)}${space}s`;
  const [big, bigName, small, smallName] =
    us < HOUR - SECOND / 2
      ? ([MINUTE, 'min', SECOND, 's'] as const)
      : us < DAY - MINUTE / 2
        ? ([HOUR, 'h', MINUTE, 'min'] as const)
        : ([DAY, 'd', HOUR, 'h'] as const);
  const total = Math.round(us / small);
  const perBig = big / small;
  const rest = total % perBig;
  const whole = `${Math.floor(total / perBig)}${space}${bigName}`;
  return rest === 0 ? whole : `${whole} ${rest}${space}${smallName}`;
}

function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}
