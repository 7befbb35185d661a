import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import type { EnvelopeData } from '#contract/envelope.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import type { EnvelopeQuery } from '#store/envelope-statements.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createRollupTask } from '#store/rollup-keeper.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createRecorder, type RecordedFrame, type Recorder } from '#test/support/recorded-streams.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const START_US = 1_700_000_000_000_000;

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
let recorder: Recorder;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
  recorder = createRecorder(pools, tenantA);
});

afterAll(async () => {
  await recorder.stop();
  await pools.close();
  await writer.end();
  await owner.end();
  await database.drop();
});

/** Rolls up all that is committed. */
async function rollUp(): Promise<void> {
  const task = createRollupTask({ clock: systemClock, policy: { quietS: 0, liveS: 0 } });
  while ((await task.step(writer, new AbortController().signal)) === 'more');
}

async function read(query: Partial<EnvelopeQuery> & { streamId: string }): Promise<EnvelopeData> {
  const answer = await createEnvelopeQueries(pools.app).read(tenantA.orgId, {
    fromUs: null,
    toUs: null,
    width: 100,
    ...query,
  });
  if (answer === 'unknown-stream') throw new Error(answer);
  return answer;
}

/** 20 frames a second of 10 readings, values that a plain formula gives. */
function frames(fromS: number, toS: number, startUs = START_US): RecordedFrame[] {
  return Array.from({ length: (toS - fromS) * 20 }, (_, i) => {
    const firstSeq = (fromS * 20 + i) * 10;
    return {
      firstSeq,
      firstUs: startUs + firstSeq * 5_000,
      periodUs: 5_000,
      lagUs: 20_000,
      rows: Array.from({ length: 10 }, (__, j) => [firstSeq + j, Math.sin(firstSeq + j), -1]),
    };
  });
}

test('a range of single readings, the same before and after it was rolled up', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  await stream.write(frames(0, 90));
  const query = {
    streamId: stream.definition.stream,
    fromUs: START_US + 10_000_000,
    toUs: START_US + 10_100_000,
  };
  const fresh = await read(query);
  expect(fresh).toMatchObject({ bucketUs: 0, rawDropped: false, unrolled: 0, gaps: [] });
  expect([fresh.firstUs, fresh.lastUs]).toEqual([START_US, START_US + 90_000_000 - 5_000]);
  expect([...fresh.min[0]!]).toEqual(Array.from({ length: 20 }, (_, i) => 2_000 + i));
  expect([...fresh.startUs]).toEqual(Array.from({ length: 20 }, (_, i) => query.fromUs + i * 5_000));
  await rollUp();
  expect(await read(query)).toEqual(fresh);
  const whole = await read({ streamId: stream.definition.stream, width: 40 });
  expect(whole.bucketUs).toBe(1_000_000);
  expect(whole.count.reduce((sum, n) => sum + n, 0)).toBe(18_000);
});

test("another organisation's stream is unknown, as is none at all", async () => {
  const stream = await recorder.open();
  await stream.write(frames(0, 1));
  const query = { streamId: stream.definition.stream, fromUs: null, toUs: null, width: 100 };
  const queries = createEnvelopeQueries(pools.app);
  expect(await queries.read(tenantB.orgId, query)).toBe('unknown-stream');
  const streamId = '00000000-0000-7000-8000-000000000000';
  expect(await queries.read(tenantA.orgId, { ...query, streamId })).toBe('unknown-stream');
});
