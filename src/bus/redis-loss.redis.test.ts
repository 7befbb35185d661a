import { setTimeout as sleep } from 'node:timers/promises';

import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { PublishRequest } from '#bus/broker.ts';
import type { PresenceChange } from '#bus/presence.ts';
import { connectRedis, type Redis, type RedisOptions } from '#bus/redis.ts';
import { startCuttingProxy } from '#test/support/cutting-proxy.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';
import { startRedisPeer } from '#test/support/redis-peer.ts';

let server: TestRedis;
let control: ReturnType<typeof createClient>;
let open: Redis[] = [];
let made = 0;

beforeAll(async () => {
  server = await startRedis();
  control = createClient({ url: server.url });
  await control.connect();
});
afterEach(async () => {
  await Promise.all(open.map((one) => one.close()));
  open = [];
});
afterAll(async () => {
  control.destroy();
  await server.close();
});

async function connect(options: Partial<RedisOptions> = {}): Promise<Redis> {
  const redis = await connectRedis({ url: server.url, clock: systemClock, log: silentLog, ...options });
  open.push(redis);
  return redis;
}

const newPrefix = (): string => `loss${++made}:`;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (payload: Uint8Array): string => new TextDecoder().decode(payload);
const request = (text: string, more: Partial<PublishRequest> = {}): PublishRequest => ({
  address: 'o/room',
  payload: bytes(text),
  history: { messages: 1000, seconds: 60 },
  key: null,
  ...more,
});

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(5);
}

/** Ends every other connection to Redis, as a network or an operator does. */
const cutAll = (): Promise<unknown> =>
  control.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);

test('publications under way while connections are cut are each made exactly once, in the order of their calls', async () => {
  const prefix = newPrefix();
  const near = await connect({ prefix });
  const far = await connect({ prefix });
  const heard: string[] = [];
  let resumptions = 0;
  await far.broker.listen('o/room', {
    publication: (_, { payload }) => void heard.push(textOf(payload)),
    resumed: () => resumptions++,
  }).ready;
  let count = 0;
  const published: Promise<{ position: { offset: number } }>[] = [];
  const publishNext = (): void => void published.push(near.broker.publish(request(String(++count))));
  while (count < 900) {
    publishNext();
    if (count % 200 === 0) await cutAll();
    else if (count % 25 === 0) await sleep(1);
  }
  // Until a cut has met some whose answers were lost.
  while (near.counters.lost === 0 || near.broker.counters.repeated === 0) {
    for (let i = 0; i < 50; i++) publishNext();
    await cutAll();
    await published.at(-1);
  }
  const offsets = (await Promise.all(published)).map(({ position }) => position.offset);
  expect(offsets).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  expect(near.counters.lost).toBeGreaterThan(0);
  expect(near.broker.counters.repeated).toBeGreaterThan(0);
  const kept: string[] = [];
  while (kept.length < count) {
    const page = await far.broker.history('o/room', { after: kept.length, limit: 256 });
    expect(page.publications.length).toBeGreaterThan(0);
    kept.push(...page.publications.map(({ payload }) => textOf(payload)));
  }
  expect(kept).toEqual(Array.from({ length: count }, (_, i) => String(i + 1)));
  await until(() => resumptions > 0);
  expect(new Set(heard).size).toBe(heard.length);
});

test('a script that Redis has forgotten is sent again', async () => {
  const { broker } = await connect({ prefix: newPrefix() });
  await broker.publish(request('a'));
  await control.sendCommand(['SCRIPT', 'FLUSH']);
  expect((await broker.publish(request('b'))).position.offset).toBe(2);
  await control.sendCommand(['SCRIPT', 'FLUSH']);
  expect((await broker.history('o/room', { after: 0, limit: 10 })).newest).toBe(2);
});

test('a Redis that was emptied begins a new epoch', async () => {
  const { broker } = await connect({ prefix: newPrefix() });
  const first = await broker.publish(request('a'));
  await control.sendCommand(['FLUSHALL']);
  const page = await broker.history('o/room', { after: 1, limit: 10 });
  expect(page).toMatchObject({ newest: 0, oldest: 1, publications: [] });
  expect(page.epoch).not.toBe(first.position.epoch);
  expect((await broker.publish(request('b'))).position).toEqual({ epoch: page.epoch, offset: 1 });
});

