import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamHandle } from '#contract/readings.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { eraseSessions } from '#store/erasure.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createWriter, type Writer } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTestSource, type TestSource } from '#test/support/frame-source.ts';
import { frameOf } from '#test/support/frames.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let tables: pg.Pool;
let tenant: Tenant;
let writer: Writer;
const logged: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  tables = openTestPool(pools.writerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  const note = (message: string): void => void logged.push(message);
  writer = createWriter({
    connectionString: pools.writerUrl,
    config: { ...defaultWriterConfig, flushIntervalMs: 5 },
    clock: systemClock,
    random: Math.random,
    log: { debug: note, info: note, warn: note, error: note },
  });
  await writer.preparePartitions();
});

afterAll(async () => {
  await writer.stop();
  await pools.close();
  await tables.end();
  await database.drop();
});

async function open(definition = streamDefinition()): Promise<StreamHandle> {
  const opened = await createCatalogue(pools).openStream(tenant.device, { definition, epoch: randomEpoch() });
  if (!opened.ok) throw new Error(opened.error.message);
  return opened.value.handle;
}

async function store(source: TestSource, firstSeq: number): Promise<void> {
  source.push(frameOf(source.handle, firstSeq, 10));
  source.declare({ from: firstSeq + 10, to: firstSeq + 20, reason: 'sensor-fault' });
  writer.due(source);
  expect(await writer.drain(10_000)).toBe(true);
}

async function rowsOf({ definition }: StreamHandle): Promise<unknown> {
  const { rows } = await tables.query(
    `select (select count(*)::int from kymo.chunk where stream_id = $1) as chunks,
            (select count(*)::int from kymo.loss where stream_id = $1) as losses,
            (select count(*)::int from kymo.stream_epoch where stream_id = $1) as epochs`,
    [definition.stream],
  );
  return rows[0];
}

const nothing = { chunks: 0, losses: 0, epochs: 0 };

/** Starts to erase and stops at the readings, which a reader of one of them holds. */
async function stopAtReadings(handle: StreamHandle) {
  const holder = await tables.connect();
  await holder.query('begin');
  await holder.query('select from kymo.chunk where stream_id = $1 for update', [handle.definition.stream]);
  const erased = eraseSessions(pools, tenant.orgId, [handle.definition.session]);
  await expect.poll(async () => ((await rowsOf(handle)) as typeof nothing).epochs).toBe(0);
  return {
    erased,
    async goOn() {
      await holder.query('rollback');
      holder.release();
    },
  };
}

test('a flush does not wait while the readings of a large session are removed, and ends nobody', async () => {
  const source = createTestSource(await open());
  await store(source, 0);
  const { erased, goOn } = await stopAtReadings(source.handle);
  const startedMs = performance.now();
  await store(source, 100);
  expect(performance.now() - startedMs).toBeLessThan(900);
  expect(source.heard).toEqual(['settled', 'unknown']);
  await goOn();
  expect(await erased).toBe(1);
  expect(await rowsOf(source.handle)).toEqual(nothing);
  expect(logged).not.toContain('ended a stuck writer that held guard rows');
});

test('what a device stores in a stream that it opened again meanwhile is erased as well', async () => {
  const definition = streamDefinition();
  const source = createTestSource(await open(definition));
  await store(source, 0);
  const { erased, goOn } = await stopAtReadings(source.handle);
  const again = createTestSource(await open(definition));
  await store(again, 0);
  expect(again.heard).toEqual(['settled']);
  await goOn();
  expect(await erased).toBe(1);
  expect(await rowsOf(source.handle)).toEqual(nothing);
});

test('erasing and flushing the same streams at once never deadlock', async () => {
  const definition = streamDefinition();
  const handles = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      open(streamDefinition({ session: definition.session, segment: `s${i}` })),
    ),
  );
  const sources = handles.map(createTestSource);
  const before = writer.counters.failures.blocked;
  for (let round = 0; round < 5; round++) {
    for (const source of sources.toReversed()) {
      source.push(frameOf(source.handle, round * 10, 10));
      writer.due(source);
    }
    await Promise.all([
      writer.drain(10_000),
      round === 3 && eraseSessions(pools, tenant.orgId, [definition.session]),
    ]);
  }
  expect(writer.counters.failures.blocked).toBe(before);
  for (const source of sources) expect(source.heard.at(-1)).toBe('unknown');
  for (const handle of handles) expect(await rowsOf(handle)).toEqual(nothing);
});
