/**
 * Owns what the HTTP faces of channels have in common: names and patterns to channels, cursors to positions, and
 * refusals of the engine and the hub to failures with a code. No state.
 */

import { AppError } from '#base/errors.ts';
import type { Result } from '#base/result.ts';
import type { Principal } from '#contract/principal.ts';
import { decodeCursor, MAX_POSITIONS, type Cursor } from '#protocol/channel-cursor.ts';
import { errorCodes } from '#protocol/codes.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Channels } from '#live/channels.ts';

/** The names that these names and patterns stand for now, each once. Throws AppError when there are none or too many. */
export async function resolveChannels(
  channels: Channels,
  wanted: readonly string[],
  principal: Principal,
): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const one of wanted) {
    if (one.includes('*')) {
      const expanded = valueOf(await channels.expand(one, principal, MAX_POSITIONS));
      for (const { name } of expanded) names.add(name);
    } else if (channels.find(one) === null) throw notFound('there is no such channel');
    else names.add(one);
  }
  if (names.size === 0) throw notFound('no channel matches');
  if (names.size > MAX_POSITIONS)
    throw new AppError('limit-exceeded', `at most ${MAX_POSITIONS} channels at once`, { field: '/channel' });
  return [...names];
}

/** Null when there is none. Throws AppError `invalid-field` for what is no cursor of ours. */
export function readCursor(text: string | undefined, field: string): Cursor | null {
  if (text === undefined || text === '') return null;
  const cursor = decodeCursor(text);
  if (cursor === null)
    throw new AppError('invalid-field', `${field.slice(1)} is not a cursor of this server`, { field });
  return cursor;
}

/** The value, or the refusal thrown. */
export function valueOf<T>(result: Result<T, WireError>): T {
  if (result.ok) return result.value;
  throw refusal(result.error);
}

export function refusal({ code, message, field }: WireError): AppError {
  const { temporary } = errorCodes[code];
  return new AppError(code, message, { temporary, ...(field === undefined ? {} : { field }) });
}

function notFound(message: string): AppError {
  return new AppError('not-found', message, { field: '/channel' });
}
