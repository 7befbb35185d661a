import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { startBackgroundThread } from '#app/background-thread.ts';
import type { JobWorkerData } from '#app/job-worker.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

test('told that the database is another one, the thread uses no connection that it had', async () => {
  const connections = async (): Promise<number[]> =>
    (
      await owner.query<{ pid: number }>(
        `select pid from pg_stat_activity where datname = current_database() and usename in ('kymo_jobs', 'kymo_audit')`,
      )
    ).rows.map(({ pid }) => pid);
  const directory = createTemporaryDirectory();
  const thread = startBackgroundThread({
    entry: new URL('./job-worker.ts', import.meta.url),
    data: {
      urls: pools.urls,
      logLevel: 'error',
      version: '0.0.0',
      workers: 1,
      otherShards: [],
      webhooksPrivate: false,
      masterKey: '',
      stateDir: directory.path,
      sendsMail: true,
    } satisfies JobWorkerData,
    onMessage: () => undefined,
    clock: systemClock,
    log: silentLog,
  });
  const wait = { timeout: 20_000, interval: 50 };
  try {
    await expect.poll(async () => (await connections()).length, wait).toBeGreaterThan(0);
    const before = new Set(await connections());
    thread.tell('renew');
    await expect
      .poll(async () => {
        const now = await connections();
        return now.length > 0 && now.every((pid) => !before.has(pid));
      }, wait)
      .toBe(true);
    expect(thread.deaths).toBe(0);
    const { rows } = await owner.query(
      `select from graphile_worker._private_known_crontabs where identifier = 'digests'`,
    );
    expect(rows).toHaveLength(1);
  } finally {
    await thread.stop();
    directory.remove();
  }
}, 60_000);
