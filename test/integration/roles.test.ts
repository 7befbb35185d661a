/**
 * Owns the proof that the domains may be processes of their own: one with identity and clinic, one with jobs and streams,
 * over one database and one Redis. Whoever talks to either gets what a single process answers, with one hop at most.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';

import { HOP_HEADER } from '#api/roles.ts';
import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { DeviceCreated, SessionDetail, SessionPage } from '#contract/rest.ts';
import { openDevice } from '#sdk/device-client.ts';
import { connectLive } from '#sdk/live-client.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { openPools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { freePort, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';

let database: TestDatabase;
let directory: TemporaryDirectory;
let redis: TestRedis;
let tenant: Tenant;
let people: KymoProcess;
let streams: KymoProcess;
let peopleUrl: string;
let streamsUrl: string;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = createTemporaryDirectory();
  redis = await startRedis();
  const pools = await openPools(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  await pools.close();
  const ports = [await freePort(), await freePort()] as const;
  [peopleUrl, streamsUrl] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string];
  const shared = [
    '--database-url',
    database.ownerUrl,
    '--redis-url',
    redis.url,
    '--trusted-proxy',
    '127.0.0.1',
  ];
  people = await startKymo({
    dataDir: `${directory.path}/people`,
    port: ports[0],
    args: [
      ...shared,
      '--roles',
      'identity,clinic',
      '--role-urls',
      `streams=${streamsUrl},jobs=${streamsUrl}`,
    ],
  });
  streams = await startKymo({
    dataDir: `${directory.path}/streams`,
    port: ports[1],
    args: [...shared, '--roles', 'jobs,streams'],
  });
});

afterAll(async () => {
  await Promise.all([people.signal('SIGKILL'), streams.signal('SIGKILL')]);
  await redis.close();
  await database.drop();
  directory.remove();
});

function ask(
  url: string,
  options: { key?: string; method?: string; body?: object; hop?: boolean } = {},
): Promise<Response> {
  const { key = tenant.adminKey, method = 'GET', body, hop = false } = options;
  return fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(hop ? { [HOP_HEADER]: '1' } : {}),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

test('a device is made, streams, is watched and read through the process that has no streams', async () => {
  const made = await ask(`${peopleUrl}/v1/devices`, { method: 'POST', body: { name: 'left foot' } });
  expect(made.status).toBe(201);
  const { key } = (await made.json()) as DeviceCreated;
  const session = uuidv7(systemClock);
  const ticket = (await (await ask(`${peopleUrl}/v1/tickets`, { method: 'POST' })).json()) as {
    ticket: string;
  };
  expect(ticket.ticket).toBeTypeOf('string');
  const device = await openDevice({ url: peopleUrl, key, store: memoryStore() });
  const definition = streamDefinition({ session });
  const stream = device.stream(definition);
  for (let i = 0; i < 500; i++) stream.push([i, 0, 0], i * 5_000);
  expect(await device.drained({ timeoutMs: 20_000 })).toBe(true);
  const subscribed = Promise.withResolvers<void>();
  const live = connectLive({
    url: `${peopleUrl.replace('http', 'ws')}/v1/live`,
    token: () => tenant.readKey,
    onSubscribed: () => subscribed.resolve(),
  });
  const seen = new Promise((resolve) => live.subscribe(`session/${session}/chat`, { onMessage: resolve }));
  await subscribed.promise;
  await live.publish(`session/${session}/chat`, 'message', { text: 'through one hop' });
  expect(await seen).toMatchObject({ data: { text: 'through one hop' } });
  live.close();
  await device.close({ drainMs: 1_000 });
  for (const url of [peopleUrl, streamsUrl]) {
    const detail = (await (await ask(`${url}/v1/sessions/${session}`)).json()) as SessionDetail;
    expect(detail.session.storedReadings).toBe(500);
  }
});

test('an answer that was passed on is whole: status, problem, body and headers', async () => {
  const [direct, passed] = await Promise.all(
    [streamsUrl, peopleUrl].map(async (url) => {
      const answer = await ask(`${url}/v1/sessions/${uuidv7(systemClock)}`);
      const { requestId: _, ...problem } = (await answer.json()) as { requestId: string };
      return { status: answer.status, type: answer.headers.get('content-type'), problem };
    }),
  );
  expect(passed).toEqual(direct);
  expect(passed?.status).toBe(404);
  expect((await ask(`${peopleUrl}/v1/sessions`, { key: 'ka_wrong' })).status).toBe(401);
  const body = { segment: 'left-foot', readings: [{ timeUs: 0, values: { acc_x: 1 } }] };
  const stored = await ask(`${peopleUrl}/v1/readings`, { key: tenant.deviceKey, method: 'POST', body });
  expect([stored.status, await stored.json()]).toMatchObject([201, { count: 1 }]);
  const list = (await (await ask(`${peopleUrl}/v1/sessions?limit=1`)).json()) as SessionPage;
  expect(list.sessions).toHaveLength(1);
});

test('nobody passes on twice, and who knows no process for it says so', async () => {
  const lost = await ask(`${streamsUrl}/v1/devices`);
  expect([lost.status, await lost.json()]).toMatchObject([421, { code: 'misdirected' }]);
  const twice = await ask(`${peopleUrl}/v1/sessions`, { hop: true });
  expect([twice.status, await twice.json()]).toMatchObject([421, { code: 'misdirected' }]);
});

test('while the process with the streams is away, the other goes on and says when to come again', async () => {
  await streams.signal('SIGTERM');
  const away = await ask(`${peopleUrl}/v1/sessions`);
  expect([away.status, away.headers.get('retry-after')]).toEqual([503, '2']);
  expect((await ask(`${peopleUrl}/v1/devices`)).status).toBe(200);
});
