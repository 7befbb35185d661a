/**
 * Owns the proof that two real servers over one Redis and one database behave as one: what is published at one arrives at
 * the other, also what was published while it was cut off, and who was connected to a server that was killed is gone.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { closeCodes } from '#protocol/codes.ts';
import { openPools } from '#store/pools.ts';
import { startCuttingProxy, type CuttingProxy } from '#test/support/cutting-proxy.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { freePort, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';
import { createTenant } from '#test/support/tenants.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';

const extensions = fileURLToPath(new URL('../torture/channels/extensions', import.meta.url));
const channel = 'torture/hall';
const ANSWER_MS = 20_000;

let database: TestDatabase;
let directory: TemporaryDirectory;
let redis: TestRedis;
let proxy: CuttingProxy;
const servers: KymoProcess[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  directory = createTemporaryDirectory();
  redis = await startRedis();
  proxy = await startCuttingProxy(redis.socketPath);
  for (const url of [redis.url, `redis://127.0.0.1:${proxy.port}`])
    servers.push(
      await startKymo({
        dataDir: `${directory.path}/${servers.length}`,
        port: await freePort(),
        args: ['--database-url', database.ownerUrl, '--redis-url', url, '--extensions', extensions],
      }),
    );
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.signal('SIGKILL')));
  await proxy.close();
  await redis.close();
  await database.drop();
  directory.remove();
});

interface Said {
  readonly type: string;
  readonly id?: number;
  readonly offset?: number;
  readonly data?: { readonly n: number };
  readonly count?: number;
}

interface Viewer {
  readonly heard: { readonly said: Said; readonly atMs: number }[];
  say(message: object): void;
  /** The first that fits, now or later. */
  expect(fits: (said: Said) => boolean): Promise<Said>;
  /** Resolves with the code of the close. */
  readonly closed: Promise<number>;
  close(): void;
}

const key = (): string => new URL(servers[0]!.address).hash.slice('#key='.length);
const addressOf = (server: KymoProcess): string => `http://127.0.0.1:${server.port}`;

