import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { markDemoSession, pruneDemoSessions } from '#store/demo-sessions.ts';
import { eraseSessions } from '#store/erasure.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await pools.close();
  await writer.end();
  await owner.end();
  await database.drop();
});

/** A session with one stream and one stored chunk of three readings. */
async function record(tenant: Tenant, isDemo: boolean): Promise<{ session: string; stream: string }> {
  const definition = streamDefinition({ session: uuidv7(systemClock), stream: uuidv7(systemClock) });
  const { session, stream } = definition;
  if (isDemo)
    await markDemoSession(pools, {
      orgId: tenant.orgId,
      session,
      label: 'walk',
      synthetic: true,
      patient: { id: uuidv7(systemClock), consentId: uuidv7(systemClock), code: 'DEMO', diagnosis: '' },
    });
  const epoch = randomEpoch();
  const opened = await createCatalogue(pools).openStream(tenant.device, {
    definition: isDemo ? { ...definition, synthetic: true } : definition,
    epoch,
  });
  expect(opened.ok).toBe(true);
  await storeChunk(writer, {
    orgId: tenant.orgId,
    streamId: stream,
    epoch,
    firstSeq: 0,
    firstUs: 1,
    lastUs: 3,
    segments: [{ firstUs: 1, periodNs: 1_000, arrivalUs: 9, count: 3 }],
    deltas: null,
    data: Buffer.alloc(3 * 12),
  });
  return { session, stream };
}

/** What is left of a stream: chunks, guard rows, definition. */
async function leftOf(stream: string): Promise<number[]> {
  const counts = [
    await writer.query('select from kymo.chunk where stream_id = $1', [stream]),
    await writer.query('select from kymo.stream_epoch where stream_id = $1', [stream]),
    await owner.query('select from kymo.stream where id = $1', [stream]),
  ];
  return counts.map((result) => result.rowCount ?? 0);
}

test('the newest demo sessions are kept, older ones go with everything stored, others are never touched', async () => {
  const real = await record(tenantA, false);
  const demos = [];
  for (let i = 0; i < 5; i++) demos.push(await record(tenantA, true));
  expect(await pruneDemoSessions(pools, tenantA.orgId, 2)).toBe(3);
  expect(await Promise.all(demos.map(({ stream }) => leftOf(stream)))).toEqual([
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [1, 1, 1],
    [1, 1, 1],
  ]);
  expect(await leftOf(real.stream)).toEqual([1, 1, 1]);
});

test('one organisation cannot erase the sessions of another', async () => {
  const { session, stream } = await record(tenantB, false);
  expect(await eraseSessions(pools, tenantA.orgId, [session])).toBe(0);
  expect(await leftOf(stream)).toEqual([1, 1, 1]);
  expect(await eraseSessions(pools, tenantB.orgId, [session])).toBe(1);
  expect(await leftOf(stream)).toEqual([0, 0, 0]);
});

test('the sessions of a demo are of one patient, who agreed to be recorded', async () => {
  const { session } = await record(tenantB, true);
  await record(tenantB, true);
  const { rows } = await owner.query(
    `select p.code, count(distinct s.id)::int as sessions, count(distinct c.id)::int as consents
       from kymo.patient p join kymo.session s on s.patient_id = p.id join kymo.patient_consent c on c.patient_id = p.id
      where p.id = (select patient_id from kymo.session where id = $1) group by p.code`,
    [session],
  );
  expect(rows).toEqual([{ code: 'DEMO', sessions: expect.any(Number), consents: 1 }]);
  expect((rows[0] as { sessions: number }).sessions).toBeGreaterThan(1);
});
