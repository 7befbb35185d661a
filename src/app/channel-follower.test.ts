import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import type { Broker, BrokerListener } from '#bus/broker.ts';
import { followChannel } from '#app/channel-follower.ts';
import type { Publication } from '#protocol/publication.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const PAST_US = 60_000_000;
const LOOK_MS = 10_000;
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A log with one channel, whose announcements the test makes itself. */
function start() {
  const clock = createManualClock();
  const kept: Publication[] = [];
  const listeners = new Set<BrokerListener>();
  const state = { epoch: 'a', isAway: false, reads: 0 };
  const broker: Broker = {
    publish: () => Promise.reject(new Error('not asked')),
    history: async (_, query) => {
      state.reads++;
      if (state.isAway) throw new AppError('store-unavailable', 'away', { temporary: true });
      const { limit } = query;
      const publications =
        'after' in query
          ? kept.filter(({ offset }) => offset > query.after).slice(0, limit)
          : kept.filter(({ offset }) => !('before' in query) || offset < query.before).slice(-limit);
      return { epoch: state.epoch, newest: kept.length, oldest: 1, publications };
    },
    listen: (_, listener) => {
      listeners.add(listener);
      return { ready: Promise.resolve(), stop: () => void listeners.delete(listener) };
    },
    close: async () => undefined,
  };
  const heard: (number | string)[] = [];
  const stop = followChannel({
    broker,
    address: 'org/a',
    clock,
    log: silentLog,
    pastUs: PAST_US,
    lookMs: () => LOOK_MS,
    message: ({ offset }) => heard.push(offset),
    caughtUp: () => heard.push('caught up'),
    reset: () => heard.push('reset'),
  });
  const append = (timeUs = clock.nowUs()): Publication => {
    const publication = { offset: kept.length + 1, timeUs, payload: new Uint8Array() };
    kept.push(publication);
    return publication;
  };
  return {
    clock,
    state,
    heard,
    stop,
    listeners,
    append,
    announce(publication: Publication) {
      for (const listener of listeners) listener.publication(state.epoch, publication);
    },
  };
}

test('the recent past comes first, in order and over several pages, then what is new', async () => {
  const { append, announce, heard, clock } = start();
  for (let i = 0; i < 5; i++) append(clock.nowUs() - PAST_US - 1);
  for (let i = 0; i < 600; i++) append();
  await settle();
  announce(append());
  expect(heard).toEqual([...Array.from({ length: 600 }, (_, i) => 6 + i), 'caught up', 606]);
});

test('what was announced while the past was read comes once', async () => {
  const { append, announce, heard } = start();
  append();
  announce(append());
  await settle();
  announce(append());
  expect(heard).toEqual([1, 2, 'caught up', 3]);
});

test('a hole is filled before what comes after it, and what came already does not come again', async () => {
  const { append, announce, heard } = start();
  await settle();
  const first = append();
  const second = append();
  announce(append());
  await settle();
  announce(second);
  announce(first);
  await settle();
  announce(append());
  expect(heard).toEqual(['caught up', 1, 2, 3, 4]);
});

test('what was never announced is found by looking', async () => {
  const { append, heard, clock, listeners } = start();
  await settle();
  append();
  clock.advance(LOOK_MS - 1);
  await settle();
  expect(heard).toEqual(['caught up']);
  clock.advance(1);
  await settle();
  expect(heard).toEqual(['caught up', 1]);
  append();
  for (const listener of listeners) listener.resumed();
  await settle();
  expect(heard).toEqual(['caught up', 1, 2]);
});

test('another epoch begins anew', async () => {
  const { append, announce, heard, state } = start();
  append();
  await settle();
  state.epoch = 'b';
  announce(append());
  await settle();
  expect(heard).toEqual([1, 'caught up', 'reset', 1, 2, 'caught up']);
});

test('a store that is away is asked again, and not all the time', async () => {
  const { append, heard, clock, state } = start();
  state.isAway = true;
  append();
  await settle();
  const { reads } = state;
  for (let i = 0; i < 3; i++) {
    clock.advance(1_000);
    await settle();
  }
  expect(state.reads - reads).toBe(3);
  state.isAway = false;
  clock.advance(1_000);
  await settle();
  expect(heard).toEqual([1, 'caught up']);
});

test('after its end nothing is handed over, asked or listened to', async () => {
  const { append, announce, heard, clock, state, stop, listeners } = start();
  await settle();
  const { reads } = state;
  const late = append();
  stop();
  announce(late);
  clock.advance(LOOK_MS * 3);
  await settle();
  expect(heard).toEqual(['caught up']);
  expect(state.reads).toBe(reads);
  expect(listeners.size).toBe(0);
  expect(clock.timerCount).toBe(0);
});
