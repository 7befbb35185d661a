import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';

import { randomEpoch } from '#base/uuid.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { chunkStatement, unpackChunks, type ChunkRange, type StoredChunk } from '#store/chunk-reader.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const START_US = 1_700_000_000_000_000;
const PERIOD_NS = 5_000_000;

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await pools.close();
  await writer.end();
  await database.drop();
});

/** Chunks of 10 one-axis readings that start at the given seqs. */
async function stored(...firstSeqs: number[]): Promise<{ streamId: string; epoch: string }> {
  const definition = streamDefinition({ axes: [{ name: 'x', unit: 'm' }] });
  const epoch = randomEpoch();
  const opened = await createCatalogue(pools).openStream(tenantA.device, { definition, epoch });
  expect(opened.ok).toBe(true);
  for (const firstSeq of firstSeqs) {
    const firstUs = START_US + firstSeq * 5_000;
    await storeChunk(writer, {
      orgId: tenantA.orgId,
      streamId: definition.stream,
      epoch,
      firstSeq,
      firstUs,
      lastUs: firstUs + 45_000,
      segments: [{ firstUs, periodNs: PERIOD_NS, arrivalUs: firstUs, count: 10 }],
      deltas: null,
      data: Buffer.from(Float32Array.from({ length: 10 }, (_, i) => firstSeq + i).buffer),
    });
  }
  return { streamId: definition.stream, epoch };
}

async function read(range: ChunkRange, limit = 100, orgId = tenantA.orgId): Promise<StoredChunk[]> {
  const statements = [chunkStatement(range, limit)];
  const [asApp] = await runAsOrg(pools.app, orgId, { statements, mode: 'snapshot' });
  return unpackChunks(asApp?.rows ?? []);
}

const firstSeqsOf = (chunks: readonly StoredChunk[]): number[] => chunks.map((chunk) => chunk.firstSeq);

test('the chunks that touch a range of seq come in order, whole', async () => {
  const at = await stored(20, 0, 10, 40);
  expect(firstSeqsOf(await read({ ...at, fromSeq: 0, toSeq: 100 }))).toEqual([0, 10, 20, 40]);
  expect(firstSeqsOf(await read({ ...at, fromSeq: 9, toSeq: 20 }))).toEqual([0, 10]);
  expect(firstSeqsOf(await read({ ...at, fromSeq: 10, toSeq: 21 }))).toEqual([10, 20]);
  expect(firstSeqsOf(await read({ ...at, fromSeq: 30, toSeq: 40 }))).toEqual([]);
  expect(firstSeqsOf(await read({ ...at, fromSeq: 30, toSeq: 41 }))).toEqual([40]);
  expect(firstSeqsOf(await read({ ...at, fromSeq: 50, toSeq: 2 ** 53 - 1 }))).toEqual([]);
  const [chunk] = await read({ ...at, fromSeq: 25, toSeq: 26 });
  expect(chunk).toMatchObject({ firstSeq: 20, n: 10, firstUs: START_US + 100_000, deltas: null });
  expect(chunk?.lastUs).toBe(START_US + 145_000);
  expect(new Float32Array(Uint8Array.from(chunk!.data).buffer)[9]).toBe(29);
});

test('a range of device time, a number of chunks and a number of readings each bound the answer', async () => {
  const at = { ...(await stored(0, 10, 20, 30)), fromSeq: 0, toSeq: 100 };
  const times = { fromUs: START_US + 45_000, toUs: START_US + 100_001 };
  expect(firstSeqsOf(await read({ ...at, ...times }))).toEqual([0, 10, 20]);
  expect(firstSeqsOf(await read({ ...at, fromUs: START_US + 45_001, toUs: START_US + 100_000 }))).toEqual([
    10,
  ]);
  expect(firstSeqsOf(await read(at, 3))).toEqual([0, 10, 20]);
  expect(firstSeqsOf(await read({ ...at, maxReadings: 10 }))).toEqual([0]);
  expect(firstSeqsOf(await read({ ...at, maxReadings: 11 }))).toEqual([0, 10]);
});

test('the writer reads the same through its own parser; another organisation reads nothing', async () => {
  const at = { ...(await stored(0, 10)), fromSeq: 5, toSeq: 12 };
  const { text, values } = chunkStatement(at, 10);
  const { rows } = await writer.query(text, [...values!]);
  expect(unpackChunks(rows)).toEqual(await read(at));
  expect(await read(at, 10, tenantB.orgId)).toEqual([]);
});
