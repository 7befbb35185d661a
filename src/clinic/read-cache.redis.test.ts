import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { seededRandom } from '#base/random.ts';
import { connectRedis, type Redis } from '#bus/redis.ts';
import { createReadCache, type CachedRead, type ReadCache } from '#clinic/read-cache.ts';
import { startRedis, type TestRedis } from '#test/support/redis.ts';

let server: TestRedis;
let open: Redis[] = [];
let made = 0;

beforeAll(async () => {
  server = await startRedis();
});
afterEach(async () => {
  for (const one of open) await one.close();
  open = [];
});
afterAll(() => server.close());

interface Instance {
  readonly redis: Redis;
  readonly cache: ReadCache;
}

async function createInstance(prefix: string): Promise<Instance> {
  const redis = await connectRedis({ url: server.url, prefix, clock: systemClock, log: silentLog });
  open.push(redis);
  return {
    redis,
    cache: createReadCache({ versions: redis.cache, shared: redis.cache, clock: systemClock }),
  };
}

async function createInstances(): Promise<{ near: Instance; far: Instance }> {
  const prefix = `cache${++made}:`;
  return { near: await createInstance(prefix), far: await createInstance(prefix) };
}

const ann = { orgId: 'org', patientId: null };
const page: CachedRead = { name: 'page', query: 'p1', tags: ['patient:p1'] };
const give = (value: string) => () => Promise.resolve(value);

test('a change on one instance ends what another one kept, before whoever made it is answered', async () => {
  const { near, far } = await createInstances();
  expect(await far.cache.read(ann, page, give('old'))).toBe('old');
  expect(await far.cache.read(ann, page, give('not asked for'))).toBe('old');
  await near.cache.change('org', page.tags, give('committed'));
  expect(await far.cache.read(ann, page, give('new'))).toBe('new');
  expect(far.cache.counters.get('page')).toMatchObject({ hits: 1, misses: 2 });
});

test('what one instance read, another one gives without reading', async () => {
  const { near, far } = await createInstances();
  await near.cache.read(ann, page, give('read once'));
  await expect
    .poll(() => far.cache.read(ann, page, give('read again')), { timeout: 2_000 })
    .toBe('read once');
  expect(far.cache.counters.get('page')).toMatchObject({ shared: 1, misses: 0 });
  // Not to who may see less.
  const patient = { orgId: 'org', patientId: 'p1' };
  expect(await far.cache.read(patient, page, give('own'))).toBe('own');
});

test('after its own change nobody reads anything older, on any instance, whatever goes on beside it', async () => {
  const { near, far } = await createInstances();
  const both = [near.cache, far.cache];
  const random = seededRandom(7);
  const stored = [0, 0, 0];
  /** The newest change of each that somebody was told of. */
  const answered = [0, 0, 0];
  const pause = (): Promise<void> => sleep(random.next() * 3);
  const pageOf = (i: number): CachedRead => ({
    name: 'page',
    query: `p${i}`,
    tags: [`patient:p${i}`, 'list'],
  });
  /** As a database: what is read is what was committed when the reading began; answers take a while. */
  const read = async (i: number): Promise<number> => {
    const cache = both[Math.floor(random.next() * 2)]!;
    const text = await cache.read(ann, pageOf(i), async () => {
      await pause();
      const value = stored[i]!;
      await pause();
      return String(value);
    });
    return Number(text);
  };
  let changes = 0;
  const client = async (): Promise<void> => {
    for (let turn = 0; turn < 60; turn++) {
      const i = Math.floor(random.next() * stored.length);
      if (random.next() < 0.2) {
        const own = ++changes;
        await both[Math.floor(random.next() * 2)]!.change('org', [`patient:p${i}`], async () => {
          await pause();
          stored[i] = Math.max(stored[i]!, own);
          await pause();
        });
        answered[i] = Math.max(answered[i]!, own);
      }
      const known = answered[i]!;
      expect(await read(i)).toBeGreaterThanOrEqual(known);
    }
  };
  await Promise.all(Array.from({ length: 12 }, client));
  const counts = both.map((cache) => cache.counters.get('page')!);
  expect(counts.reduce((sum, one) => sum + one.hits + one.joined + one.shared, 0)).toBeGreaterThan(50);
});

test('while a change is under way nothing is kept, also when who made it died', async () => {
  const { near, far } = await createInstances();
  await far.cache.read(ann, page, give('old'));
  await near.redis.cache.open(['org patient:p1']);
  expect(await far.cache.read(ann, page, give('still old'))).toBe('still old');
  expect(await far.cache.read(ann, page, give('new'))).toBe('new');
  expect(far.cache.counters.get('page')).toMatchObject({ bypassed: 2, hits: 0 });
});

test('without Redis every read is made anew, changes go on, and are told when it is back', async () => {
  const { near, far } = await createInstances();
  await near.cache.read(ann, page, give('old'));
  await server.restart();
  expect(await near.cache.change('org', page.tags, give('committed'))).toBe('committed');
  expect(await near.cache.read(ann, page, give('new'))).toBe('new');
  for (const { cache, redis } of [near, far])
    await expect
      .poll(
        async () => {
          await cache.read(ann, { ...page, query: 'other' }, give('other'));
          return redis.state.isUp && cache.counters.get('page')!.hits > 0;
        },
        { timeout: 10_000 },
      )
      .toBe(true);
  expect(near.redis.cache.counters.untold).toBe(0);
  expect(await far.cache.read(ann, page, give('new'))).toBe('new');
});
