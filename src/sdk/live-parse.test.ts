import { expect, test } from 'vitest';

import { hubMessageSchemas, type HubMessage } from '#contract/live-messages.ts';
import { HUB_TEXT_CHARACTERS, parseHubMessage } from '#sdk/live-parse.ts';

const position = { epoch: 'k3x9', offset: 5 };
const member = { id: 'k3.1', subject: 'ada', state: null };
const optional: Partial<Record<HubMessage['type'], readonly string[]>> = {
  error: ['id'],
  unsubscribed: ['id'],
  message: ['offset', 'by', 'skipped'],
  published: ['position', 'isDuplicate'],
  refreshed: ['expiresAtUs'],
};
const examples: HubMessage[] = [
  { type: 'welcome', serverUs: 1, heartbeatMs: 5000 },
  { type: 'subscribed', id: 1, channel: 'session/x/readings', number: 3, lossClass: 'live' },
  { type: 'unsubscribed', id: 1, channel: 'session/x/readings' },
  {
    type: 'committed',
    channel: 3,
    streams: [{ stream: 's', epoch: 'e', next: 4, ranges: [[6, 9]], lost: 0 }],
  },
  {
    type: 'message',
    channel: 'bench/a',
    offset: 5,
    timeUs: 1,
    event: 'message',
    data: null,
    by: 'ada',
    skipped: 2,
  },
  { type: 'reset', channel: 'bench/a', position },
  { type: 'published', id: 1, position, isDuplicate: true },
  { type: 'response', id: 1, data: [] },
  {
    type: 'history',
    id: 1,
    channel: 'bench/a',
    position,
    oldest: 1,
    messages: [{ offset: 5, timeUs: 1, event: 'message', data: 7 }],
  },
  { type: 'members', id: 1, channel: 'bench/a', count: 1, members: [member] },
  { type: 'presence', channel: 'bench/a', count: 1, entered: [member], left: ['k3.2'] },
  { type: 'stated', id: 1 },
  { type: 'refreshed', id: 1, expiresAtUs: 9 },
  { type: 'probe', id: 1, t0Us: 1, t1Us: 2, t2Us: 3 },
  { type: 'error', code: 'forbidden', message: 'no', id: 4 },
  { type: 'heartbeat' },
  { type: 'bye', afterMs: 10 },
];

test('every message of the contract is known here', () => {
  expect(new Set(examples.map((example) => example.type))).toEqual(new Set(Object.keys(hubMessageSchemas)));
  for (const example of examples)
    expect(parseHubMessage(JSON.stringify(example))).toEqual({ ok: true, value: example });
});

test('a message without one of its fields is refused', () => {
  for (const example of examples)
    for (const field of Object.keys(example)) {
      if (field === 'type' || optional[example.type]?.includes(field) === true) continue;
      const broken = { ...example, [field]: undefined };
      expect(parseHubMessage(JSON.stringify(broken)), `${example.type} without ${field}`).toMatchObject({
        ok: false,
        error: { code: 'invalid-field' },
      });
    }
});

test('a type of a newer server is ignored, not refused', () => {
  expect(parseHubMessage('{"type":"weather","degrees":3}')).toEqual({ ok: true, value: null });
});

test('what is not a message is refused with a code', () => {
  for (const text of ['', '{', '[]', 'null', '7', '{"typ":"welcome"}'])
    expect(parseHubMessage(text)).toMatchObject({ ok: false, error: { code: 'malformed-message' } });
});

test('a text over the limit is refused unparsed', () => {
  const text = `{"type":"heartbeat","x":"${'y'.repeat(HUB_TEXT_CHARACTERS)}"}`;
  expect(parseHubMessage(text)).toMatchObject({ ok: false, error: { code: 'message-too-large' } });
});

test('names of object prototypes are not types', () => {
  expect(parseHubMessage('{"type":"constructor"}')).toEqual({ ok: true, value: null });
});
