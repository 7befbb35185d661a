import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { connectRedis, type Redis } from '#bus/redis.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';

let server: TestRedis;
let near: Redis;
let far: Redis;

beforeAll(async () => {
  server = await startRedis();
  const options = { url: server.url, prefix: 'counts:', clock: systemClock, log: silentLog };
  near = await connectRedis(options);
  far = await connectRedis(options);
});

afterAll(async () => {
  await near.close();
  await far.close();
  await server.close();
});

test('instances add to the same counts, many in one command, until their span is over', async () => {
  const first = await near.counts.add(
    [
      { name: 'a', count: 3 },
      { name: 'b', count: 1 },
    ],
    5_000,
  );
  expect(first!.map(({ total }) => total)).toEqual([3, 1]);
  expect(first![0]!.leftMs).toBe(5_000);
  await sleep(20);
  const [second] = (await far.counts.add([{ name: 'a', count: 4 }], 5_000))!;
  expect(second!.total).toBe(7);
  // The span is that of whoever began to count.
  expect(second!.leftMs).toBeLessThan(5_000);
  await far.counts.add([{ name: 'short', count: 5 }], 50);
  await expect
    .poll(async () => (await near.counts.add([{ name: 'short', count: 1 }], 50))![0]!.total, {
      interval: 100,
    })
    .toBe(1);
});

test('a Redis that is away takes no counts, and nobody waits for it', async () => {
  await server.close();
  await expect.poll(() => near.state.isUp, { timeout: 20_000 }).toBe(false);
  expect(await near.counts.add([{ name: 'a', count: 1 }], 5_000)).toBeNull();
});
