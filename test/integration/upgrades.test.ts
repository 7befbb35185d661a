/** The WebSocket handshakes on real sockets: who gets in, who does not, and how much a stranger can hold. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';

import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { createAddressOf } from '#app/client-address.ts';
import { domains } from '#api/roles.ts';
import { answerUpgrades } from '#app/upgrades.ts';
import { systemClock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { ok } from '#base/result.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { Principal } from '#contract/principal.ts';
import type { Identity } from '#identity/identity.ts';
import { createTickets } from '#identity/tickets.ts';
import { createGateway, defaultGatewayConfig, type GatewayConfig } from '#ingest/gateway.ts';
import { closeCodes } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import type { ServerMessage } from '#protocol/messages.ts';
import { DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import { streamHandle } from '#test/support/frames.ts';
import { testPrincipal } from '#test/support/principals.ts';

const INCARNATION = '00000000-0000-4000-8000-000000000000';
const device = { deviceId: 'd1', orgId: 'o1' };
const viewer = testPrincipal();
const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

async function start(options: { proxies?: string; gateway?: Partial<GatewayConfig> } = {}) {
  const tickets = createTickets(systemClock);
  const asked: string[] = [];
  const attached: (Principal | null)[] = [];
  const state = { isDown: false, delay: Promise.resolve() };
  const find = async (kind: string, key: string, address?: string | null): Promise<boolean> => {
    asked.push(`${kind} ${key} ${String(address)}`);
    await state.delay;
    if (state.isDown) throw new AppError('store-unavailable', 'down', { temporary: true });
    return key === 'good';
  };
  const identity: Identity = {
    ...tickets,
    authenticateDevice: async (key, address) => ((await find('device', key, address)) ? device : null),
    authenticateAccess: async () => null,
    nextGeneration: async () => null,
    incarnation: async () => INCARNATION,
    forget: () => undefined,
    counters: { lookups: 0, failures: 0, refused: 0 },
  };
  let generation = 0;
  const gateway = createGateway({
    backend: {
      authenticate: (key, address) => identity.authenticateDevice(key, address),
      greet: async (known) => ({
        identity: known,
        generation: ++generation,
        incarnation: INCARNATION,
      }),
      openStream: async (_, { definition, epoch }) =>
        ok({ handle: streamHandle('x', definition, epoch), progress: { committed: [], lost: [] } }),
      incarnation: async () => INCARNATION,
      checksumOf: async () => null,
      isErased: async () => false,
      endStream: async () => undefined,
      recordClock: () => undefined,
    },
    store: { due: () => undefined, renew: () => undefined },
    bus: createMemoryBus(),
    clock: systemClock,
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    random: Math.random,
    config: { ...defaultGatewayConfig, ...options.gateway },
  });
  const server = createServer((_, response) => response.end('plain'));
  const refuseAll = answerUpgrades(server, {
    identity,
    principals: {
      authenticate: async (key, address) => ((await find('access', key, address)) ? viewer : null),
      authenticateSignIn: async () => null,
      channelGrant: async () => null,
    },
    gateway,
    overload: { served: 'all', counters: { people: 0, devices: 0 }, lateMs: 0, shed() {}, stop() {} },
    origins: { allowed: new Set(['https://app.example']), isSecure: false },
    hub: {
      attach({ socket }, who) {
        attached.push(who);
        socket.on('error', () => undefined).on('end', () => socket.end());
        socket.resume();
        socket.write(Buffer.from('\x81\x03hub', 'latin1'));
      },
    },
    refusalOf: () => null,
    roles: { own: new Set(domains), urls: new Map() },
    addressOf: createAddressOf(options.proxies ?? null),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  cleanUps.push(async () => {
    gateway.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port, server, state, asked, attached, tickets, gateway, refuseAll };
}

type Started = Awaited<ReturnType<typeof start>>;

/** An open socket, what it hears, and how it closes; or the status that refused it. */
async function open(
  { port }: Started,
  path: string,
  {
    headers = {},
    protocol = DEVICE_SUBPROTOCOL,
  }: { headers?: Record<string, string>; protocol?: string } = {},
) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocol, { headers });
  cleanUps.push(() => socket.terminate());
  const heard: ServerMessage[] = [];
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.on('message', (data: Buffer) => {
    const text = data.toString();
    if (text.startsWith('{')) heard.push(JSON.parse(text) as ServerMessage);
  });
  const status = await new Promise<number>((resolve) => {
    socket.once('open', () => resolve(101));
    socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
    socket.once('error', () => resolve(0));
  });
  return { socket, status, heard, closed, say: (message: object) => socket.send(JSON.stringify(message)) };
}

