/** Owns what a client is told of something that was thrown: a failure with a code as it is, anything else as `internal`, and logged. */

import { AppError } from '#base/errors.ts';
import { errorCodes, type ErrorCode } from '#protocol/codes.ts';
import type { WireError } from '#protocol/data-codec.ts';

export function wireErrorOf(thrown: unknown, onFailure: (cause: unknown) => void): WireError {
  if (thrown instanceof AppError && Object.hasOwn(errorCodes, thrown.code)) {
    const { code, message, field } = thrown;
    return { code: code as ErrorCode, message, ...(field === undefined ? {} : { field }) };
  }
  onFailure(thrown);
  return { code: 'internal', message: 'an unexpected failure; it was logged' };
}
