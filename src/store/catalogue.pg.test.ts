import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { crc32 } from '#protocol/crc32.ts';
import { catalogueLimits, createCatalogue, type Catalogue, type OpenedStream } from '#store/catalogue.ts';
import { createChannelLog } from '#store/channel-log.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { webhookStatements } from '#store/webhook-events.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let writer: pg.Pool;
let catalogue: Catalogue;
let tenantA: Tenant;
let tenantB: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  catalogue = createCatalogue(pools);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await writer.end();
  await database.drop();
});

const opened = async (...args: Parameters<Catalogue['openStream']>): Promise<OpenedStream> => {
  const result = await catalogue.openStream(...args);
  if (!result.ok) throw new Error(`${result.error.code} ${result.error.field}: ${result.error.message}`);
  return result.value;
};

test('opening makes session, stream and epoch, and opening again finds them as they are', async () => {
  const definition = streamDefinition({ label: 'K-17', synthetic: true });
  const epoch = randomEpoch();
  const first = await opened(tenantA.device, { definition, epoch });
  expect(first).toMatchObject({
    handle: {
      key: `${definition.stream}/${epoch}`,
      orgId: tenantA.orgId,
      readingBytes: 12,
      retentionClass: 0,
    },
    progress: { committed: [], lost: [] },
    firstCommitDay: null,
  });
  await writer.query(
    `update kymo.stream_epoch set committed = '{[0,100),[150,200)}', lost = '{[100,110)}', first_commit_day = '2026-01-31'
      where stream_id = $1`,
    [definition.stream],
  );
  const again = await opened(tenantA.device, { definition, epoch });
  expect(again.progress).toEqual({
    committed: [
      { from: 0, to: 100 },
      { from: 150, to: 200 },
    ],
    lost: [{ from: 100, to: 110 }],
  });
  expect(again.firstCommitDay).toBe('2026-01-31');
  const { rows } = await owner.query('select label, synthetic from kymo.session where id = $1', [
    definition.session,
  ]);
  expect(rows).toEqual([{ label: 'K-17', synthetic: true }]);
});

test('int16 streams keep their scale exactly', async () => {
  const definition = streamDefinition({ encoding: 'int16', scale: [0.1, 1 / 3, 2 ** -14] });
  const { handle } = await opened(tenantA.device, { definition, epoch: randomEpoch() });
  expect(handle.readingBytes).toBe(6);
  await opened(tenantA.device, { definition, epoch: randomEpoch() });
});

test('the seven streams of a session, opened at once on many connections, all open', async () => {
  const session = uuidv7(systemClock);
  const requests = Array.from({ length: 7 }, (_, i) => ({
    definition: streamDefinition({ session, segment: `segment-${i}` }),
    epoch: randomEpoch(),
  }));
  // Each twice: a device that reconnects races with its old connection.
  await Promise.all([...requests, ...requests].map((request) => opened(tenantA.device, request)));
  const { rows } = await owner.query('select count(*)::int as n from kymo.stream where session_id = $1', [
    session,
  ]);
  expect(rows).toEqual([{ n: 7 }]);
});

test('a difference to the stored definition is refused and named', async () => {
  const definition = streamDefinition();
  await opened(tenantA.device, { definition, epoch: randomEpoch() });
  const differences = {
    '/definition/session': { session: uuidv7(systemClock) },
    '/definition/segment': { segment: 'right-foot' },
    '/definition/sensor': { sensor: 'insole' },
    '/definition/rateHz': { rateHz: 100 },
    '/definition/clock': { clock: 'none' },
    '/definition/axes': { axes: definition.axes.slice(0, 2) },
    '/definition/axes/1/unit': { axes: definition.axes.map((a, i) => (i === 1 ? { ...a, unit: 'g' } : a)) },
    '/definition/axes/2/name': { axes: definition.axes.map((a, i) => (i === 2 ? { ...a, name: 'q' } : a)) },
    '/definition/encoding': { encoding: 'int16', scale: [1, 1, 1] },
    '/definition/synthetic': { synthetic: true },
  } as const;
  for (const [field, difference] of Object.entries(differences)) {
    const changed = { ...definition, ...difference } as typeof definition;
    const result = await catalogue.openStream(tenantA.device, { definition: changed, epoch: randomEpoch() });
    expect(result).toMatchObject({ ok: false, error: { code: 'stream-mismatch', field } });
  }
});

test('another device of the same organisation cannot open the stream', async () => {
  const definition = streamDefinition();
  await opened(tenantA.device, { definition, epoch: randomEpoch() });
  const other = { orgId: tenantA.orgId, deviceId: uuidv7(systemClock) };
  const result = await catalogue.openStream(other, { definition, epoch: randomEpoch() });
  expect(result).toMatchObject({ ok: false, error: { field: '/definition/stream' } });
});