/** Waits, turn by turn, until something is true; the test's own time-out is the limit. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

const hello = { type: 'hello', version: 1, agent: 'test' };
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

test('a key in the header is known before the socket opens; the scheme is case-insensitive', async () => {
  const it = await start();
  const one = await open(it, '/v1/device', { headers: { authorization: 'bearer good' } });
  expect(one.status).toBe(101);
  expect(one.socket.protocol).toBe(DEVICE_SUBPROTOCOL);
  one.say(hello);
  await until(() => one.heard.length > 0);
  expect(one.heard[0]).toMatchObject({ type: 'welcome' });
  expect(it.asked).toEqual(['device good 127.0.0.1']);
});

test('a wrong key in the header is refused before the socket opens', async () => {
  const it = await start();
  expect((await open(it, '/v1/device', { headers: bearer('bad') })).status).toBe(401);
  expect((await open(it, '/v1/live', { headers: bearer('bad'), protocol: LIVE_SUBPROTOCOL })).status).toBe(
    401,
  );
  expect(it.gateway.statistics.connections).toBe(0);
});

test('a device may say its key in hello, and its failure counts for its address', async () => {
  const it = await start();
  const one = await open(it, '/v1/device');
  one.say({ ...hello, key: 'bad' });
  expect(await one.closed).toBe(closeCodes.unauthenticated);
  expect(it.asked).toEqual(['device bad 127.0.0.1']);
});

test('a ticket opens one socket of its kind, once', async () => {
  const it = await start();
  const { ticket } = await it.tickets.issueTicket({ purpose: 'device', identity: device });
  const one = await open(it, `/v1/device?ticket=${ticket}`);
  one.say(hello);
  await until(() => one.heard.length > 0);
  expect(one.heard[0]).toMatchObject({ type: 'welcome' });
  expect((await open(it, `/v1/device?ticket=${ticket}`)).status).toBe(401);
  const { ticket: live } = await it.tickets.issueTicket({ purpose: 'live', identity: viewer });
  expect((await open(it, `/v1/device?ticket=${live}`)).status).toBe(401);
  // Used up by the wrong try.
  expect((await open(it, `/v1/live?ticket=${live}`, { protocol: LIVE_SUBPROTOCOL })).status).toBe(401);
});

test('a page of a foreign origin is refused, with a good key too; the own and a listed one are let in', async () => {
  const it = await start();
  const status = async (origin: string) =>
    (
      await open(it, '/v1/live', {
        protocol: LIVE_SUBPROTOCOL,
        headers: { authorization: 'Bearer good', origin },
      })
    ).status;
  expect(await status('https://evil.example')).toBe(403);
  expect(await status('null')).toBe(403);
  expect(await status('https://app.example')).toBe(101);
  expect(await status(`http://127.0.0.1:${it.port}`)).toBe(101);
});

test('a viewer shows a key or a ticket, or says in its hello who it is', async () => {
  const it = await start();
  expect((await open(it, '/v1/live', { protocol: LIVE_SUBPROTOCOL, headers: bearer('good') })).status).toBe(
    101,
  );
  expect((await open(it, '/v1/live', { protocol: LIVE_SUBPROTOCOL })).status).toBe(101);
  expect(it.attached).toEqual([viewer, null]);
});

test('a long-lived key in the address is no key', async () => {
  const it = await start();
  await open(it, '/v1/live?key=good&access_token=good', { protocol: LIVE_SUBPROTOCOL });
  expect(it.asked).toEqual([]);
  expect(it.attached).toEqual([null]);
});

test.each(['/v1/other', '/', '/v1/device/', '/v1/devices'])('there is no endpoint %s', async (path) => {
  expect((await open(await start(), path)).status).toBe(404);
});

/** The first line of the answer to raw bytes. */
async function raw({ port }: Started, text: string): Promise<string> {
  const socket: Socket = connectTcp(port, '127.0.0.1');
  cleanUps.push(() => socket.destroy());
  socket.write(text);
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  return bytes.toString().split('\r\n')[0]!;
}

test('an address that is none, and a handshake that is none, are refused and harm nobody', async () => {
  const it = await start();
  const rest = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
  expect(await raw(it, `GET // HTTP/1.1\r\n${rest}\r\n`)).toBe('HTTP/1.1 404 Not Found');
  expect(await raw(it, `GET /v1/device HTTP/1.1\r\n${rest}Sec-WebSocket-Version: 13\r\n\r\n`)).toBe(
    'HTTP/1.1 400 Bad Request',
  );
  expect((await open(it, '/v1/device')).status).toBe(101);
});

