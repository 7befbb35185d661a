import { expect, test } from 'vitest';

import type { HistoryPage, HistoryQuery } from '#protocol/publication.ts';
import { createHistoryPages } from '#live/history-pages.ts';
import { defaultHubLimits } from '#live/hub-limits.ts';
import { createPublicationEncoder } from '#live/outgoing.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

/** A history of `newest` publications of which the last `kept` are there, and what was asked of it. */
function setUp(limits: Partial<typeof defaultHubLimits> = {}) {
  const clock = createManualClock();
  const asked: HistoryQuery[] = [];
  const state = { newest: 20, oldest: 1, isBroken: false };
  const history = async (query: HistoryQuery): Promise<HistoryPage> => {
    asked.push(query);
    if (state.isBroken) throw new Error('gone');
    const after = 'after' in query ? query.after : 0;
    const from = Math.max(after + 1, state.oldest);
    const count = Math.max(0, Math.min(query.limit, state.newest - from + 1));
    const publications = Array.from({ length: count }, (_, i) => ({
      offset: from + i,
      timeUs: 1,
      payload: Buffer.from('{"event":"message","data":1}'),
    }));
    return { epoch: 'e', newest: state.newest, oldest: state.oldest, publications };
  };
  const pages = createHistoryPages({
    clock,
    limits: { ...defaultHubLimits, recoveryMessages: 5, ...limits },
    encode: createPublicationEncoder('room/a'),
    history,
  });
  return { clock, asked, state, pages };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

test('everyone who needs a page while it is read, or soon after, shares one read', async () => {
  const { pages, asked } = setUp();
  const read = await Promise.all([pages.read(1), pages.read(3), pages.read(5)]);
  expect(new Set(read).size).toBe(1);
  expect(read[0]).toMatchObject({ epoch: 'e', first: 1 });
  expect(read[0].items.map(({ position }) => position?.offset)).toEqual([1, 2, 3, 4, 5]);
  await pages.read(4);
  expect(asked).toEqual([{ after: 0, limit: 5 }]);
});

test('who waits is woken when the page is there, and finds it', async () => {
  const { pages } = setUp();
  let woken = 0;
  expect(pages.get(7, { wake: () => woken++ })).toBeNull();
  await settled();
  expect(woken).toBe(1);
  expect(pages.get(7, { wake: () => woken++ })).toMatchObject({ first: 6 });
});

test('a page that was read before it was full is read on, and its beginning is no gap then', async () => {
  const { pages, state, asked } = setUp();
  state.newest = 2;
  await pages.read(1);
  state.newest = 4;
  expect(await pages.read(4)).toMatchObject({ first: 4 });
  // What comes before 4 is there all the same.
  expect(await pages.read(2)).toMatchObject({ first: 1 });
  expect(asked).toEqual([
    { after: 0, limit: 5 },
    { after: 3, limit: 5 },
    { after: 0, limit: 5 },
  ]);
});

test('where the history begins later, the page says from where on it has something', async () => {
  const { pages, state } = setUp();
  state.oldest = 9;
  expect(await pages.read(2)).toMatchObject({ first: 9 });
  state.oldest = 21;
  pages.clear();
  expect(await pages.read(2)).toMatchObject({ first: 21, items: [] });
});

test('pages are kept within their bytes, and only while they are asked for', async () => {
  const { pages, clock, asked } = setUp({ recoveryBytes: 1_100 });
  // Each has five messages of about 110 bytes.
  for (const offset of [1, 6, 11, 1]) await pages.read(offset);
  expect(asked).toHaveLength(4);
  await pages.read(1);
  expect(asked).toHaveLength(4);
  clock.advance(2_500);
  pages.look(clock.monotonicMs());
  await pages.read(1);
  expect(asked).toHaveLength(5);
});

test('a read that fails is told to who reads, and tried again a while later for who waits', async () => {
  const { pages, state, clock } = setUp();
  let woken = 0;
  state.isBroken = true;
  pages.get(1, { wake: () => woken++ });
  await expect(pages.read(2)).rejects.toThrow('gone');
  expect(woken).toBe(0);
  clock.advance(100);
  expect(woken).toBe(1);
  state.isBroken = false;
  expect(pages.get(1, { wake: () => woken++ })).toBeNull();
  await settled();
  expect(woken).toBe(2);
});