test("another organisation's stream and session look like a mismatch without detail, and stay untouched", async () => {
  const definition = streamDefinition();
  await opened(tenantA.device, { definition, epoch: randomEpoch() });
  const taken = { code: 'stream-mismatch', message: 'these ids are in use' };
  const sameStream = { ...definition, session: uuidv7(systemClock) };
  const newStreamInSession = streamDefinition({ session: definition.session });
  for (const attempt of [definition, sameStream, newStreamInSession])
    expect(await catalogue.openStream(tenantB.device, { definition: attempt, epoch: randomEpoch() })).toEqual(
      {
        ok: false,
        error: taken,
      },
    );
  const { rows } = await owner.query('select org_id, id from kymo.stream where session_id = $1', [
    definition.session,
  ]);
  expect(rows).toEqual([{ org_id: tenantA.orgId, id: definition.stream }]);
});

test('a lost store closes the older epochs of the stream, and only those', async () => {
  const definition = streamDefinition();
  const [first, second, third] = [randomEpoch(), randomEpoch(), randomEpoch()];
  await opened(tenantA.device, { definition, epoch: first });
  await opened(tenantA.device, { definition, epoch: second });
  await opened(tenantA.device, { definition, epoch: third, previousStoreLost: true });
  const tails = async (): Promise<unknown> => {
    const { rows } = await owner.query(
      'select epoch::text, tail_lost from kymo.stream_epoch where stream_id = $1 order by opened_at',
      [definition.stream],
    );
    return rows.map((row: { epoch: string; tail_lost: boolean }) => row.tail_lost);
  };
  expect(await tails()).toEqual([true, true, false]);
  const fourth = randomEpoch();
  await opened(tenantA.device, { definition, epoch: fourth });
  // A repeated opening of the third says nothing about what came after it.
  await opened(tenantA.device, { definition, epoch: third, previousStoreLost: true });
  expect(await tails()).toEqual([true, true, false, false]);
});

test('a session takes a bounded number of streams, a stream a bounded number of epochs', async () => {
  const definition = streamDefinition();
  const epoch = randomEpoch();
  await opened(tenantA.device, { definition, epoch });
  await owner.query(
    `insert into kymo.stream (id, org_id, session_id, device_id, segment, sensor, axes, rate_hz, encoding, clock)
      select gen_random_uuid(), org_id, session_id, device_id, segment, sensor, axes, rate_hz, encoding, clock
        from kymo.stream, generate_series(2, $2::int) where id = $1`,
    [definition.stream, catalogueLimits.streamsPerSession],
  );
  const another = streamDefinition({ session: definition.session });
  expect(await catalogue.openStream(tenantA.device, { definition: another, epoch })).toMatchObject({
    ok: false,
    error: { code: 'limit-exceeded', message: 'a session has at most 256 streams' },
  });
  await writer.query(
    `insert into kymo.stream_epoch (stream_id, epoch, org_id) select $1, i, $2 from generate_series(2, $3::int) i`,
    [definition.stream, tenantA.orgId, catalogueLimits.epochsPerStream],
  );
  expect(await catalogue.openStream(tenantA.device, { definition, epoch: randomEpoch() })).toMatchObject({
    ok: false,
    error: { code: 'limit-exceeded', message: 'a stream has at most 1024 epochs' },
  });
  // What exists opens again.
  await opened(tenantA.device, { definition, epoch });
});

test('the checksum of a reading is that of its packed bytes', async () => {
  const definition = streamDefinition();
  const epoch = randomEpoch();
  await opened(tenantA.device, { definition, epoch });
  const data = crypto.getRandomValues(Buffer.alloc(12 * 10));
  for (const firstSeq of [100, 110])
    await storeChunk(writer, {
      orgId: tenantA.orgId,
      streamId: definition.stream,
      epoch,
      firstSeq,
      firstUs: 0,
      lastUs: 9,
      segments: [{ firstUs: 0, periodNs: 1000, arrivalUs: 0, count: 10 }],
      deltas: null,
      data,
    });
  const key = { streamId: definition.stream, epoch };
  const at = (i: number): unknown => ({
    crc32: crc32(data.subarray(i * 12, (i + 1) * 12)),
    timeUs: i,
  });
  expect(await catalogue.checksumOf(tenantA.device, key, 100)).toEqual(at(0));
  expect(await catalogue.checksumOf(tenantA.device, key, 109)).toEqual(at(9));
  expect(await catalogue.checksumOf(tenantA.device, key, 113)).toEqual(at(3));
  expect(await catalogue.checksumOf(tenantA.device, key, 99)).toBeNull();
  expect(await catalogue.checksumOf(tenantA.device, key, 120)).toBeNull();
  expect(await catalogue.checksumOf(tenantA.device, { ...key, epoch: randomEpoch() }, 100)).toBeNull();
  expect(await catalogue.checksumOf(tenantB.device, key, 100)).toBeNull();
});