// Nobody read the socket any more, so its end was never heard: each such handshake cost a descriptor for ever.
test('a refused handshake is let go of, also when its client stays, or goes on talking and then leaves', async () => {
  const it = await start();
  const connections = (): Promise<number> =>
    new Promise((resolve) => it.server.getConnections((_, count) => resolve(count)));
  const request = 'GET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  for (const isLeaving of [false, true]) {
    const socket = connectTcp({ port: it.port, host: '127.0.0.1', allowHalfOpen: true });
    cleanUps.push(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.write(request);
    await once(socket, 'data');
    socket.write('more');
    if (isLeaving) socket.end();
  }
  await expect.poll(connections).toBe(0);
});

test('a database that is away is answered with "later", not with "unknown"', async () => {
  const it = await start();
  it.state.isDown = true;
  expect((await open(it, '/v1/device', { headers: bearer('good') })).status).toBe(503);
  const one = await open(it, '/v1/device');
  one.say({ ...hello, key: 'good' });
  expect(await one.closed).toBe(closeCodes.overloaded);
});

test('a client that leaves while its key is looked up leaves nothing behind', async () => {
  const it = await start();
  const answer = Promise.withResolvers<void>();
  it.state.delay = answer.promise;
  const socket = new WebSocket(`ws://127.0.0.1:${it.port}/v1/device`, DEVICE_SUBPROTOCOL, {
    headers: bearer('good'),
  });
  socket.on('error', () => undefined);
  await until(() => it.asked.length === 1);
  socket.terminate();
  answer.resolve();
  expect((await open(it, '/v1/device')).status).toBe(101);
  expect(it.gateway.statistics.connections).toBe(1);
});

test('strangers of one address hold so many sockets, and a greeting or a close frees theirs', async () => {
  const it = await start();
  const strangers = await Promise.all(Array.from({ length: 256 }, () => open(it, '/v1/device')));
  expect(strangers.every(({ status }) => status === 101)).toBe(true);
  expect((await open(it, '/v1/device')).status).toBe(429);
  // Who is known at the handshake is no stranger.
  expect((await open(it, '/v1/device', { headers: bearer('good') })).status).toBe(101);
  strangers[0]!.say({ ...hello, key: 'good' });
  await until(() => strangers[0]!.heard.length > 0);
  expect((await open(it, '/v1/device')).status).toBe(101);
  expect((await open(it, '/v1/device')).status).toBe(429);
  strangers[1]!.socket.close();
  await strangers[1]!.closed;
  expect((await open(it, '/v1/device')).status).toBe(101);
  expect(it.gateway.statistics.credit.reservedBytes).toBeLessThanOrEqual(
    2 * defaultGatewayConfig.windowInitialBytes,
  );
});

test('behind a declared proxy each client counts for itself', async () => {
  const it = await start({ proxies: '127.0.0.1' });
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
  await Promise.all(Array.from({ length: 256 }, () => open(it, '/v1/device', from('192.0.2.1'))));
  expect((await open(it, '/v1/device', from('192.0.2.1'))).status).toBe(429);
  expect((await open(it, '/v1/device', from('192.0.2.2'))).status).toBe(101);
});

test('messages beyond their limits end the connection, and only that', async () => {
  const it = await start();
  const one = await open(it, '/v1/device', { headers: bearer('good') });
  one.say(hello);
  one.say({ type: 'heartbeat', padding: 'x'.repeat(limits.controlBytes) });
  await until(() => one.heard.length === 2);
  expect(one.heard).toContainEqual(expect.objectContaining({ type: 'error', code: 'message-too-large' }));
  one.socket.send(new Uint8Array(limits.messageBytes + 1));
  expect(await one.closed).toBe(1009);
  await until(() => it.gateway.statistics.connections === 0);
});

test('a device that says bye is closed normally', async () => {
  const it = await start();
  const one = await open(it, '/v1/device', { headers: bearer('good') });
  one.say(hello);
  one.say({ type: 'bye' });
  expect(await one.closed).toBe(1000);
});

test('pings are answered', async () => {
  const it = await start();
  const one = await open(it, '/v1/device', { headers: bearer('good') });
  const pong = once(one.socket, 'pong');
  one.socket.ping('x');
  expect(String(((await pong) as [Buffer])[0])).toBe('x');
});

test('a peer that does not answer the closing handshake is cut off soon', async () => {
  const it = await start();
  const one = await open(it, '/v1/device', { headers: bearer('good') });
  one.say(hello);
  await until(() => one.heard.length > 0);
  // It neither reads nor closes.
  one.socket.pause();
  it.gateway.stop();
  const startedMs = performance.now();
  const { _socket: tcp } = one.socket as unknown as { _socket: Socket };
  tcp.resume();
  tcp.removeAllListeners('data');
  await once(tcp, 'close');
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});

test('when stopping, no handshake is answered any more', async () => {
  const it = await start();
  it.refuseAll();
  expect((await open(it, '/v1/device', { headers: bearer('good') })).status).toBe(503);
});
