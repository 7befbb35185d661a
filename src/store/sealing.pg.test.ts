import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type pg from 'pg';

import { createCatalogue } from '#store/catalogue.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createSealTask } from '#store/seal-task.ts';
import { sealNext } from '#store/sealing.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import type { UpkeepTask } from '#store/upkeep.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import {
  countRows,
  endStream,
  moveToDay,
  openStream,
  readAll,
  readSegments,
  START_US,
  storeReadings,
  type TestStore,
  type TestStream,
} from '#test/support/sealed-streams.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let store: TestStore;
let owner: pg.Pool;
let writer: pg.Pool;
let stranger: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  const pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  store = { pools, writer, tenant: await createTenant(database.ownerUrl, pools, 'A') };
  stranger = await createTenant(database.ownerUrl, pools, 'B');
});

beforeEach(async () => {
  // Each test seals only its own stream.
  await writer.query('delete from kymo.chunk');
});

afterAll(async () => {
  await store.pools.close();
  await owner.end();
  await writer.end();
  await database.drop();
});

const never = new AbortController().signal;

async function sealAll(task: UpkeepTask = createSealTask()): Promise<number> {
  let steps = 0;
  while ((await task.step(writer, never)) === 'more') {
    steps++;
    if (steps > 200) throw new Error('the sealer does not come to an end');
  }
  return steps;
}

async function endedStream(toSeq = 1_200): Promise<TestStream> {
  const stream = await openStream(store);
  await storeReadings(store, stream, { fromSeq: 0, toSeq });
  await endStream(store, stream);
  return stream;
}

test.each(['float32', 'int16'] as const)(
  '%s readings are the same after sealing, bit by bit, for every reader',
  async (encoding) => {
    const stream = await openStream(store, {
      encoding,
      ...(encoding === 'int16' ? { scale: [1, 0.5, 2] } : {}),
    });
    await storeReadings(store, stream, { fromSeq: 0, toSeq: 730 });
    await storeReadings(store, stream, { fromSeq: 900, toSeq: 1_000 });
    const query = {
      streamId: stream.streamId,
      fromUs: START_US + 50_000,
      toUs: START_US + 4_800_000,
      limit: 10_000,
    };
    const queries = createReadingQueries(store.pools.app);
    const look = async (): Promise<unknown> => {
      const page = await queries.read(stream.orgId, { ...query, cursor: null });
      const rows = typeof page === 'string' ? page : Buffer.from(page.rows.buffer).toString('hex');
      return [
        await readAll(writer, stream),
        await readSegments(writer, stream),
        rows,
        typeof page === 'string' ? page : page.runs,
        await createEnvelopeQueries(store.pools.app).read(stream.orgId, { ...query, width: 64 }),
        await createCatalogue(store.pools).checksumOf(store.tenant.device, stream, 123),
      ];
    };
    const before = await look();
    await endStream(store, stream);
    await sealAll();
    expect(await countRows(writer, stream)).toEqual({ hot: 0, sealed: 2 });
    expect(await look()).toEqual(before);
  },
);

test('a stream goes on in hot rows behind sealed ones, and readers see both in order', async () => {
  const stream = await endedStream(600);
  await sealAll();
  await storeReadings(store, stream, { fromSeq: 700, toSeq: 900 });
  await storeReadings(store, stream, { fromSeq: 600, toSeq: 650 });
  expect(await countRows(writer, stream)).toEqual({ hot: 5, sealed: 1 });
  const seqs = (await readAll(writer, stream)).map((line) => Number(line.split(' ')[0]));
  expect(seqs).toEqual([...Array(650).keys(), ...Array.from({ length: 200 }, (_, i) => 700 + i)]);
});