async function connect(server: KymoProcess, as = key()): Promise<Viewer> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/live`, {
    headers: { authorization: `Bearer ${as}` },
  });
  const heard: Viewer['heard'] = [];
  socket.on('message', (data) =>
    heard.push({ said: JSON.parse((data as Buffer).toString()) as Said, atMs: performance.now() }),
  );
  socket.on('error', () => undefined);
  const beat = setInterval(() => {
    if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"heartbeat"}');
  }, 2_000);
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  socket.on('close', () => clearInterval(beat));
  await new Promise((resolve) => socket.once('open', resolve));
  return {
    heard,
    closed,
    say: (message) => socket.send(JSON.stringify(message)),
    async expect(fits) {
      const untilMs = performance.now() + ANSWER_MS;
      while (performance.now() < untilMs) {
        const found = heard.find(({ said }) => fits(said));
        if (found !== undefined) return found.said;
        await sleep(2);
      }
      throw new Error(`it did not come; the last were ${JSON.stringify(heard.slice(-3))}`);
    },
    close: () => socket.close(),
  };
}

async function subscribed(server: KymoProcess): Promise<Viewer> {
  const viewer = await connect(server);
  viewer.say({ type: 'subscribe', id: 1, channel });
  await viewer.expect(({ type }) => type === 'subscribed');
  return viewer;
}

test('what is published at one server reaches viewers of the other, typically within 10 ms', async () => {
  const [publisher, viewer] = [await connect(servers[0]!), await subscribed(servers[1]!)];
  const latencies: number[] = [];
  for (let n = 1; n <= 100; n++) {
    const sentMs = performance.now();
    publisher.say({ type: 'publish', id: n, channel, event: 'number', data: { n } });
    await viewer.expect(({ type, data }) => type === 'message' && data?.n === n);
    latencies.push(viewer.heard.at(-1)!.atMs - sentMs);
  }
  const median = latencies.toSorted((a, b) => a - b)[50]!;
  console.log(`from one server to the other: ${median.toFixed(1)} ms in the median`);
  expect(median).toBeLessThan(10);
  publisher.close();
  viewer.close();
});

test('what is published while a server is cut off from Redis reaches its viewers afterwards, once and in order', async () => {
  const [publisher, viewer] = [await connect(servers[0]!), await subscribed(servers[1]!)];
  const publish = async (n: number): Promise<void> => {
    publisher.say({ type: 'publish', id: n, channel, event: 'number', data: { n } });
    await publisher.expect(({ type, id }) => type === 'published' && id === n);
  };
  await publish(1001);
  await viewer.expect(({ data }) => data?.n === 1001);
  proxy.target(null);
  proxy.cut(() => true);
  for (let n = 1002; n <= 1040; n++) await publish(n);
  const ready = async (): Promise<{ status: number; redis: string | undefined }> => {
    const response = await fetch(`${addressOf(servers[1]!)}/readyz`);
    const { checks } = (await response.json()) as { checks: Record<string, string> };
    return { status: response.status, redis: checks['redis'] };
  };
  // It goes on with what it can do alone, and says so.
  expect(await ready()).toEqual({ status: 200, redis: 'degraded: Redis is not there' });
  expect(viewer.heard.some(({ said }) => said.data?.n === 1002)).toBe(false);
  proxy.target(redis.socketPath);
  await viewer.expect(({ data }) => data?.n === 1040);
  expect(await ready()).toEqual({ status: 200, redis: 'ok' });
  const messages = viewer.heard.map(({ said }) => said).filter(({ type }) => type === 'message');
  expect(messages.map(({ data }) => data!.n)).toEqual(Array.from({ length: 40 }, (_, i) => 1001 + i));
  expect(viewer.heard.some(({ said }) => said.type === 'reset')).toBe(false);
  const metrics = await (
    await fetch(`${addressOf(servers[1]!)}/metrics`, { headers: { authorization: `Bearer ${key()}` } })
  ).text();
  expect(metrics).toMatch(/^kymo_redis_losses_total 1$/m);
  expect(metrics).toMatch(/^kymo_redis_up 1$/m);
  publisher.close();
  viewer.close();
});

test('a key that is revoked at one server loses what it has open at the other, a device too', async () => {
  const pools = await openPools(database.ownerUrl, () => undefined);
  const tenant = await createTenant(database.ownerUrl, pools, 'B');
  await pools.close();
  const [device, admin] = [
    await connect(servers[1]!, tenant.deviceKey),
    await connect(servers[1]!, tenant.adminKey),
  ];
  for (const path of [`devices/${tenant.device.deviceId}`, `access-keys/${tenant.adminKeyId}`]) {
    const answer = await fetch(`${addressOf(servers[0]!)}/v1/${path}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${tenant.adminKey}` },
    });
    expect(answer.status).toBe(204);
  }
  for (const viewer of [device, admin]) expect(await viewer.closed).toBe(closeCodes.unauthenticated);
});

test('who was connected to a server that was killed is gone within the lease', async () => {
  const [ghost, viewer] = [await subscribed(servers[0]!), await connect(servers[1]!)];
  viewer.say({ type: 'subscribe', id: 1, channel, presence: true });
  await viewer.expect(({ type, count }) => type === 'presence' && count === 2);
  await servers[0]!.signal('SIGKILL');
  const killedAtMs = performance.now();
  ghost.close();
  for (let id = 10; ; id++) {
    viewer.say({ type: 'members', id, channel });
    const answer = await viewer.expect((said) => said.type === 'members' && said.id === id);
    if (answer.count === 1) break;
    await sleep(100);
  }
  expect(performance.now() - killedAtMs).toBeLessThan(12_000);
  await viewer.expect(({ type, count }) => type === 'presence' && count === 1);
  viewer.close();
});
