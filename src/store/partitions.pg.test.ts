import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { ensurePartitions, makePartitions, parsePartitionName, partitionName } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;

beforeEach(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
});

afterEach(async () => {
  await pools.close();
  await writer.end();
  await database.drop();
});

const tree = async (): Promise<string[]> => {
  const { rows } = await writer.query<{ name: string }>(
    `select relid::regclass::text as name from pg_partition_tree('kymo.chunk') where level > 0 order by level, 1`,
  );
  return rows.map((row) => row.name.replace(/^kymo\./, ''));
};

test('the days from today to the day after tomorrow exist, and asking again changes nothing', async () => {
  await ensurePartitions(writer);
  const { rows } = await writer.query<{ day: string }>(
    `select to_char((now() at time zone 'UTC')::date + i, 'YYYYMMDD') as day from generate_series(0, 2) i`,
  );
  const expected = ['chunk_c0', ...rows.map(({ day }) => `chunk_c0_${day}`)];
  expect(await tree()).toEqual(expected);
  await ensurePartitions(writer);
  expect(await tree()).toEqual(expected);
});

test('two makers at once make each partition once', async () => {
  await Promise.all([ensurePartitions(writer), ensurePartitions(writer)]);
  expect(await tree()).toHaveLength(4);
});

test('a partition keeps rows as it was measured: in one piece, uncompressed, indexed', async () => {
  await ensurePartitions(writer);
  const name = (await tree()).at(-1)!;
  const { rows: options } = await writer.query<{ option: string }>(
    `select unnest(reloptions) as option from pg_class where oid = $1::regclass order by 1`,
    [`kymo.${name}`],
  );
  expect(options.map((row) => row.option)).toEqual([
    'autovacuum_vacuum_insert_scale_factor=0.5',
    'toast_tuple_target=8160',
  ]);
  const { rows: storage } = await writer.query<{ name: string; storage: string }>(
    `select attname as name, attstorage as storage from pg_attribute
      where attrelid = $1::regclass and attname in ('data', 'segments') order by 1`,
    [`kymo.${name}`],
  );
  expect(storage).toEqual([
    { name: 'data', storage: 'e' },
    { name: 'segments', storage: 'e' },
  ]);
  // Each is a part of the parent's index, so that planning sees it.
  const { rows: indexes } = await writer.query<{ method: string; options: string[] | null }>(
    `select a.amname as method, c.reloptions as options from pg_inherits i
       join pg_index x on x.indexrelid = i.inhrelid join pg_class c on c.oid = x.indexrelid
       join pg_am a on a.oid = c.relam
      where x.indrelid = $1::regclass order by 1`,
    [`kymo.${name}`],
  );
  expect(indexes).toEqual([
    { method: 'brin', options: ['pages_per_range=32'] },
    { method: 'btree', options: null },
  ]);
});

test('a long reader of chunks neither delays the making nor, behind it, the flushes', async () => {
  const reader = await writer.connect();
  try {
    await reader.query('begin');
    await reader.query('select from kymo.chunk limit 1');
    await ensurePartitions(writer);
    expect(await tree()).toHaveLength(4);
  } finally {
    await reader.query('rollback');
    reader.release();
  }
});

test('the application may not read a partition past its parent', async () => {
  await ensurePartitions(writer);
  for (const name of await tree())
    await expect(pools.app.run([{ text: `select from kymo.${name}` }])).rejects.toThrow('permission denied');
});

test('only the writer can make partitions', async () => {
  const app = openTestPool(database.ownerUrl);
  try {
    await app.query('set role kymo_app');
    await expect(app.query('create table kymo.mine (a int)')).rejects.toThrow('permission denied');
  } finally {
    await app.end();
  }
});

test('every retention class gets its days, and a class that was added later as well', async () => {
  await ensurePartitions(writer);
  const owner = openTestPool(database.ownerUrl);
  await owner.query("insert into kymo.retention_class (class, name, raw_days) values (3, 'a month', 30)");
  await owner.end();
  await ensurePartitions(writer);
  const names = await tree();
  expect(names.filter((name) => name.startsWith('chunk_c3_'))).toHaveLength(3);
  expect(names).toHaveLength(8);
});

test('days of the past are made where somebody brings readings back', async () => {
  const client = await writer.connect();
  try {
    await client.query('begin');
    await makePartitions(client, [
      { retentionClass: 0, day: '2024-02-29' },
      { retentionClass: 5, day: '2024-12-31' },
    ]);
    await makePartitions(client, [{ retentionClass: 0, day: '2024-02-29' }]);
    await client.query('commit');
  } finally {
    client.release();
  }
  expect(await tree()).toEqual(['chunk_c0', 'chunk_c5', 'chunk_c0_20240229', 'chunk_c5_20241231']);
});

test('names of partitions are read back, and others are not ours', () => {
  const partition = { table: 'sealed_chunk', retentionClass: 7, day: '2026-01-31' } as const;
  expect(parsePartitionName(partitionName(partition))).toEqual(partition);
  for (const name of ['chunk_c0', 'chunk_c8_20260131', 'chunk_c0_2026013', 'xchunk_c0_20260131'])
    expect(parsePartitionName(name)).toBeNull();
});
