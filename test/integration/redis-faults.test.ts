/**
 * Owns the proof of what is left when Redis, or the way to it, fails: killed and back empty, halted with its connections
 * open, cut off from one instance. Nothing is lost or doubled without saying so.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Published, PublishRequest } from '#bus/broker.ts';
import { connectRedis, type Redis, type RedisOptions } from '#bus/redis.ts';
import { startCuttingProxy, type CuttingProxy } from '#test/support/cutting-proxy.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';

let server: TestRedis;
let proxy: CuttingProxy;
const open: Redis[] = [];

beforeEach(async () => {
  server = await startRedis();
  proxy = await startCuttingProxy(server.socketPath);
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await proxy.close();
  await server.close();
});

/** As the server does it, but in a quarter of the time. */
const impatient = { pingMs: 250, silentMs: 750, connectMs: 1_000, waitMs: 3_000 };

async function connect(options: Partial<RedisOptions> = {}): Promise<Redis> {
  const redis = await connectRedis({
    url: server.url,
    clock: systemClock,
    log: silentLog,
    ...impatient,
    ...options,
  });
  open.push(redis);
  return redis;
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(5);
}

const request = (text: string): PublishRequest => ({
  address: 'o/room',
  payload: new TextEncoder().encode(text),
  history: { messages: 1000, seconds: 60 },
  key: null,
});

interface Reader {
  readonly texts: string[];
  readonly epochs: string[];
  resumptions: number;
}

/** Listens, and reads what is missing from the history after every resumption, as the hub does. */
async function read(redis: Redis): Promise<Reader> {
  const reader: Reader = { texts: [], epochs: [], resumptions: 0 };
  let last = 0;
  const take = (epoch: string, offset: number, payload: Uint8Array): void => {
    if (reader.epochs.at(-1) !== epoch) {
      reader.epochs.push(epoch);
      last = 0;
    }
    if (offset <= last) return;
    expect(offset).toBe(last + 1);
    last = offset;
    reader.texts.push(new TextDecoder().decode(payload));
  };
  let isCatchingUp = false;
  const held: (() => void)[] = [];
  const catchUp = async (): Promise<void> => {
    isCatchingUp = true;
    const page = await redis.broker.history('o/room', { after: last, limit: 256 });
    const isSame = reader.epochs.at(-1) === page.epoch;
    const missed = isSame ? page : await redis.broker.history('o/room', { after: 0, limit: 256 });
    for (const { offset, payload } of missed.publications) take(missed.epoch, offset, payload);
    isCatchingUp = false;
    for (const apply of held.splice(0)) apply();
  };
  await redis.broker.listen('o/room', {
    publication(epoch, { offset, payload }) {
      const apply = (): void => take(epoch, offset, payload);
      if (isCatchingUp) held.push(apply);
      else apply();
    },
    resumed() {
      reader.resumptions++;
      void catchUp();
    },
  }).ready;
  return reader;
}

test('a Redis that is killed and comes back empty is an explicit new epoch for publishers and listeners', async () => {
  const near = await connect();
  const far = await connect();
  const reader = await read(far);
  const before = [];
  for (const text of ['a', 'b', 'c']) before.push(await near.broker.publish(request(text)));
  await until(() => reader.texts.length === 3);
  server.signal('SIGKILL');
  await until(() => !near.state.isUp && !far.state.isUp);
  const waiting = near.broker.publish(request('d'));
  await server.restart();
  const after = await waiting;
  expect(after.position.offset).toBe(1);
  expect(after.position.epoch).not.toBe(before[0]!.position.epoch);
  await until(() => reader.texts.length === 4);
  expect(reader.texts).toEqual(['a', 'b', 'c', 'd']);
  expect(reader.epochs).toEqual([before[0]!.position.epoch, after.position.epoch]);
});

test('a Redis that halts with its connections open is noticed, and what was under way is made once when it goes on', async () => {
  const near = await connect();
  const far = await connect();
  const reader = await read(far);
  await near.broker.publish(request('0'));
  server.signal('SIGSTOP');
  const haltedAtMs = performance.now();
  const published = Array.from({ length: 50 }, (_, i) => near.broker.publish(request(String(i + 1))));
  await until(() => !near.state.isUp);
  expect(performance.now() - haltedAtMs).toBeLessThan(2_500);
  expect(near.state.problem).toMatch(/no answer/);
  server.signal('SIGCONT');
  const offsets = (await Promise.all(published)).map(({ position }) => position.offset);
  expect(offsets.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i + 2));
  await until(() => reader.texts.length >= 51);
  const page = await far.broker.history('o/room', { newest: true, limit: 256 });
  expect(page.newest).toBe(51);
  expect(reader.texts).toHaveLength(51);
  expect(new Set(reader.texts).size).toBe(51);
});

test('while Redis stays away publications are refused after a bounded wait, and listeners here go on', async () => {
  const redis = await connect({ waitMs: 800 });
  const { broker, bus, presence } = redis;
  server.signal('SIGSTOP');
  const startedAtMs = performance.now();
  const outcomes = await Promise.allSettled([
    broker.publish(request('x')),
    broker.history('o/room', { newest: true, limit: 1 }),
    presence.members('o/room', 10),
    presence.enter('o/room', { id: 'a', subject: 's', state: 'null' }),
  ]);
  // The silence is noticed within pingMs + silentMs, then the wait is over.
  expect(performance.now() - startedAtMs).toBeLessThan(4_000);
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({ reason: { code: 'store-unavailable', temporary: true } });
  expect(redis.state.isUp).toBe(false);
  const heard: number[] = [];
  bus.subscribe('session/1/readings', (payload) => heard.push(payload.length));
  bus.publish('session/1/readings', new Uint8Array(3));
  expect(heard).toEqual([3]);
  server.signal('SIGCONT');
  await until(() => redis.state.isUp);
  await broker.publish(request('y'));
  // Who was refused is not there by a late effect of the first attempt.
  await until(async () => (await presence.members('o/room', 10)).count === 0);
});

test('an instance that was cut off hears that it was, finds what it missed, and publishes nothing twice', async () => {
  const near = await connect();
  const far = await connect({ url: `redis://127.0.0.1:${proxy.port}` });
  const reader = await read(far);
  const published: Promise<Published>[] = [near.broker.publish(request('before'))];
  await until(() => reader.texts.length === 1);
  for (let round = 0; round < 5; round++) {
    proxy.target(null);
    for (let n = 0; n < 20; n++) published.push(far.broker.publish(request(`far ${round} ${n}`)));
    proxy.cut(() => true);
    for (let n = 0; n < 20; n++) published.push(near.broker.publish(request(`near ${round} ${n}`)));
    await until(() => !far.state.isUp);
    proxy.target(server.socketPath);
    await until(() => reader.resumptions > round);
  }
  const positions = (await Promise.all(published)).map(({ position }) => position.offset);
  expect(positions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 201 }, (_, i) => i + 1));
  await until(() => reader.texts.length === 201);
  expect(new Set(reader.texts).size).toBe(201);
  expect(reader.epochs).toHaveLength(1);
});