test('streams that go on, or ended just now, stay hot; past days of any stream are sealed, with their day', async () => {
  const open = await openStream(store);
  await storeReadings(store, open, { fromSeq: 0, toSeq: 100 });
  const fresh = await openStream(store);
  await storeReadings(store, fresh, { fromSeq: 0, toSeq: 100 });
  await endStream(store, fresh, 5);
  await sealAll();
  expect(await countRows(writer, open)).toEqual({ hot: 2, sealed: 0 });
  expect(await countRows(writer, fresh)).toEqual({ hot: 2, sealed: 0 });

  await ensurePartitions(writer, () => -40);
  const { rows } = await writer.query<{ day: string }>(
    `select ((now() at time zone 'utc')::date - 40)::text as day`,
  );
  const day = rows[0]!.day;
  const whole = await readAll(writer, open);
  await moveToDay(writer, open, day);
  await storeReadings(store, open, { fromSeq: 100, toSeq: 150 });
  const task = createSealTask();
  await sealAll(task);
  expect(await countRows(writer, open)).toEqual({ hot: 1, sealed: 1 });
  expect((await readAll(writer, open)).slice(0, 100)).toEqual(whole);
  const sealed = await writer.query<{ day: string; class: number }>(
    `select commit_day::text as day, retention_class as class from kymo.sealed_chunk where stream_id = $1`,
    [open.streamId],
  );
  expect(sealed.rows).toEqual([{ day, class: 0 }]);
  expect(task.counters).toMatchObject({ readings: 100, chunks: 2, blocks: 1, lost: 0, failed: 0 });
});

test('a long stream is sealed in parts', async () => {
  const stream = await openStream(store);
  await storeReadings(store, stream, { fromSeq: 0, toSeq: 20_000 });
  const before = await readAll(writer, stream);
  await endStream(store, stream);
  const task = createSealTask();
  expect(await sealAll(task)).toBeGreaterThan(2);
  expect(task.counters.blocks).toBe(2);
  expect(await readAll(writer, stream)).toEqual(before);
});

test('another organisation reads no sealed readings, and none that has no organisation', async () => {
  const stream = await endedStream(100);
  await sealAll();
  const query = { streamId: stream.streamId, fromUs: 0, toUs: 2 ** 52, limit: 10, cursor: null };
  expect(await createReadingQueries(store.pools.app).read(stranger.orgId, query)).toBe('unknown-stream');
  const count = { text: 'select count(*)::int as n from kymo.sealed_chunk' };
  const [none] = await store.pools.app.run([count]);
  expect(none?.rows).toEqual([{ n: 0 }]);
  for (const table of ['kymo.sealed_chunk', 'kymo.stream_sealing', 'kymo.seal_hold'])
    await expect(store.pools.app.run([{ text: `delete from ${table}` }])).rejects.toThrow(
      /permission denied/,
    );
});

test('late readings make a new revision of an ended session, once they come and not again when they are sealed', async () => {
  const stream = await endedStream(100);
  const revision = async (): Promise<number | undefined> =>
    (await createSessionQueries(store.pools.app).detail(stream.orgId, stream.sessionId))?.session.revision;
  expect(await revision()).toBe(1);
  await sealAll();
  expect(await revision()).toBe(1);
  await storeReadings(store, stream, { fromSeq: 200, toSeq: 250 });
  expect(await revision()).toBe(2);
  await sealAll(createSealTask());
  expect(await countRows(writer, stream)).toEqual({ hot: 0, sealed: 2 });
  expect(await revision()).toBe(2);
  await storeReadings(store, stream, { fromSeq: 100, toSeq: 150 });
  expect(await revision()).toBe(3);
});

test('two sealers at once move every reading once', async () => {
  const streams = await Promise.all([endedStream(2_000), endedStream(2_000), endedStream(2_000)]);
  const before = await Promise.all(streams.map((stream) => readAll(writer, stream)));
  await Promise.all([sealAll(), sealAll(), sealAll()]);
  await sealAll();
  for (const [i, stream] of streams.entries()) {
    expect(await readAll(writer, stream)).toEqual(before[i]);
    expect((await countRows(writer, stream)).hot).toBe(0);
  }
});

test('without the lock between sealers, the second finds the rows changed and does nothing', async () => {
  const stream = await endedStream(500);
  const before = await readAll(writer, stream);
  const piece = await pieceOf(stream);
  const clients = await Promise.all([writer.connect(), writer.connect()]);
  const outcomes = await Promise.all(clients.map((client) => sealNext(client, piece)));
  for (const client of clients) client.release();
  expect(outcomes.map((outcome) => outcome.state).toSorted()).toEqual(['lost', 'sealed']);
  expect(await readAll(writer, stream)).toEqual(before);
});

async function pieceOf(stream: TestStream) {
  const { rows } = await writer.query<{ epoch: string; day: string }>(
    `select epoch::text, commit_day::text as day from kymo.chunk where stream_id = $1 limit 1`,
    [stream.streamId],
  );
  return { streamId: stream.streamId, ...rows[0]!, retentionClass: 0, fromSeq: 0 };
}
