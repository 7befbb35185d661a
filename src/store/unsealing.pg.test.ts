import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type pg from 'pg';

import { ensurePartitions } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createSealTask } from '#store/seal-task.ts';
import { sealSession, unsealSession } from '#store/unsealing.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import {
  countRows,
  endStream,
  openStream,
  readAll,
  readSegments,
  START_US,
  storeReadings,
  type TestStore,
  type TestStream,
} from '#test/support/sealed-streams.ts';
import { createTenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let store: TestStore;
let owner: pg.Pool;
let writer: pg.Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  const pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  store = { pools, writer, tenant: await createTenant(database.ownerUrl, pools, 'A') };
});

beforeEach(async () => {
  await writer.query('delete from kymo.chunk');
});

afterAll(async () => {
  await store.pools.close();
  await owner.end();
  await writer.end();
  await database.drop();
});

async function sealAll(): Promise<void> {
  const task = createSealTask();
  while ((await task.step(writer, new AbortController().signal)) === 'more');
}

async function sealedStream(toSeq: number, encoding: 'float32' | 'int16' = 'float32'): Promise<TestStream> {
  const stream = await openStream(store, { encoding, ...(encoding === 'int16' ? { scale: [1, 2, 3] } : {}) });
  await storeReadings(store, stream, { fromSeq: 0, toSeq });
  await endStream(store, stream);
  await sealAll();
  return stream;
}

test.each(['float32', 'int16'] as const)(
  '%s readings come back plain, for plain SQL too, stay so, and are sealed again',
  async (encoding) => {
    const stream = await sealedStream(1_730, encoding);
    const before = await readAll(writer, stream);
    const segments = await readSegments(writer, stream);
    const plain = {
      text: 'select count(*)::int as n from kymo.reading where stream_id = $1',
      values: [stream.streamId],
    };
    expect((await owner.query(plain)).rows).toEqual([{ n: 0 }]);

    const seen: number[] = [];
    const report = await unsealSession(writer, stream.sessionId, {
      onProgress: ({ readings, of }) => seen.push(readings / of),
    });
    expect(report).toEqual({ streams: 1, readings: 1_730, blocks: 1 });
    expect(seen.at(-1)).toBe(1);
    expect(await countRows(writer, stream)).toMatchObject({ sealed: 0 });
    expect(await readAll(writer, stream)).toEqual(before);
    expect(await readSegments(writer, stream)).toBe(segments);
    expect((await owner.query(plain)).rows).toEqual([{ n: 1_730 }]);
    const sizes = await writer.query<{ n: number }>(
      'select max(n) as n from kymo.chunk where stream_id = $1',
      [stream.streamId],
    );
    expect(sizes.rows[0]!.n).toBeLessThanOrEqual(500);

    await sealAll();
    expect(await countRows(writer, stream)).toMatchObject({ sealed: 0 });
    expect(await sealSession(writer, stream.sessionId)).toMatchObject({ readings: 1_730, blocks: 1 });
    expect(await countRows(writer, stream)).toEqual({ hot: 0, sealed: 1 });
    expect(await readAll(writer, stream)).toEqual(before);
    expect(await readSegments(writer, stream)).toBe(segments);
  },
);

test('what is interrupted goes on from where it was', async () => {
  const stream = await sealedStream(40_000);
  const before = await readAll(writer, stream);
  const ending = new AbortController();
  await expect(
    unsealSession(writer, stream.sessionId, { signal: ending.signal, onProgress: () => ending.abort() }),
  ).rejects.toThrow(/abort/);
  expect((await countRows(writer, stream)).sealed).toBe(2);
  expect(await readAll(writer, stream)).toEqual(before);
  await unsealSession(writer, stream.sessionId);
  expect((await countRows(writer, stream)).sealed).toBe(0);
  expect(await readAll(writer, stream)).toEqual(before);
});

test('a damaged row is named, costs nothing else, and is left as it is', async () => {
  const stream = await sealedStream(40_000);
  await writer.query(
    `update kymo.sealed_chunk set block = set_byte(block, 5000, get_byte(block, 5000) # 1)
      where stream_id = $1 and first_seq = (select min(first_seq) from kymo.sealed_chunk
        where stream_id = $1 and first_seq > 0)`,
    [stream.streamId],
  );
  const queries = createReadingQueries(store.pools.app);
  const read = (fromUs: number) =>
    queries.read(stream.orgId, {
      streamId: stream.streamId,
      fromUs,
      toUs: fromUs + 1e6,
      limit: 100,
      cursor: null,
    });
  expect(await read(START_US)).toMatchObject({ rowCount: 100 });
  expect(await read(START_US + 190_000_000)).toMatchObject({ rowCount: 100 });
  const named = new RegExp(`sealed readings \\d+ to \\d+ of stream ${stream.streamId} are damaged`);
  await expect(read(START_US + 20_000 * 5_000)).rejects.toMatchObject({
    code: 'damaged-readings',
    message: named,
  });
  await expect(unsealSession(writer, stream.sessionId)).rejects.toMatchObject({
    code: 'damaged-readings',
    message: /^1 of 3 sealed rows are damaged/,
  });
  expect((await countRows(writer, stream)).sealed).toBe(1);
});

test('no session, and what is no id, are told apart', async () => {
  const nobody = '00000000-0000-7000-8000-000000000000';
  await expect(unsealSession(writer, nobody)).rejects.toMatchObject({ code: 'not-found' });
  await expect(sealSession(writer, 'K-17')).rejects.toMatchObject({ code: 'invalid-field' });
});
