import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { testBrokerConformance } from '#bus/broker-conformance.ts';
import { testBusConformance } from '#bus/conformance.ts';
import { testPresenceConformance } from '#bus/presence-conformance.ts';
import { connectRedis, type Redis, type RedisOptions } from '#bus/redis.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';
import { startRedisPeer, type PeerRedis, type RedisPeer } from '#test/support/redis-peer.ts';

let server: TestRedis;
let peer: RedisPeer;
let open: (Redis | PeerRedis)[] = [];
let made = 0;

beforeAll(async () => {
  server = await startRedis();
  peer = startRedisPeer();
});
afterEach(async () => {
  for (const one of open) await one.close();
  open = [];
});
afterAll(async () => {
  peer.kill();
  await server.close();
});

/** Two instances, in two processes, that share what no other test sees. */
async function instances(options: Partial<RedisOptions> = {}): Promise<{ near: Redis; far: PeerRedis }> {
  const shared = { url: server.url, prefix: `test${++made}:`, ...options };
  const near = await connectRedis({ clock: systemClock, log: silentLog, ...shared });
  open.push(near);
  const far = await peer.open(shared);
  open.push(far);
  return { near, far };
}

testBusConformance(async () => {
  const { near, far } = await instances();
  return { publisher: near.bus, listener: far.bus };
});

testBrokerConformance(async ({ keySeconds }) => {
  const { near, far } = await instances({ keySeconds });
  return { publisher: near.broker, listener: far.broker, passTime: (ms) => sleep(ms) };
});

testPresenceConformance(async () => {
  const { near, far } = await instances();
  return { near: near.presence, far: far.presence };
});
