/** Owns days of the calendar on a page: as a form takes them, in the time zone of the person, and as they read. */

/** `YYYY-MM-DD`, in the time zone of the person. */
export function dayOf(instant: Date): string {
  return new Date(instant.getTime() - instant.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

export function today(): string {
  return dayOf(new Date());
}

/** The `count` days up to `last`, oldest first. */
export function daysUpTo(last: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const day = noonOf(last);
    day.setUTCDate(day.getUTCDate() - (count - 1 - i));
    return day.toISOString().slice(0, 10);
  });
}

/** `22 Nov 2026`. */
export function dayWords(day: string): string {
  return noonOf(day).toLocaleDateString('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    timeZone: 'UTC',
  });
}

/** `Sunday 22 November`, for who hears it. */
export function spokenDay(day: string): string {
  return noonOf(day).toLocaleDateString('en-GB', {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    timeZone: 'UTC',
  });
}

/** `Sun`, above its date. */
export function weekdayOf(day: string): string {
  return noonOf(day).toLocaleDateString('en-GB', { weekday: 'short', timeZone: 'UTC' });
}

/** Far from midnight: no time zone makes another day of it. */
function noonOf(day: string): Date {
  return new Date(`${day}T12:00:00Z`);
}
