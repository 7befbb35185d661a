import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import pg from 'pg';

import { ensurePartitions, makePartitions } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { nextHotPiece, sealNext, type SealPiece } from '#store/sealing.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import {
  countRows,
  endStream,
  openStream,
  readAll,
  storeReadings,
  type TestStore,
  type TestStream,
} from '#test/support/sealed-streams.ts';
import { createTenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let store: TestStore;
let writer: pg.Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  const pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  store = { pools, writer, tenant: await createTenant(database.ownerUrl, pools, 'A') };
});

beforeEach(async () => {
  await writer.query('delete from kymo.chunk');
});

afterAll(async () => {
  await store.pools.close();
  await writer.end();
  await database.drop();
});

async function endedStream(): Promise<{ stream: TestStream; piece: SealPiece }> {
  const stream = await openStream(store);
  await storeReadings(store, stream, { fromSeq: 0, toSeq: 600 });
  await endStream(store, stream);
  return { stream, piece: await pieceOf(stream) };
}

async function pieceOf(stream: TestStream): Promise<SealPiece> {
  const client = await writer.connect();
  try {
    const piece = await nextHotPiece(client, stream.streamId);
    if (piece === null) throw new Error('nothing is hot');
    return piece;
  } finally {
    client.release();
  }
}

/** A connection that calls `before` with each statement before it sends it. */
async function connectWatched(
  before: (text: string, client: pg.Client) => Promise<void>,
): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: store.pools.writerUrl });
  client.on('error', () => undefined);
  await client.connect();
  const send = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  client.query = (async (...args: unknown[]) => {
    await before(String(args[0]), client);
    return send(...args);
  }) as typeof client.query;
  return client;
}

test('a sealer whose connection dies between any two statements leaves every reading in one place', async () => {
  let died = 0;
  let survivor: string | undefined;
  for (let dieAt = 1; survivor === undefined; dieAt++) {
    const { stream, piece } = await endedStream();
    const before = await readAll(writer, stream);
    let statements = 0;
    const client = await connectWatched(async (_, victim) => {
      statements++;
      if (statements !== dieAt) return;
      const { processID } = victim as unknown as { processID: number };
      const ended = new Promise((resolve) => victim.once('end', resolve));
      await writer.query('select pg_terminate_backend($1)', [processID]);
      await ended;
    });
    const outcome = await sealNext(client, piece).catch(() => null);
    await client.end().catch(() => undefined);
    expect(await readAll(writer, stream)).toEqual(before);
    const rows = await countRows(writer, stream);
    expect([0, 12]).toContain(rows.hot);
    expect(rows.sealed).toBe(rows.hot === 0 ? 1 : 0);
    if (statements < dieAt) {
      survivor = String(outcome?.state);
      continue;
    }
    died++;
    // Whoever comes next does the work.
    const next = await writer.connect();
    expect((await sealNext(next, await pieceOf(stream))).state).toBe('sealed');
    next.release();
    expect(await readAll(writer, stream)).toEqual(before);
  }
  // Reading, layout, partition, begin, time-out, guard, hold, insert, delete, note, commit.
  expect(died).toBeGreaterThanOrEqual(10);
  expect(survivor).toBe('sealed');
});

test('readings that a flush commits between packing and the lock stay hot', async () => {
  const { stream, piece } = await endedStream();
  const client = await connectWatched(async (text) => {
    if (text === 'begin') await storeReadings(store, stream, { fromSeq: 600, toSeq: 650 });
  });
  expect((await sealNext(client, piece)).state).toBe('sealed');
  await client.end();
  expect(await countRows(writer, stream)).toEqual({ hot: 1, sealed: 1 });
  expect(await readAll(writer, stream)).toHaveLength(650);
});

test('a flush that holds the guard row is waited for, and its readings stay hot', async () => {
  const { stream, piece } = await endedStream();
  const flush = new pg.Client({ connectionString: store.pools.writerUrl });
  await flush.connect();
  await flush.query('begin');
  await flush.query('select from kymo.stream_epoch where stream_id = $1 and epoch = $2 for update', [
    stream.streamId,
    epochToInt8(stream.epoch),
  ]);
  const client = await connectWatched(async () => undefined);
  const sealing = sealNext(client, piece);
  const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and pid = $1`;
  const { processID } = client as unknown as { processID: number };
  while ((await writer.query(waiting, [processID])).rowCount === 0);
  await storeReadings({ writer: flush as unknown as pg.Pool }, stream, { fromSeq: 600, toSeq: 700 });
  await flush.query('commit');
  expect((await sealing).state).toBe('sealed');
  await Promise.all([flush.end(), client.end()]);
  expect(await countRows(writer, stream)).toEqual({ hot: 2, sealed: 1 });
  expect(await readAll(writer, stream)).toHaveLength(700);
});

test('rows that someone else took away meanwhile, an erased stream and a held one are left alone', async () => {
  const changes = {
    taken: 'delete from kymo.chunk where stream_id = $1 and first_seq = 100',
    erased: 'delete from kymo.stream_epoch where stream_id = $1',
    held: `insert into kymo.seal_hold select $1::uuid, '${store.tenant.orgId}'`,
  };
  for (const change of Object.values(changes)) {
    const { stream, piece } = await endedStream();
    const client = await connectWatched(async (text) => {
      if (text === 'begin') await writer.query(change, [stream.streamId]);
    });
    expect((await sealNext(client, piece)).state).toBe('lost');
    await client.end();
    const { sealed, hot } = await countRows(writer, stream);
    expect({ sealed, hot: hot >= 11 }).toEqual({ sealed: 0, hot: true });
  }
});

test('sealed readings keep their retention class, and a missing partition is made', async () => {
  const owner = openTestPool(database.ownerUrl);
  await owner.query("insert into kymo.retention_class (class, name, raw_days) values (3, 'a year', 365)");
  await owner.end();
  await ensurePartitions(writer);
  const { stream } = await endedStream();
  await writer.query('update kymo.chunk set retention_class = 3 where stream_id = $1', [stream.streamId]);
  const piece = await pieceOf(stream);
  expect(piece.retentionClass).toBe(3);
  const name = `kymo.sealed_chunk_c3_${piece.day.replaceAll('-', '')}`;
  await writer.query(`drop table ${name}`);
  const client = await writer.connect();
  expect((await sealNext(client, piece)).state).toBe('sealed');
  // Nothing is left to make.
  await makePartitions(client, [piece]);
  client.release();
  const { rows } = await writer.query(`select n from ${name} where stream_id = $1`, [stream.streamId]);
  expect(rows).toEqual([{ n: 600 }]);
});
