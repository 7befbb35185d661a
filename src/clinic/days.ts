/** Owns which days there are: what a pattern cannot say, such as the 30th of February or an end before its beginning. */

import { AppError } from '#base/errors.ts';

/** Throws AppError `invalid-field` with the field of the first that is no day, or comes before the one that stands before it. */
export function refuseNoDays(days: Readonly<Record<string, string | null | undefined>>): void {
  let before = '';
  for (const [field, day] of Object.entries(days)) {
    if (day === null || day === undefined) continue;
    if (!isDay(day)) throw new AppError('invalid-field', 'there is no such day', { field: `/${field}` });
    if (day < before)
      throw new AppError('invalid-field', 'an end comes before its beginning', { field: `/${field}` });
    before = day;
  }
}

/** Of text of the form 2026-01-31. */
export function isDay(day: string): boolean {
  const time = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day);
}
