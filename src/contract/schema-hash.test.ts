/** The guard of the wire format: it cannot change without someone deciding whether old peers still understand it. */

import { createHash } from 'node:crypto';

import { expect, test } from 'vitest';

import { hubMessageSchemas, viewerMessageSchemas } from '#contract/live-messages.ts';
import { closeCodes, errorCodes } from '#protocol/codes.ts';
import { DATA_KIND, FRAME_HEADER_BYTES } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import { LIVE_HEADER_BYTES, LIVE_KIND } from '#protocol/live-codec.ts';
import { deviceMessageSchemas, serverMessageSchemas } from '#protocol/messages.ts';
import { DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL, PROTOCOL_VERSION } from '#protocol/version.ts';

/** What was agreed on. The layout of binary messages is held by the test vectors beside it. */
const recordedHash = 'e0475d4ad59ebbc4';

const decision = `The wire format has changed.
If a peer that was built before would misunderstand it: raise PROTOCOL_VERSION and the subprotocol names, and keep
serving the old version as long as docs/protocol.md ("Versions") promises.
If it is a compatible addition (a new message to peers that ignore unknown types, a new optional field, a new code):
describe it in docs/protocol.md, add test vectors, and record the new hash in this file.`;

/** Everything with its keys in order and without descriptions, which are for people. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([key]) => key !== 'description')
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, canonical(inner)]));
}

test('the wire format is the one that was agreed on', () => {
  const format = {
    version: PROTOCOL_VERSION,
    subprotocols: [DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL],
    messages: [deviceMessageSchemas, serverMessageSchemas, viewerMessageSchemas, hubMessageSchemas],
    limits,
    closeCodes,
    errorCodes: Object.entries(errorCodes).map(([code, { temporary }]) => [code, temporary]),
    layout: { DATA_KIND, FRAME_HEADER_BYTES, LIVE_KIND, LIVE_HEADER_BYTES },
  };
  const hash = createHash('sha256')
    .update(JSON.stringify(canonical(JSON.parse(JSON.stringify(format)))))
    .digest('hex')
    .slice(0, 16);
  expect(hash === recordedHash ? 'as agreed' : `${decision}\nThe new hash is ${hash}.`).toBe('as agreed');
});
