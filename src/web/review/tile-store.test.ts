import { expect, test } from 'vitest';

import { bytesOf, type EnvelopeTile } from '#web/review/envelope-tile.ts';
import { tileRange, tileSpanUs, type TilePlace } from '#web/review/tile-grid.ts';
import { createTileStore, type TileWish } from '#web/review/tile-store.ts';
import { tileOf } from '#test/support/envelope-tiles.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

interface Request {
  readonly key: string;
  readonly signal: AbortSignal;
  answer(tile?: EnvelopeTile): Promise<void>;
  fail(error: Error): Promise<void>;
}

const place = (index: number, level = 0): TilePlace => ({ level, index });
const wish = (index: number, level = 0): TileWish => ({ stream: 's', place: place(index, level) });
const aTile = tileOf([1, 2, 3], { periodUs: 5, perColumn: 1 });

function setUp(maxBytes?: number) {
  const clock = createManualClock();
  const requests: Request[] = [];
  const changes: unknown[] = [];
  const store = createTileStore({
    clock,
    ...(maxBytes === undefined ? {} : { maxBytes }),
    onChange: (_, error) => changes.push(error),
    fetchTile: (stream, range, signal) =>
      new Promise((resolve, reject) => {
        const settle = async (act: () => void): Promise<void> => {
          act();
          await new Promise((done) =>
            queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => done(null)))),
          );
        };
        requests.push({
          key: `${stream}@${range.fromUs / tileSpanUs(0)}`,
          signal,
          answer: (tile = aTile) => settle(() => resolve(tile)),
          fail: (error) => settle(() => reject(error)),
        });
      }),
  });
  return { clock, requests, changes, store };
}

test('what is wanted is fetched once, the most urgent first, and kept', async () => {
  const { requests, store, changes } = setUp();
  store.setWishes([wish(2), wish(1)]);
  store.setWishes([wish(2), wish(1)]);
  expect(requests.map(({ key }) => key)).toEqual(['s@2', 's@1']);
  expect(store.peek('s', place(2))).toBeUndefined();
  await requests[0]!.answer();
  expect(store.peek('s', place(2))).toBe(aTile);
  expect(changes).toEqual([null]);
  store.setWishes([wish(2), wish(1)]);
  expect(requests.length).toBe(2);
});

test('at most five requests are under way; the next starts when one ends', async () => {
  const { requests, store } = setUp();
  store.setWishes(Array.from({ length: 20 }, (_, i) => wish(i)));
  expect(requests.length).toBe(5);
  await requests[0]!.answer();
  expect(requests.length).toBe(6);
  expect(store.inFlight).toBe(5);
});

test('what nobody wants any more is not waited for', async () => {
  const { requests, store } = setUp();
  store.setWishes([wish(1), wish(2)]);
  store.setWishes([wish(2), wish(3)]);
  expect(requests.map(({ signal }) => signal.aborted)).toEqual([true, false, false]);
  expect(store.counters.aborted).toBe(1);
  await requests[0]!.answer();
  expect(store.peek('s', place(1))).toBeUndefined();
});

test('a failed request is tried again after a pause that doubles', async () => {
  const { clock, requests, store, changes } = setUp();
  store.setWishes([wish(1)]);
  await requests[0]!.fail(new Error('gone'));
  expect(changes).toEqual([new Error('gone')]);
  expect(requests.length).toBe(1);
  clock.advance(1_000);
  expect(requests.length).toBe(2);
  await requests[1]!.fail(new Error('gone'));
  clock.advance(1_900);
  expect(requests.length).toBe(2);
  clock.advance(200);
  expect(requests.length).toBe(3);
});

test('tiles past a time go out of date, are drawn on, and are asked for again', async () => {
  const { requests, store } = setUp();
  store.setWishes([wish(1), wish(5)]);
  await requests[0]!.answer();
  await requests[1]!.answer();
  store.expire('s', tileRange(place(5)).fromUs);
  expect(store.isFresh('s', place(1))).toBe(true);
  expect(store.isFresh('s', place(5))).toBe(false);
  expect(store.peek('s', place(5))).toBe(aTile);
  expect(requests.map(({ key }) => key)).toEqual(['s@1', 's@5', 's@5']);
});

test('an answer that was under way when its data changed is not taken for the newest', async () => {
  const { requests, store } = setUp();
  store.setWishes([wish(1)]);
  store.expire('s', Number.NEGATIVE_INFINITY);
  await requests[0]!.answer();
  expect(store.peek('s', place(1))).toBe(aTile);
  expect(requests.length).toBe(2);
});

test('a tile that lacks readings is asked for again by itself', async () => {
  const { clock, requests, store } = setUp();
  store.setWishes([wish(1)]);
  await requests[0]!.answer({ ...aTile, unrolled: 7 });
  expect(requests.length).toBe(1);
  clock.advance(3_100);
  expect(requests.length).toBe(2);
});

test('the least recently drawn tile goes when there is no room', async () => {
  const { requests, store } = setUp(2.5 * bytesOf(aTile));
  store.setWishes([wish(1), wish(2)]);
  await requests[0]!.answer();
  await requests[1]!.answer();
  store.peek('s', place(1));
  store.setWishes([wish(1), wish(2), wish(3)]);
  await requests[2]!.answer();
  expect([1, 2, 3].map((index) => store.peek('s', place(index)) !== undefined)).toEqual([true, false, true]);
  expect(store.counters.evicted).toBe(1);
  // It is still wished for, but fetching it would only push out another.
  expect(requests.length).toBe(3);
});
