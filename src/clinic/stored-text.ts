/** Owns which texts can be kept as they are: PostgreSQL has neither U+0000 nor half a surrogate pair. */

import { AppError } from '#base/errors.ts';

/** Throws AppError `invalid-field` with the JSON pointer of the first text in `value` that cannot be kept. */
export function refuseUnstorable(value: unknown, field = ''): void {
  if (typeof value === 'string') {
    if (value.isWellFormed() && !value.includes('\u0000')) return;
    throw new AppError('invalid-field', 'a text has a character that no text has', { field });
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) refuseUnstorable(inner, `${field}/${key}`);
}
