import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';

import { systemClock } from '#base/clock.ts';
import { openDevice } from '#sdk/device-client.ts';
import { modelConnection, newDatabase, readingsOf, type ModelDatabase } from '#sdk/device-model.ts';
import type { Device } from '#sdk/device-runtime.ts';
import type { DeviceEvent } from '#sdk/device-state.ts';
import { memoryStore } from '#sdk/memory-store.ts';

interface Listening {
  readonly url: string;
  readonly database: ModelDatabase;
  readonly requests: IncomingMessage[];
  readonly sockets: Set<WebSocket>;
  /** Answers upgrades with this status instead. */
  status: number | null;
}

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A real WebSocket server in front of the model; it commits every 20 ms. */
async function listen(): Promise<Listening> {
  const http: Server = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  const database = newDatabase(systemClock);
  const listening: Listening = { url: '', database, requests: [], sockets: sockets.clients, status: null };
  http.on('upgrade', (request, socket, head) => {
    listening.requests.push(request);
    if (listening.status !== null)
      return socket.end(`HTTP/1.1 ${listening.status} No\r\ncontent-length: 0\r\n\r\n`);
    sockets.handleUpgrade(request, socket, head, (client) => {
      const model = modelConnection({
        database,
        clock: systemClock,
        send: (message) => client.send(JSON.stringify(message)),
      });
      client.on('message', (data: Buffer, isBinary) =>
        isBinary ? model.binary(data) : model.text(data.toString()),
      );
      const timer = setInterval(() => model.commit(), 20);
      client.on('close', () => clearInterval(timer));
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  closers.push(async () => {
    for (const client of sockets.clients) client.terminate();
    http.close();
    await once(http, 'close');
  });
  return Object.assign(listening, { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` });
}

async function open(server: Listening, events: DeviceEvent[] = []): Promise<Device> {
  const device = await openDevice({
    url: server.url,
    key: 'kd_secret',
    store: memoryStore(),
    timing: { backoff: { baseMs: 20, capMs: 100 } },
    onEvent: (event) => events.push(event),
    onCommand: ({ argument }) => `did ${argument ?? 'nothing'}`,
  });
  closers.push(() => device.close({ drainMs: 0 }));
  return device;
}

const imu = {
  segment: 'left-foot',
  sensor: 'imu',
  axes: [
    { name: 'acc_x', unit: 'm/s2' },
    { name: 'acc_y', unit: 'm/s2' },
  ],
  rateHz: 204.8,
};

test('ten lines make a device whose readings arrive once, over a real socket', async () => {
  const server = await listen();
  const device = await open(server);
  const foot = device.stream(imu);
  for (let i = 0; i < 1000; i++) foot.push([i, -i], 1_700_000_000_000_000 + i * 4883);
  expect(await device.drained({ timeoutMs: 5000 })).toBe(true);
  await foot.end();
  expect(await device.drained({ timeoutMs: 5000 })).toBe(true);
  const stored = readingsOf(server.database, foot.definition.stream);
  expect(stored.length).toBe(1000);
  expect(new Set(stored).size).toBe(1000);
  const [request] = server.requests;
  expect(request!.url).toBe('/v1/device');
  expect(request!.headers.authorization).toBe('Bearer kd_secret');
  expect(request!.headers['sec-websocket-protocol']).toBe('kymo.device.v1');
  expect([...server.database.epochs.values()][0]!.isEnded).toBe(true);
  await device.close();
});

test('a connection that is cut again and again loses nothing and doubles nothing', async () => {
  const server = await listen();
  const device = await open(server);
  const foot = device.stream(imu);
  for (let i = 0; i < 40; i++) {
    foot.push([i, 0, i, 1, i, 2]);
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (i % 8 === 7) for (const socket of server.sockets) socket.terminate();
  }
  expect(await device.drained({ timeoutMs: 5000 })).toBe(true);
  expect(readingsOf(server.database, foot.definition.stream).length).toBe(120);
  expect(device.status().reconnects).toBeGreaterThan(2);
});

test('a rejected key stops the device, an overloaded server does not', async () => {
  const server = await listen();
  server.status = 503;
  const events: DeviceEvent[] = [];
  const device = await open(server, events);
  await expect.poll(() => server.requests.length).toBeGreaterThan(2);
  server.status = 401;
  await expect.poll(() => device.status().phase).toBe('stopped');
  expect(events.at(-1)).toMatchObject({ phase: 'stopped', closeCode: 4500, reason: 'HTTP 401' });
  server.status = null;
  device.reconnect();
  await expect.poll(() => device.status().phase).toBe('online');
});

test('a key is not sent in clear beyond this machine', async () => {
  const options = { key: 'kd_secret', store: memoryStore() };
  await expect(openDevice({ ...options, url: 'http://kymo.example' })).rejects.toMatchObject({
    code: 'invalid-field',
  });
  await expect(openDevice({ ...options, url: 'ftp://kymo.example' })).rejects.toMatchObject({
    field: '/url',
  });
});
