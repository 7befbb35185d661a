import { expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { createReadCache, type CachedRead, type ReadCacheOptions } from '#clinic/read-cache.ts';
import { createMemoryTagVersions } from '#clinic/tag-versions.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const ann = { orgId: 'org', patientId: null };
const page: CachedRead = { name: 'page', query: 'p1', tags: ['patient:p1'] };

function createCache(options: Partial<ReadCacheOptions> = {}) {
  const cache = createReadCache({ versions: createMemoryTagVersions(), clock: systemClock, ...options });
  let loads = 0;
  return {
    cache,
    read: (what = page, scope: { orgId: string; patientId: string | null } = ann, value?: string) =>
      cache.read(scope, what, () => Promise.resolve(value ?? `load ${++loads}`)),
  };
}

test('what was read is given again until one of its tags changes', async () => {
  const { cache, read } = createCache();
  const two: CachedRead = { ...page, tags: ['patient:p1', 'session:s1'] };
  expect(await read(two)).toBe('load 1');
  expect(await read(two)).toBe('load 1');
  await cache.invalidate('org', ['session:s2']);
  expect(await read(two)).toBe('load 1');
  await cache.invalidate('org', ['session:s1']);
  expect(await read(two)).toBe('load 2');
  expect(cache.counters.get('page')).toMatchObject({ hits: 2, misses: 2 });
});

test('a change in one organisation says nothing of another, and answers are never given across', async () => {
  const { cache, read } = createCache();
  const other = { orgId: 'other', patientId: null };
  await read();
  expect(await read(page, other)).toBe('load 2');
  await cache.invalidate('other', page.tags);
  expect(await read()).toBe('load 1');
  expect(await read(page, other)).toBe('load 3');
});

test("a patient's account shares no answer with those who may see more, nor with another patient", async () => {
  const { read } = createCache();
  await read();
  expect(await read(page, { orgId: 'org', patientId: 'p1' })).toBe('load 2');
  expect(await read(page, { orgId: 'org', patientId: 'p2' })).toBe('load 3');
  expect(await read({ ...page, query: 'p2' })).toBe('load 4');
  expect(await read({ ...page, name: 'progress' })).toBe('load 5');
});

test('a read under way while something changed is answered, but not kept nor joined by those who came after', async () => {
  const { cache } = createCache();
  const early = Promise.withResolvers<string>();
  const late = Promise.withResolvers<string>();
  const first = cache.read(ann, page, () => early.promise);
  const second = cache.read(ann, page, () => Promise.reject(new Error('joined')));
  await Promise.resolve();
  await cache.invalidate('org', page.tags);
  const third = cache.read(ann, page, () => late.promise);
  late.resolve('new');
  early.resolve('old');
  expect(await Promise.all([first, second, third])).toEqual(['old', 'old', 'new']);
  // The old one came last, and did not take the place of the new one for longer than a look.
  expect(await cache.read(ann, page, () => Promise.resolve('newer'))).not.toBe('old');
  expect(cache.counters.get('page')).toMatchObject({ joined: 1 });
});

test('readers of the same at once make one read, and a failure is told to all and not kept', async () => {
  const { cache, read } = createCache();
  const reading = Promise.withResolvers<string>();
  const readers = [1, 2, 3].map(() => cache.read(ann, page, () => reading.promise));
  reading.reject(new Error('away'));
  expect((await Promise.allSettled(readers)).map(({ status }) => status)).toEqual(Array(3).fill('rejected'));
  expect(cache.counters.get('page')).toMatchObject({ misses: 1, joined: 2 });
  expect(await read()).toBe('load 1');
});

test('a change ends what was kept also when it failed: it may have been committed', async () => {
  const { cache, read } = createCache();
  await read();
  const failing = cache.change('org', page.tags, () => Promise.reject(new Error('lost')));
  await expect(failing).rejects.toThrow('lost');
  expect(await read()).toBe('load 2');
});

test('nothing is given that is older than its limit', async () => {
  const clock = createManualClock();
  const { read } = createCache({ clock, maxAgeMs: 1_000 });
  await read();
  clock.advance(999);
  expect(await read()).toBe('load 1');
  clock.advance(1);
  expect(await read()).toBe('load 2');
});

test('the longest unused goes when the bytes are full, and what is too large is not kept', async () => {
  const { cache, read } = createCache({ maxBytes: 3_000 });
  const pages = ['a', 'b', 'c'].map((query) => ({ ...page, query }));
  for (const one of pages) await read(one, ann, 'x'.repeat(500));
  expect(cache.held).toMatchObject({ entries: 2, evicted: 1 });
  expect(cache.held.bytes).toBeLessThanOrEqual(3_000);
  await read(pages[0]);
  await read(pages[2]);
  expect(cache.counters.get('page')).toMatchObject({ misses: 4, hits: 1 });
  await read({ ...page, query: 'large' }, ann, 'x'.repeat(5_000));
  expect(cache.held.bytes).toBeLessThanOrEqual(3_000);
});

test('a tag that had to be forgotten counts as changed', async () => {
  const versions = createMemoryTagVersions(2);
  const { cache, read } = createCache({ versions });
  await cache.invalidate('org', ['patient:p1']);
  await read();
  await cache.invalidate('org', ['a', 'b']);
  expect(await read()).toBe('load 2');
});

test('switched off, every read is made anew', async () => {
  const { cache, read } = createCache({ isOn: false });
  await read();
  expect(await read()).toBe('load 2');
  expect(cache.counters.get('page')).toMatchObject({ bypassed: 2 });
});