test('a session ends with its last stream, and goes on with a new one', async () => {
  const session = uuidv7(systemClock);
  const [left, right] = [streamDefinition({ session }), streamDefinition({ session, segment: 'right-foot' })];
  await opened(tenantA.device, { definition: left, epoch: randomEpoch() });
  await opened(tenantA.device, { definition: right, epoch: randomEpoch() });
  const hasEnded = async (): Promise<boolean> => {
    const { rows } = await owner.query('select ended_at from kymo.session where id = $1', [session]);
    return (rows[0] as { ended_at: Date | null }).ended_at !== null;
  };
  await catalogue.endStream(tenantA.device, left.stream);
  expect(await hasEnded()).toBe(false);
  await catalogue.endStream(tenantB.device, right.stream);
  expect(await hasEnded()).toBe(false);
  await catalogue.endStream(tenantA.device, right.stream);
  expect(await hasEnded()).toBe(true);
  await opened(tenantA.device, { definition: right, epoch: randomEpoch() });
  expect(await hasEnded()).toBe(true);
  await opened(tenantA.device, {
    definition: streamDefinition({ session, segment: 'pelvis' }),
    epoch: randomEpoch(),
  });
  expect(await hasEnded()).toBe(false);
});

test('the end of a session is told in the transaction that ends it, once, and its beginning is known', async () => {
  const session = uuidv7(systemClock);
  const [left, right] = [streamDefinition({ session }), streamDefinition({ session, segment: 'right-foot' })];
  const begun = [left, left, right].map((definition) =>
    opened(tenantA.device, { definition, epoch: randomEpoch() }),
  );
  expect((await Promise.all(begun)).filter(({ isNewSession }) => isNewSession)).toHaveLength(1);
  const told = {
    channel: 'ends',
    payload: Buffer.from('{"event":"session-ended"}'),
    job: {
      id: uuidv7(systemClock),
      kind: 'session-summary',
      input: { session },
      lane: 'quick' as const,
      maxAttempts: 3,
      sessionId: session,
    },
    event: webhookStatements({ type: 'session.ended', data: { session } }, { clock: systemClock })[0]!,
  };
  await owner.query(
    `insert into kymo.webhook_endpoint (id, org_id, url, secret)
      select gen_random_uuid(), id, 'https://example.org/', 'whsec_' || repeat('A', 44) from kymo.organisation`,
  );
  expect(await catalogue.endStream(tenantA.device, left.stream, told)).toBe(null);
  expect(await catalogue.endStream(tenantB.device, right.stream, told)).toBe(null);
  const isEnqueued = async (): Promise<boolean> =>
    (await owner.query('select from kymo.job where id = $1', [told.job.id])).rowCount === 1;
  expect(await isEnqueued()).toBe(false);
  const ended = await catalogue.endStream(tenantA.device, right.stream, told);
  expect(ended).toMatchObject({
    appended: { position: { offset: 1 }, isDuplicate: false, isNewest: true },
    patientId: null,
  });
  expect(await isEnqueued()).toBe(true);
  const deliveries = await owner.query<{ org_id: string; type: string }>(
    'select org_id, type from kymo.webhook_delivery',
  );
  expect(deliveries.rows).toEqual([{ org_id: tenantA.orgId, type: 'session.ended' }]);
  expect(await catalogue.endStream(tenantA.device, right.stream, told)).toBe(null);
  const log = createChannelLog(pools.app);
  const page = await log.page(`${tenantA.orgId}/ends`, { after: 0, limit: 9 });
  expect(page).toMatchObject({ epoch: ended!.appended.position.epoch, newest: 1 });
  expect(Buffer.from(page.publications[0]!.payload)).toEqual(Buffer.from(told.payload));
});

test('of two last streams that end at once the later one sees the other', async () => {
  const session = uuidv7(systemClock);
  const [left, right] = [streamDefinition({ session }), streamDefinition({ session, segment: 'right-foot' })];
  await opened(tenantA.device, { definition: left, epoch: randomEpoch() });
  await opened(tenantA.device, { definition: right, epoch: randomEpoch() });
  // What ending the left one does, halfway.
  const other = await owner.connect();
  await other.query('begin');
  await other.query('select from kymo.session where id = $1 for update', [session]);
  await other.query('update kymo.stream set ended_at = now() where id = $1', [left.stream]);
  let isDone = false;
  const ending = catalogue.endStream(tenantA.device, right.stream).then(() => (isDone = true));
  const waiting = `select from pg_stat_activity
    where datname = $1 and usename = 'kymo_app' and wait_event_type = 'Lock'`;
  await expect
    .poll(async () => isDone || (await owner.query(waiting, [database.name])).rowCount === 1)
    .toBe(true);
  await other.query('commit');
  other.release();
  await ending;
  const { rows } = await owner.query('select ended_at from kymo.session where id = $1', [session]);
  expect(rows).not.toEqual([{ ended_at: null }]);
});

test('a stream is opened again at once while a flush holds its guard row', async () => {
  const definition = streamDefinition();
  const epoch = randomEpoch();
  const first = await opened(tenantA.device, { definition, epoch });
  const flush = await writer.connect();
  try {
    await flush.query('begin');
    await flush.query('update kymo.stream_epoch set is_dirty = true where stream_id = $1', [
      definition.stream,
    ]);
    expect((await opened(tenantA.device, { definition, epoch })).progress).toEqual(first.progress);
  } finally {
    await flush.query('rollback');
    flush.release();
  }
});
