/**
 * Owns the light check of what the live endpoint sends as text: enough to trust the types within, without a schema
 * library in the browser. Unknown types and fields are ignored, so that a newer server may say more.
 */

import { fail, ok, type Result } from '#base/result.ts';
import type { HubMessage, Progress } from '#contract/live-messages.ts';
import type { WireError } from '#protocol/data-codec.ts';

/** A `committed` of 256 streams with 32 ranges each stays below this; a longer text is refused unparsed. */
export const HUB_TEXT_CHARACTERS = 1024 * 1024;

/** The message, or null when its type is not known here. */
export function parseHubMessage(text: string): Result<HubMessage | null, WireError> {
  if (text.length > HUB_TEXT_CHARACTERS)
    return fail({ code: 'message-too-large', message: 'a text of the live endpoint is at most 1 MiB' });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail({ code: 'malformed-message', message: 'not JSON' });
  }
  if (!isRecord(value) || !isText(value['type']))
    return fail({ code: 'malformed-message', message: 'a message is a JSON object with a type' });
  const type = value['type'];
  if (!Object.hasOwn(checks, type)) return ok(null);
  if (!checks[type as HubMessage['type']](value))
    return fail({ code: 'invalid-field', message: `${type}: a field is missing or has a wrong type` });
  return ok(value as HubMessage);
}

type Fields = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isInteger = (value: unknown): value is number => Number.isSafeInteger(value);
const isText = (value: unknown): value is string => typeof value === 'string';

const checks: Readonly<Record<HubMessage['type'], (message: Fields) => boolean>> = {
  welcome: (m) => isInteger(m['serverUs']) && isInteger(m['heartbeatMs']) && m['heartbeatMs'] > 0,
  subscribed: (m) =>
    isInteger(m['id']) &&
    isText(m['channel']) &&
    isInteger(m['number']) &&
    isText(m['lossClass']) &&
    (m['position'] === undefined || isPosition(m['position'])),
  unsubscribed: (m) => (m['id'] === undefined || isInteger(m['id'])) && isText(m['channel']),
  message: (m) =>
    isText(m['channel']) &&
    isInteger(m['timeUs']) &&
    isText(m['event']) &&
    m['data'] !== undefined &&
    (m['offset'] === undefined || isInteger(m['offset'])),
  reset: (m) => isText(m['channel']) && isPosition(m['position']),
  published: (m) => isInteger(m['id']) && (m['position'] === undefined || isPosition(m['position'])),
  response: (m) => isInteger(m['id']) && m['data'] !== undefined,
  history: (m) =>
    isInteger(m['id']) &&
    isText(m['channel']) &&
    isPosition(m['position']) &&
    isInteger(m['oldest']) &&
    Array.isArray(m['messages']),
  members: (m) =>
    isInteger(m['id']) && isText(m['channel']) && isInteger(m['count']) && Array.isArray(m['members']),
  presence: (m) =>
    isText(m['channel']) && isInteger(m['count']) && Array.isArray(m['entered']) && Array.isArray(m['left']),
  stated: (m) => isInteger(m['id']),
  refreshed: (m) => isInteger(m['id']),
  committed: (m) => isInteger(m['channel']) && Array.isArray(m['streams']) && m['streams'].every(isProgress),
  probe: (m) => isInteger(m['id']) && isInteger(m['t0Us']) && isInteger(m['t1Us']) && isInteger(m['t2Us']),
  error: (m) => isText(m['code']) && isText(m['message']) && (m['id'] === undefined || isInteger(m['id'])),
  heartbeat: () => true,
  bye: (m) => isInteger(m['afterMs']) && m['afterMs'] >= 0,
};

function isPosition(value: unknown): boolean {
  return isRecord(value) && isText(value['epoch']) && isInteger(value['offset']) && value['offset'] >= 0;
}

function isProgress(value: unknown): value is Progress {
  return (
    isRecord(value) &&
    isText(value['stream']) &&
    isText(value['epoch']) &&
    isInteger(value['next']) &&
    isInteger(value['lost']) &&
    Array.isArray(value['ranges']) &&
    value['ranges'].every(
      (range) => Array.isArray(range) && range.length === 2 && range.every((bound) => isInteger(bound)),
    )
  );
}
