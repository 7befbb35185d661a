import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createSessionQueries, sessionLimits, type SessionQueries } from '#store/session-queries.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let sessions: SessionQueries;
let tenantA: Tenant;
let tenantB: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  sessions = createSessionQueries(pools.app);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await pools.close();
  await writer.end();
  await database.drop();
});

async function open(tenant: Tenant, definition: StreamDefinition, epoch = randomEpoch()): Promise<string> {
  const result = await createCatalogue(pools).openStream(tenant.device, { definition, epoch });
  expect(result.ok).toBe(true);
  return epoch;
}

async function store(at: {
  definition: StreamDefinition;
  epoch: string;
  firstSeq: number;
  agoMs: number;
}): Promise<void> {
  const arrivalUs = (Date.now() - at.agoMs) * 1000;
  await storeChunk(writer, {
    orgId: tenantA.orgId,
    streamId: at.definition.stream,
    epoch: at.epoch,
    firstSeq: at.firstSeq,
    firstUs: 5,
    lastUs: 14,
    segments: [{ firstUs: 5, periodNs: 1000, arrivalUs, count: 10 }],
    deltas: null,
    data: Buffer.alloc(120),
  });
  await writer.query(
    `update kymo.stream_epoch set committed_at = now() - $2 * interval '1 ms' where stream_id = $1`,
    [at.definition.stream, at.agoMs],
  );
}

test('a session with its streams and epochs: what is stored, lost, pending and unknown', async () => {
  const session = uuidv7(systemClock);
  const left = streamDefinition({ session, label: 'K-17', synthetic: true });
  const right = streamDefinition({
    session,
    segment: 'right-foot',
    encoding: 'int16',
    scale: [1, 2, 3],
    synthetic: true,
  });
  const old = await open(tenantA, left);
  const epoch = randomEpoch();
  await createCatalogue(pools).openStream(tenantA.device, {
    definition: left,
    epoch,
    previousStoreLost: true,
  });
  await open(tenantA, right);
  await store({ definition: left, epoch, firstSeq: 0, agoMs: 0 });
  await store({ definition: left, epoch, firstSeq: 30, agoMs: 0 });
  await writer.query(
    `update kymo.stream_epoch set lost = '{[12,20),[40,45)}' where stream_id = $1 and committed <> '{}'`,
    [left.stream],
  );
  const detail = await sessions.detail(tenantA.orgId, session);
  expect(detail).toMatchObject({
    session: {
      id: session,
      label: 'K-17',
      state: 'live',
      synthetic: true,
      endedAt: null,
      streamCount: 2,
      storedReadings: 20,
      lostReadings: 13,
    },
    streams: [
      {
        // The label is the session's.
        definition: left,
        deviceId: tenantA.device.deviceId,
        endedAt: null,
        epochs: [
          { epoch: old, next: 0, stored: 0, lost: [], pending: [], tailLost: true },
          {
            epoch,
            next: 10,
            stored: 20,
            lost: [
              [12, 20],
              [40, 45],
            ],
            pending: [
              [10, 12],
              [20, 30],
            ],
            tailLost: false,
          },
        ],
      },
      { definition: { ...right, label: 'K-17' } },
    ],
  });
});

test('a session is live while data come, idle when they stop, ended when it is said', async () => {
  const definition = streamDefinition();
  const stateOf = async (): Promise<unknown> =>
    (await sessions.detail(tenantA.orgId, definition.session))?.session.state;
  const epoch = await open(tenantA, definition);
  expect(await stateOf()).toBe('idle');
  await store({ definition, epoch, firstSeq: 0, agoMs: sessionLimits.liveForMs + 5_000 });
  expect(await stateOf()).toBe('idle');
  await store({ definition, epoch, firstSeq: 10, agoMs: sessionLimits.liveForMs - 30_000 });
  expect(await stateOf()).toBe('live');
  await createCatalogue(pools).endStream(tenantA.device, definition.stream);
  expect(await stateOf()).toBe('ended');
});

test('a stream that ended keeps no session live', async () => {
  const walking = streamDefinition();
  const silent = streamDefinition({ session: walking.session, segment: 'pelvis' });
  const epoch = await open(tenantA, walking);
  await open(tenantA, silent);
  await store({ definition: walking, epoch, firstSeq: 0, agoMs: 0 });
  await createCatalogue(pools).endStream(tenantA.device, walking.stream);
  const detail = await sessions.detail(tenantA.orgId, walking.session);
  expect(detail?.session.state).toBe('idle');
});

test('the list is newest first and page by page, also when many started at once', async () => {
  const tenant = await createTenant(database.ownerUrl, pools, 'C');
  const ids = Array.from({ length: 7 }, () => uuidv7(systemClock));
  for (const session of ids) await open(tenant, streamDefinition({ session }));
  await pools.app.run([
    { text: `select set_config('kymo.org', $1, true)`, values: [tenant.orgId] },
    { text: `update kymo.session set started_at = '2026-01-31 12:00:00.123456+00'` },
  ]);
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page = await sessions.list(tenant.orgId, { limit: 3, cursor });
    seen.push(...page!.sessions.map((session) => session.id));
    cursor = page!.next;
  } while (cursor !== null);
  expect(seen).toEqual(ids.toSorted().toReversed());
});

test('an organisation sees its own sessions only', async () => {
  const definition = streamDefinition();
  await open(tenantA, definition);
  expect(await sessions.detail(tenantB.orgId, definition.session)).toBeNull();
  expect(await sessions.list(tenantB.orgId, { limit: 100, cursor: null })).toEqual({
    sessions: [],
    next: null,
  });
  expect(await sessions.detail(tenantA.orgId, definition.session)).not.toBeNull();
  expect(await sessions.exists(tenantA.orgId, definition.session)).toBe(true);
  expect(await sessions.exists(tenantB.orgId, definition.session)).toBe(false);
  expect(await sessions.exists(tenantA.orgId, '-'.repeat(36))).toBe(false);
});

test('what is not a cursor is said so', async () => {
  for (const cursor of ['', 'x', Buffer.from('1.x').toString('base64url')])
    expect(await sessions.list(tenantA.orgId, { limit: 3, cursor })).toBeNull();
});
