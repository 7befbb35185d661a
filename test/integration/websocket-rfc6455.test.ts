/**
 * RFC 6455 against /v1/live of a real server, byte by byte over raw TCP: what a client may send, what it must not, and
 * what the server must answer to both.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import type { HubMessage } from '#contract/live-messages.ts';
import { closeCodes } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import { openRaw, type RawConnection } from '#test/fuzz/sockets/raw-connection.ts';
import { encodeFrame, opcodes, type ClientFrame } from '#test/fuzz/sockets/wire-frames.ts';
import { startKymo, type KymoProcess } from '#test/support/kymo-process.ts';

const ANSWER_MS = 5_000;
/** The key of RFC 6455 section 1.3, and what it must be answered with. */
const SAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const SAMPLE_ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

let kymo: KymoProcess;
let accessKey: string;
let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kymo-rfc6455-'));
  kymo = await startKymo({ dataDir, port: 0 });
  accessKey = new URL(kymo.address).hash.replace('#key=', '');
});

afterAll(async () => {
  await kymo?.signal('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

const connections: RawConnection[] = [];
afterEach(() => connections.splice(0).forEach((connection) => connection.destroy()));

type Headers = Readonly<Record<string, string | null>>;

/** A connection that has sent a handshake; `headers` replace those of a right one, null leaves one out. */
function knock(headers: Headers = {}, line = 'GET /v1/live HTTP/1.1', behind = '') {
  const all: Headers = {
    Host: `127.0.0.1:${kymo.port}`,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': SAMPLE_KEY,
    'Sec-WebSocket-Version': '13',
    Authorization: `Bearer ${accessKey}`,
    ...headers,
  };
  const text = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]));
  const connection = openRaw(kymo.port);
  connections.push(connection);
  connection.send(Buffer.from(`${line}\r\n${text.join('\r\n')}\r\n\r\n${behind}`, 'latin1'));
  return connection;
}

async function answered(connection: RawConnection): Promise<RawConnection> {
  expect(await connection.until(() => connection.status !== null, ANSWER_MS)).toBe(true);
  return connection;
}

/** An open connection that has been welcomed. */
async function open() {
  const connection = await answered(knock());
  expect(connection.status).toBe(101);
  const messages = (): HubMessage[] =>
    connection.frames
      .filter(({ opcode }) => opcode === opcodes.text)
      .map(({ payload }) => JSON.parse(payload.toString()) as HubMessage);
  const saw = (type: HubMessage['type'], count = 1): Promise<boolean> =>
    connection.until(() => messages().filter((message) => message.type === type).length >= count, ANSWER_MS);
  expect(await saw('welcome')).toBe(true);
  return {
    connection,
    messages,
    saw,
    send: (...frames: readonly ClientFrame[]) => connection.send(Buffer.concat(frames.map(encodeFrame))),
    pongs: () => connection.frames.filter(({ opcode }) => opcode === opcodes.pong),
    /** The code of the close frame and its reason; null for an empty one. */
    async closed() {
      const isClose = ({ opcode }: { opcode: number }): boolean => opcode === opcodes.close;
      expect(await connection.until(() => connection.frames.some(isClose), ANSWER_MS)).toBe(true);
      const { payload } = connection.frames.find(isClose)!;
      return payload.length === 0
        ? null
        : { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() };
    },
    ended: () => connection.until(() => connection.isOver, ANSWER_MS),
  };
}

const text = (value: string | Uint8Array, more: Partial<ClientFrame> = {}): ClientFrame => ({
  opcode: opcodes.text,
  payload: Buffer.from(value as string),
  ...more,
});
const more = (value: string | Uint8Array, fin: boolean): ClientFrame => ({
  opcode: opcodes.continuation,
  payload: Buffer.from(value as string),
  fin,
});
const control = (opcode: number, payload: string | Uint8Array = ''): ClientFrame => ({
  opcode,
  payload: Buffer.from(payload as string),
});
const closeOf = (code: number, reason = ''): ClientFrame => {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return control(opcodes.close, payload);
};
const probe = (id: number): string => JSON.stringify({ type: 'probe', id, t0Us: id });

test('the handshake is answered with the hash of the key, the subprotocol, and no extension', async () => {
  const { head } = await answered(
    knock({
      'Sec-WebSocket-Protocol': `unknown, ${LIVE_SUBPROTOCOL}`,
      'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
    }),
  );
  const lines = head.split('\r\n');
  expect(lines[0]).toBe('http/1.1 101 switching protocols');
  expect(lines).toContain('upgrade: websocket');
  expect(lines).toContain('connection: upgrade');
  expect(lines).toContain(`sec-websocket-accept: ${SAMPLE_ACCEPT.toLowerCase()}`);
  expect(lines).toContain(`sec-websocket-protocol: ${LIVE_SUBPROTOCOL}`);
  expect(head).not.toContain('sec-websocket-extensions');
});