test('another Redis process with the same data begins a new epoch and still has the history', async () => {
  const own = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always']);
  const { broker, counters } = await connect({ url: own.url, prefix: newPrefix() });
  const before = await broker.publish(request('kept', { key: 'k' }));
  own.signal('SIGKILL');
  await own.restart();
  const after = await broker.publish(request('next'));
  expect(after.position.offset).toBe(2);
  expect(after.position.epoch).not.toBe(before.position.epoch);
  expect(broker.counters.epochChanges).toBe(1);
  expect(counters.lost).toBe(1);
  const page = await broker.history('o/room', { after: 0, limit: 10 });
  expect(page.epoch).toBe(after.position.epoch);
  expect(page.publications.map(({ payload }) => textOf(payload))).toEqual(['kept', 'next']);
  expect((await broker.publish(request('kept', { key: 'k' }))).isDuplicate).toBe(true);
  await open.pop()!.close();
  await own.close();
});

test('counter, history, receipts and keys all end by themselves', async () => {
  const prefix = newPrefix();
  const { broker } = await connect({ prefix });
  await broker.publish(request('a', { key: 'k' }));
  await broker.history('o/empty', { after: 0, limit: 1 });
  const keys = await control.keys(`${prefix}*`);
  expect(keys.length).toBeGreaterThanOrEqual(5);
  const lasting = [];
  for (const key of keys) if ((await control.pTTL(key)) < 0) lasting.push(key);
  // The set of living instances is cleared by those that live.
  expect(lasting).toEqual([`${prefix}instances`]);
});

test('more publications than may wait are refused, and the others are made', async () => {
  const { broker } = await connect({ prefix: newPrefix() });
  const all = await Promise.allSettled(
    Array.from({ length: 4_100 }, (_, i) =>
      broker.publish(request(String(i), { history: { messages: 1, seconds: 9 } })),
    ),
  );
  const refused = all.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(4);
  expect(refused[0]).toMatchObject({ reason: { code: 'overloaded', temporary: true } });
  expect((await broker.history('o/room', { newest: true, limit: 0 })).newest).toBe(4_096);
  expect(broker.counters).toMatchObject({ published: 4_096, refused: 4 });
  await broker.publish(request('again'));
});

test('a publisher learns that nobody listens elsewhere, and sends nothing until somebody does', async () => {
  const prefix = newPrefix();
  const near = await connect({ prefix });
  const far = await connect({ prefix });
  await until(() => !near.bus.hasListeners('topic'));
  near.bus.publish('topic', bytes('to nobody'));
  expect(near.bus.counters.sent).toBe(0);
  const heard: string[] = [];
  const stop = far.bus.subscribe('topic', (payload) => heard.push(textOf(payload)));
  await until(() => near.bus.hasListeners('topic'));
  near.bus.publish('topic', bytes('to somebody'));
  await until(() => heard.length > 0);
  expect(heard).toEqual(['to somebody']);
  stop();
});

test('listeners in the same process are called at once and once, with and without Redis', async () => {
  const prefix = newPrefix();
  const own = await startRedis();
  const near = await connect({ prefix, url: own.url });
  const far = await connect({ prefix, url: own.url });
  const heard: string[] = [];
  const elsewhere: string[] = [];
  near.bus.subscribe('topic', (payload) => heard.push(textOf(payload)));
  let isReady = false;
  far.bus.subscribe('topic', (payload) => elsewhere.push(textOf(payload)), { ready: () => (isReady = true) });
  await until(() => isReady);
  near.bus.publish('topic', bytes('a'));
  expect(heard).toEqual(['a']);
  await until(() => elsewhere.length === 1);
  own.signal('SIGKILL');
  await until(() => !near.state.isUp);
  near.bus.publish('topic', bytes('b'));
  expect(heard).toEqual(['a', 'b']);
  expect(near.bus.counters.unsent).toBe(1);
  expect(near.state.problem).not.toBeNull();
  await Promise.all(open.splice(-2).map((one) => one.close()));
  await own.close();
});

test('members of a process that was killed are gone within the lease, and those who listen are told', async () => {
  const prefix = newPrefix();
  const leaseMs = 600;
  const near = await connect({ prefix, leaseMs });
  const peer = startRedisPeer();
  const far = await peer.open({ url: server.url, prefix, leaseMs });
  const changes: PresenceChange[] = [];
  near.presence.listen('room', (change) => changes.push(change));
  const member = (id: string) => ({ id, subject: 's', state: 'null' });
  await near.presence.enter('room', member('stays'));
  for (const id of ['a', 'b']) await far.presence.enter('room', member(id));
  expect((await near.presence.members('room', 10)).count).toBe(3);
  peer.kill();
  await sleep(leaseMs + 50);
  expect(await near.presence.members('room', 10)).toEqual({ count: 1, members: [member('stays')] });
  await until(() => changes.filter(({ type }) => type === 'left').length === 2);
  expect(near.presence.counters.lostLeases).toBe(0);
});

