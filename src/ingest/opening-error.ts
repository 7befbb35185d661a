/** Owns what a device hears when its stream could not be opened. */

import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { WireError } from '#protocol/data-codec.ts';

export const tooManyStreams: WireError = { code: 'overloaded', message: 'too many open streams' };

/** The connection that hears it is closed already. */
export const supersededOpening: WireError = {
  code: 'superseded',
  message: 'a newer connection of this device took over',
};

/** An operational failure as the device hears it: the code if it has one of ours, never an inner message. */
export function openingError(error: unknown, log: Log): WireError {
  if (error instanceof AppError && error.temporary)
    return { code: 'store-unavailable', message: 'the database cannot be reached now; try again' };
  log.error('a stream could not be opened', { error: messageOf(error) });
  return { code: 'internal', message: 'the stream could not be opened' };
}
