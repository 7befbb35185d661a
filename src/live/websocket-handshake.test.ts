import type { IncomingMessage } from 'node:http';

import { expect, test } from 'vitest';

import { answerHandshake } from '#live/websocket-handshake.ts';

/** The handshake of RFC 6455 section 1.3. */
const example = {
  host: 'server.example.com',
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
};

function answer(headers: Record<string, string | undefined>, method = 'GET') {
  return answerHandshake(
    { method, headers: { ...example, ...headers } } as unknown as IncomingMessage,
    'talk.v1',
  );
}

test("the RFC's own example is answered as it says", () => {
  expect(answer({})).toEqual({
    isAccepted: true,
    answer:
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
  });
});

test('the subprotocol is chosen among those offered, and no extension is', () => {
  const offer = { 'sec-websocket-extensions': 'permessage-deflate' };
  const chosen = answer({ ...offer, 'sec-websocket-protocol': 'other, talk.v1' });
  expect(chosen).toMatchObject({
    answer: expect.stringContaining('Sec-WebSocket-Protocol: talk.v1\r\n\r\n'),
  });
  expect(chosen).not.toMatchObject({ answer: expect.stringMatching(/extensions/i) });
  expect(answer({ 'sec-websocket-protocol': 'other' })).toMatchObject({
    answer: expect.not.stringContaining('Sec-WebSocket-Protocol'),
  });
});

test('upper case in the name of the protocol is none of our concern', () => {
  expect(answer({ upgrade: 'WebSocket' }).isAccepted).toBe(true);
});

test.for<[string, Record<string, string | undefined>, string, number]>([
  ['another method', {}, 'POST', 405],
  ['another upgrade', { upgrade: 'h2c' }, 'GET', 400],
  ['no upgrade', { upgrade: undefined }, 'GET', 400],
  ['no key', { 'sec-websocket-key': undefined }, 'GET', 400],
  ['a key of the wrong length', { 'sec-websocket-key': 'c2hvcnQ=' }, 'GET', 400],
  ['another version', { 'sec-websocket-version': '8' }, 'GET', 426],
  ['no version', { 'sec-websocket-version': undefined }, 'GET', 426],
])('%s is refused', ([, headers, method, status]) => {
  expect(answer(headers, method)).toEqual({ isAccepted: false, status });
});