test('members of dead instances in channels that nobody looks at are cleared too', async () => {
  const prefix = newPrefix();
  const leaseMs = 300;
  const near = await connect({ prefix, leaseMs });
  const peer = startRedisPeer();
  const far = await peer.open({ url: server.url, prefix, leaseMs });
  for (let i = 0; i < 20; i++) await far.presence.enter(`room${i}`, { id: 'x', subject: 's', state: 'null' });
  peer.kill();
  await until(() => near.presence.counters.clearedRooms === 20);
  await until(async () => (await control.keys(`${prefix}*room*`)).length === 0);
  expect(await control.sMembers(`${prefix}instances`)).toHaveLength(1);
});

test('an instance that was thought dead, or whose Redis was emptied, puts its members in again', async () => {
  const prefix = newPrefix();
  const near = await connect({ prefix, leaseMs: 600 });
  const far = await connect({ prefix, leaseMs: 600 });
  const member = { id: 'a', subject: 's', state: 'null' };
  await near.presence.enter('room', member);
  await control.sendCommand(['FLUSHALL']);
  await until(async () => (await far.presence.members('room', 10)).count === 1);
  expect(near.presence.counters.lostLeases).toBe(1);
  await control.sendCommand(['FLUSHALL']);
  await near.presence.enter('room', { ...member, id: 'b' });
  expect((await far.presence.members('room', 10)).count).toBe(2);
});

test('who left while Redis was away is gone when it is back', async () => {
  const prefix = newPrefix();
  const proxy = await startCuttingProxy(server.socketPath);
  const near = await connect({ prefix, url: `redis://127.0.0.1:${proxy.port}` });
  const far = await connect({ prefix });
  for (const id of ['a', 'b']) await near.presence.enter('room', { id, subject: 's', state: 'null' });
  proxy.target(null);
  proxy.cut(() => true);
  await until(() => !near.state.isUp);
  await near.presence.leave('room', 'a');
  expect((await far.presence.members('room', 10)).count).toBe(2);
  proxy.target(server.socketPath);
  await until(async () => (await far.presence.members('room', 10)).count === 1);
  await near.presence.close();
  expect(await far.presence.members('room', 10)).toEqual({ count: 0, members: [] });
  await proxy.close();
});

test('a ticket is taken once, by any instance, until it ends', async () => {
  const prefix = newPrefix();
  const near = await connect({ prefix });
  const far = await connect({ prefix });
  await near.shelf.put('t', '{"ü":1}', 10_000);
  expect(await far.shelf.take('t')).toBe('{"ü":1}');
  expect(await near.shelf.take('t')).toBeNull();
  await near.shelf.put('t', 'x', 20);
  await sleep(40);
  expect(await far.shelf.take('t')).toBeNull();
});

test('a wrong address, a wrong password and a wrong URL say what to do, without the password', async () => {
  const own = await startRedis(['--requirepass', 'right']);
  const path = own.socketPath;
  for (const url of ['redis://127.0.0.1:1', `unix://:wrong-one@${path}`, own.url, 'http://x', 'nonsense']) {
    const failed = connectRedis({ url, clock: systemClock, log: silentLog });
    await expect(failed, url).rejects.toMatchObject({ code: 'store-unavailable', field: 'redis-url' });
    await expect(failed, url).rejects.toThrow(/cannot be used: .*--redis-url/);
    await expect(failed, url).rejects.not.toThrow('wrong-one');
  }
  await connect({ url: `unix://:right@${path}` });
  await open.pop()!.close();
  await own.close();
});

test('an address that was only read is forgotten within minutes, one that was published to is not', async () => {
  const prefix = newPrefix();
  const { broker } = await connect({ prefix });
  const { epoch } = await broker.history('o/room', { newest: true, limit: 1 });
  expect(await control.ttl(`${prefix}c:o/room`)).toBeLessThanOrEqual(600);
  expect((await broker.publish(request('first'))).position).toEqual({ epoch, offset: 1 });
  await broker.history('o/room', { newest: true, limit: 1 });
  expect(await control.ttl(`${prefix}c:o/room`)).toBeGreaterThan(86_400);
});