test('the subprotocol may be left out, and header names and tokens have any case', async () => {
  const { head, status } = await answered(knock({ Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' }));
  expect(status).toBe(101);
  expect(head).not.toContain('sec-websocket-protocol');
});

test.each(['12', '8', '0', '14', 'thirteen', ''])(
  'version "%s" is answered with 426 and the version that is spoken',
  async (version) => {
    const { status, head } = await answered(knock({ 'Sec-WebSocket-Version': version }));
    expect(status).toBe(426);
    expect(head).toContain('sec-websocket-version: 13');
  },
);

test.each([
  ['no key', { 'Sec-WebSocket-Key': null }],
  ['a key that is not 16 bytes', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }],
  ['a key that is no base64', { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }],
  ['another protocol to upgrade to', { Upgrade: 'h2c' }],
] as const)('a handshake with %s is refused with 400', async (_, headers) => {
  expect((await answered(knock(headers))).status).toBe(400);
});

test('a handshake without the right to it is refused before the socket opens', async () => {
  expect((await answered(knock({ Authorization: 'Bearer wrong' }))).status).toBe(401);
  expect((await answered(knock({ Origin: 'https://elsewhere.example' }))).status).toBe(403);
  expect((await answered(knock({}, 'POST /v1/live HTTP/1.1'))).status).toBe(405);
});

test('a first message that comes with the handshake is heard', async () => {
  const connection = await answered(knock({}, undefined, encodeFrame(text(probe(7))).toString('latin1')));
  const isAnswer = ({ payload }: { payload: Buffer }): boolean => payload.includes('"type":"probe"');
  expect(await connection.until(() => connection.frames.some(isAnswer), ANSWER_MS)).toBe(true);
});

test('what the server sends is whole, unmasked frames without reserved bits', async () => {
  const viewer = await open();
  viewer.send(text(probe(1)), control(opcodes.ping, 'x'));
  await viewer.saw('probe');
  expect(await viewer.connection.until(() => viewer.pongs().length === 1, ANSWER_MS)).toBe(true);
  for (const { fin, rsv, isMasked } of viewer.connection.frames)
    expect({ fin, rsv, isMasked }).toEqual({ fin: true, rsv: 0, isMasked: false });
});

test('a message in fragments, empty ones too, is one message; control frames between them are answered at once', async () => {
  const viewer = await open();
  const [begin, end] = [probe(1).slice(0, 9), probe(1).slice(9)];
  viewer.send(text(begin, { fin: false }), control(opcodes.ping, 'between'), more('', false));
  expect(await viewer.connection.until(() => viewer.pongs().length === 1, ANSWER_MS)).toBe(true);
  expect(viewer.pongs()[0]!.payload.toString()).toBe('between');
  expect(viewer.messages().some(({ type }) => type === 'probe')).toBe(false);
  viewer.send(control(opcodes.pong, 'unasked'), more(end, false), more('', true));
  expect(await viewer.saw('probe')).toBe(true);
});

test('a character may be cut between two fragments', async () => {
  const viewer = await open();
  const bytes = Buffer.from(JSON.stringify({ type: 'subscribe', id: 9, channel: 'größe/€/𝄞' }));
  for (let at = 0; at < bytes.length; at++)
    viewer.send({
      opcode: at === 0 ? opcodes.text : opcodes.continuation,
      fin: at === bytes.length - 1,
      payload: bytes.subarray(at, at + 1),
    });
  expect(await viewer.saw('error')).toBe(true);
  expect(viewer.messages().at(-1)).toMatchObject({ code: 'invalid-field', field: '/channel', id: 9 });
});

test('frames may come a byte at a time, or many at once', async () => {
  const viewer = await open();
  for (const byte of encodeFrame(text(probe(1)))) viewer.connection.send(Uint8Array.of(byte));
  viewer.send(...Array.from({ length: 50 }, (_, i) => text(probe(2 + i))));
  expect(await viewer.saw('probe', 51)).toBe(true);
  const ids = viewer.messages().flatMap((message) => (message.type === 'probe' ? [message.id] : []));
  expect(ids).toEqual(Array.from({ length: 51 }, (_, i) => 1 + i));
});

test.each([0, 1, 125])('a ping of %i bytes is answered with the same bytes', async (size) => {
  const viewer = await open();
  const payload = Buffer.alloc(size, 0xff);
  viewer.send(control(opcodes.ping, payload));
  expect(await viewer.connection.until(() => viewer.pongs().length === 1, ANSWER_MS)).toBe(true);
  expect(viewer.pongs()[0]!.payload.equals(payload)).toBe(true);
});

const invalidUtf8: readonly (readonly [string, readonly ClientFrame[]])[] = [
  ['a byte that never occurs', [text(Uint8Array.of(0x22, 0xff, 0x22))]],
  ['an overlong form', [text(Uint8Array.of(0xc0, 0xaf))]],
  ['half a surrogate', [text(Uint8Array.of(0xed, 0xa0, 0x80))]],
  ['beyond the last character', [text(Uint8Array.of(0xf4, 0x90, 0x80, 0x80))]],
  ['a character without its end', [text(Uint8Array.of(0xe2, 0x82))]],
  ['a character broken by a fragment', [text(Uint8Array.of(0xe2), { fin: false }), more('x', true)]],
];

test.each(invalidUtf8)('text that is no UTF-8 closes with 1007: %s', async (_, frames) => {
  const viewer = await open();
  viewer.send(...frames);
  expect(await viewer.closed()).toMatchObject({ code: 1007 });
  expect(await viewer.ended()).toBe(true);
});

const hello = probe(1);
const violations: readonly (readonly [string, readonly ClientFrame[]])[] = [
  ['a frame without a mask', [text(hello, { isMasked: false })]],
  ['the first reserved bit, which compression would use', [text(hello, { rsv: 4 })]],
  ['the second reserved bit', [text(hello, { rsv: 2 })]],
  ['the third reserved bit', [text(hello, { rsv: 1 })]],
  ['a reserved bit of a control frame', [{ ...control(opcodes.ping), rsv: 4 }]],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(
    (opcode) => [`reserved opcode ${opcode}`, [control(opcode, 'x')]] as const,
  ),
  ['a continuation of nothing', [more('x', true)]],
  ['a message within a message', [text('{', { fin: false }), text('}')]],
  ['a fragmented ping', [{ ...control(opcodes.ping), fin: false }]],
  ['a ping of 126 bytes', [control(opcodes.ping, Buffer.alloc(126))]],
  ['a pong of 126 bytes', [control(opcodes.pong, Buffer.alloc(126))]],
  ['a close of 126 bytes', [control(opcodes.close, Buffer.alloc(126, 3))]],
  ['a close of one byte', [control(opcodes.close, Uint8Array.of(3))]],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map(
    (code) => [`a close with code ${code}`, [closeOf(code)]] as const,
  ),
];

test.each(violations)('what no client may send closes with 1002: %s', async (_, frames) => {
  const viewer = await open();
  viewer.send(...frames);
  expect(await viewer.closed()).toMatchObject({ code: 1002 });
  expect(await viewer.ended()).toBe(true);
});

const tooLarge: readonly (readonly [string, readonly ClientFrame[]])[] = [
  ['one frame', [text(' '.repeat(limits.controlBytes + 1))]],
  ['a length that is only stated', [{ ...text('x'), length: 2n ** 40n }]],
  [
    'fragments that are too many together',
    [text(' '.repeat(limits.controlBytes), { fin: false }), more('x', true)],
  ],
];

test.each(tooLarge)('a message beyond 16 KiB closes with 1009: %s', async (_, frames) => {
  const viewer = await open();
  viewer.send(...frames);
  expect(await viewer.closed()).toMatchObject({ code: 1009 });
  expect(await viewer.ended()).toBe(true);
});

test('a message of just 16 KiB is read, and a binary one is refused; the connection lives', async () => {
  const viewer = await open();
  viewer.send(text(probe(1).padEnd(limits.controlBytes)));
  expect(await viewer.saw('probe')).toBe(true);
  viewer.send({ opcode: opcodes.binary, payload: Buffer.from(probe(2)) });
  expect(await viewer.saw('error')).toBe(true);
  expect(viewer.messages().at(-1)).toMatchObject({ code: 'malformed-message' });
  viewer.send(text(probe(3)));
  expect(await viewer.saw('probe', 2)).toBe(true);
});

test.each([1000, 1001, 1003, 1011, 3000, 4999])(
  'a close with %i is echoed, and the server ends first',
  async (code) => {
    const viewer = await open();
    viewer.send(closeOf(code, 'grüße'));
    expect(await viewer.closed()).toMatchObject({ code });
    expect(await viewer.ended()).toBe(true);
  },
);

test('a close without a code is answered with one, and nothing is heard after it', async () => {
  const viewer = await open();
  viewer.send(control(opcodes.close), text(probe(1)), control(opcodes.ping));
  expect(await viewer.closed()).toBe(null);
  expect(await viewer.ended()).toBe(true);
  expect(viewer.messages().some(({ type }) => type === 'probe')).toBe(false);
  expect(viewer.pongs()).toEqual([]);
});

test('a close between the fragments of a message is answered, and the message never heard', async () => {
  const viewer = await open();
  viewer.send(text(probe(1).slice(0, 5), { fin: false }), closeOf(1000));
  expect(await viewer.closed()).toMatchObject({ code: 1000 });
  expect(await viewer.ended()).toBe(true);
});

test('a close reason that is no UTF-8 closes with 1007', async () => {
  const viewer = await open();
  viewer.send(control(opcodes.close, Uint8Array.of(0x03, 0xe8, 0xff)));
  expect(await viewer.closed()).toMatchObject({ code: 1007 });
});

test('who only ends its side of the connection gets what it asked for, and then the end', async () => {
  const viewer = await open();
  viewer.send(text(probe(1)));
  viewer.connection.end();
  expect(await viewer.saw('probe')).toBe(true);
  expect(await viewer.ended()).toBe(true);
});

test('who is closed by the server and never answers the close is ended all the same', async () => {
  const viewer = await open();
  viewer.send(...Array.from({ length: 600 }, () => text('{"type":"heartbeat"}')));
  expect(await viewer.closed()).toEqual({ code: closeCodes.protocol, reason: 'protocol' });
  expect(await viewer.ended()).toBe(true);
});
