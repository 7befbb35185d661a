/** Owns handshakes and requests as bytes: one that is right, and ones with something wrong, doubled, missing or huge. */

import { DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { bomb, hostileString } from '#test/fuzz/hostile-json.ts';

export type Endpoint = '/v1/device' | '/v1/live';

/** What a well-behaved client sends, with a key or without. */
export function handshake(path: string, key: string | null, extra: readonly string[] = []): string {
  const protocol = path.startsWith('/v1/live') ? LIVE_SUBPROTOCOL : DEVICE_SUBPROTOCOL;
  return request(`GET ${path} HTTP/1.1`, [
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Protocol: ${protocol}`,
    ...(key === null ? [] : [`Authorization: Bearer ${key}`]),
    ...extra,
  ]);
}

function request(line: string, headers: readonly string[]): string {
  return `${line}\r\n${headers.join('\r\n')}\r\n\r\n`;
}

const wrongHeaders: readonly string[] = [
  'Sec-WebSocket-Key: short',
  'Sec-WebSocket-Key:',
  'Sec-WebSocket-Version: 12',
  'Sec-WebSocket-Version: 99999999999999999999',
  'Sec-WebSocket-Protocol: nobody.speaks.this',
  `Sec-WebSocket-Protocol: ${',a'.repeat(300)}`,
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99',
  'Sec-WebSocket-Extensions: ;;;',
  'Upgrade: h2c',
  'Upgrade: websocket, websocket',
  'Connection: keep-alive',
  'Connection: close',
  'Transfer-Encoding: chunked',
  'Content-Length: 5',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  'Expect: 100-continue',
  'Host: evil.example',
  'Host:',
  'Authorization: Bearer ',
  'Authorization: Bearer \u00ff\u00fe',
  'Authorization: Basic Og==',
  'X-Forwarded-For: 198.51.100.1, ::1, nonsense',
  'Cookie: a=b; a=b; __proto__=1',
  'Origin: null',
  ': empty name',
  'no colon at all',
  ' folded: line',
  `X-Long: ${'x'.repeat(20_000)}`,
];

const paths: readonly string[] = [
  '/v1/device',
  '/v1/device',
  '/v1/live',
  '/v1/device?ticket=wrong',
  '/v1/live?ticket=',
  '/v1/device?ticket=a&ticket=b',
  '/v1/device/',
  '/v1/other',
  '//',
  '*',
  'http://[',
  '/v1/device%00',
  '/v1/../v1/device',
  `/${'a'.repeat(5_000)}`,
];

/** Something like a handshake. `keys` are valid ones. */
export function hostileHandshake(chance: Chance, keys: readonly string[]): string {
  const path = chance.among(paths);
  const key = chance.is(0.3) ? chance.among(keys) : chance.is(0.02) ? 'wrong-key' : null;
  const text = handshake(path, key);
  const lines = text.split('\r\n');
  for (let edits = chance.below(3); edits > 0; edits--) {
    const at = 1 + chance.below(lines.length - 2);
    const draw = chance.below(6);
    if (draw === 0) lines.splice(at, 1);
    else if (draw === 1) lines.splice(at, 0, chance.among(wrongHeaders));
    else if (draw === 2) lines[at] = chance.among(wrongHeaders);
    else if (draw === 3) lines.splice(at, 0, ...Array.from({ length: 300 }, (_, i) => `X-${i}: y`));
    else if (draw === 4) lines[at] = lines[at]!.toLowerCase();
    else
      lines[0] =
        chance.among(['GET', 'POST', 'CONNECT', 'PRI', 'get', '\u0000']) +
        ` ${path} HTTP/${chance.among(['1.0', '1.1', '2.0', '9'])}`;
  }
  const made = lines.join('\r\n');
  return chance.is(0.1) ? made.slice(0, chance.below(made.length)) : made;
}

/** A request with a body that is no readings, or a length that is no length. */
export function hostileRequest(chance: Chance, keys: readonly string[]): string {
  const body = chance.is(0.5)
    ? bomb(chance)
    : JSON.stringify({ segment: hostileString(chance), readings: [{ values: { x: 1 } }] });
  const length = chance.among([
    String(Buffer.byteLength(body)),
    String(Buffer.byteLength(body)),
    '0',
    '10',
    '-1',
    '1e9',
  ]);
  const type = chance.among([
    'application/json',
    'application/json; charset=utf-8',
    'text/plain',
    'multipart/form-data',
    '',
  ]);
  const method = chance.among(['POST', 'POST', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']);
  const path = chance.among([
    '/v1/readings',
    '/v1/tickets',
    '/v1/sessions',
    '/v1/sign-in',
    '/openapi.json',
    '/%ff',
    '/..%2f..%2fetc',
  ]);
  return (
    request(`${method} ${path} HTTP/1.1`, [
      'Host: 127.0.0.1',
      'Connection: close',
      `Content-Type: ${type}`,
      chance.is(0.9) ? `Content-Length: ${length}` : 'Transfer-Encoding: chunked',
      ...(chance.is(0.7) ? [`Authorization: Bearer ${chance.among(keys)}`] : []),
    ]) + body
  );
}
