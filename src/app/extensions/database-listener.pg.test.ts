import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { listenToDatabase } from '#app/extensions/database-listener.ts';
import { createWatcherCounters } from '#app/extensions/watcher-counters.ts';
import type { DatabaseListening } from '#contract/watcher.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let owner: pg.Pool;
const endings: (() => Promise<void>)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  owner = openTestPool(database.ownerUrl);
  await owner.query('create table public.orders (id int generated always as identity, what text)');
});
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
  await owner.query('truncate public.orders restart identity');
});
afterAll(async () => {
  await owner.end();
  await database.drop();
});

function listen(listening: Partial<DatabaseListening> = {}) {
  const heard: string[] = [];
  const stopping = new AbortController();
  const counters = createWatcherCounters();
  const done = listenToDatabase(
    {
      url: database.ownerUrl,
      channel: 'orders',
      onGap: () => void heard.push('gap'),
      onNotification: (payload) => void heard.push(payload),
      ...listening,
    },
    {
      clock: systemClock,
      random: { next: () => 0 },
      signal: stopping.signal,
      log: silentLog,
      counters,
    },
  );
  done.catch(() => undefined);
  endings.push(async () => {
    stopping.abort();
    await done.catch(() => undefined);
  });
  return { heard, counters, done, stop: () => stopping.abort() };
}

const notify = (payload: string, channel = 'orders'): Promise<unknown> =>
  owner.query('select pg_notify($1, $2)', [channel, payload]);

/** Ends the connections that listen, as a restart of the database does. */
async function cut(): Promise<void> {
  const { rowCount } = await owner.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'kymo watcher' and datname = current_database()`,
  );
  expect(rowCount).toBe(1);
}

test('notifications come in order, behind a first look at what was there', async () => {
  const { heard, counters } = listen();
  await expect.poll(() => heard).toEqual(['gap']);
  for (const payload of ['a', 'b', '', 'ä']) await notify(payload);
  await notify('other', 'payments');
  await notify('last');
  await expect.poll(() => heard).toEqual(['gap', 'a', 'b', '', 'ä', 'last']);
  expect(counters).toMatchObject({ notifications: 5, gaps: 1, disconnects: 0 });
});

test('the name of a channel is no SQL', async () => {
  const channel = 'Orders"; drop table public.orders; --';
  const { heard } = listen({ channel });
  await expect.poll(() => heard).toEqual(['gap']);
  await notify('x', channel);
  await expect.poll(() => heard).toEqual(['gap', 'x']);
  await owner.query('select from public.orders');
});

test('what was written while the connection was away is read at the gap, each row once', async () => {
  const seen: number[] = [];
  let newest = 0;
  const readNew: DatabaseListening['onGap'] = async (query) => {
    for (const row of await query('select id from public.orders where id > $1 order by id', [newest])) {
      newest = row['id'] as number;
      seen.push(newest);
    }
  };
  const { counters } = listen({ onGap: readNew, onNotification: (_payload, query) => readNew(query) });
  const insert = async (): Promise<void> => {
    await owner.query("insert into public.orders (what) values ('shoes')");
    await notify('');
  };
  await insert();
  await expect.poll(() => seen).toEqual([1]);
  for (let round = 0; round < 3; round++) {
    await cut();
    await insert();
    await expect.poll(() => seen.length).toBe(round + 2);
  }
  await insert();
  await expect.poll(() => seen).toEqual([1, 2, 3, 4, 5]);
  expect(counters).toMatchObject({ disconnects: 3, gaps: 4 });
});

test('a full inbox is emptied and is a gap', async () => {
  let release = (): void => undefined;
  const heard: string[] = [];
  const { counters } = listen({
    onGap: () => void heard.push('gap'),
    onNotification: async (payload) => {
      heard.push(payload);
      if (payload === 'first') await new Promise<void>((resolve) => (release = resolve));
    },
  });
  await expect.poll(() => heard).toEqual(['gap']);
  await notify('first');
  await expect.poll(() => heard).toEqual(['gap', 'first']);
  // One more than wait, in one transaction; the last of them overflows, and all that waited goes.
  await owner.query("select pg_notify('orders', n::text) from generate_series(1, 1001) n");
  await notify('marker', 'orders');
  // The marker waits behind the gap, so once it is there the gap was told.
  await expect.poll(() => counters.notifications, { timeout: 5_000 }).toBe(1);
  release();
  await expect.poll(() => heard.at(-1)).toBe('marker');
  expect(heard).toEqual(['gap', 'first', 'gap', 'marker']);
});

test('a handler whose statement meets the end of the connection has not failed; one that throws has', async () => {
  let gaps = 0;
  const { done, counters } = listen({
    onGap: () => void gaps++,
    onNotification: async (payload, query) => {
      if (payload === 'cut') await query('select pg_terminate_backend(pg_backend_pid())');
      throw new Error('a bug');
    },
  });
  await expect.poll(() => gaps).toBe(1);
  await notify('cut');
  await expect.poll(() => gaps).toBe(2);
  expect(counters.disconnects).toBe(1);
  await notify('break');
  await expect(done).rejects.toThrow('a bug');
});

test('a channel that PostgreSQL would cut is refused, and stopping ends the connection', async () => {
  await expect(listen({ channel: 'x'.repeat(64) }).done).rejects.toThrow('1 to 63 bytes');
  const { heard, done, stop } = listen();
  await expect.poll(() => heard).toEqual(['gap']);
  stop();
  await done;
  await expect
    .poll(
      async () =>
        (await owner.query("select from pg_stat_activity where application_name = 'kymo watcher'")).rowCount,
    )
    .toBe(0);
});
