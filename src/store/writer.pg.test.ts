import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { integerBelow, seededRandom } from '#base/random.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamHandle } from '#contract/readings.ts';
import { limits } from '#protocol/limits.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue, type Catalogue } from '#store/catalogue.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
import { createWriter, failureKindOf, type Writer } from '#store/writer.ts';
import { defaultWriterConfig, type WriterConfig } from '#store/writer-machine.ts';
import { startAnswerProxy } from '#test/support/answer-proxy.ts';
import { createTestDatabase, testCluster, type TestDatabase } from '#test/support/database.ts';
import { createTestSource, type TestSource } from '#test/support/frame-source.ts';
import { frameOf, payloadOf } from '#test/support/frames.ts';
import { compare, readStored } from '#test/support/stored-readings.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
/** As kymo_writer, which owns the tables that are looked at and spoiled here. */
let tables: pg.Pool;
let superuser: pg.Pool;
let catalogue: Catalogue;
let tenant: Tenant;
const logged: string[] = [];
const endings: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  tables = openTestPool(pools.writerUrl);
  superuser = openTestPool(testCluster().superuserUrl);
  catalogue = createCatalogue(pools);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
});

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
  logged.length = 0;
});

afterAll(async () => {
  await pools.close();
  await Promise.all([tables.end(), superuser.end()]);
  await database.drop();
});

const note = (message: string): void => void logged.push(message);

async function writer(
  options: { config?: Partial<WriterConfig>; url?: string; withoutPartitions?: boolean } = {},
): Promise<Writer> {
  const made = createWriter({
    database: connectWriterDatabase({
      connectionString: options.url ?? pools.writerUrl,
      log: { debug: note, info: note, warn: note, error: note },
    }),
    config: {
      ...defaultWriterConfig,
      flushIntervalMs: 5,
      retryMinMs: 20,
      retryMaxMs: 100,
      ...options.config,
    },
    clock: systemClock,
    random: Math.random,
    log: { debug: note, info: note, warn: note, error: note },
  });
  endings.push(() => made.stop());
  if (options.withoutPartitions !== true) await made.preparePartitions();
  return made;
}

async function openStream(
  overrides: Partial<StreamDefinition> = {},
  owner = tenant,
  place = catalogue,
): Promise<StreamHandle> {
  const result = await place.openStream(owner.device, {
    definition: streamDefinition(overrides),
    epoch: randomEpoch(),
  });
  if (!result.ok) throw new Error(result.error.message);
  return result.value.handle;
}

async function openSource(overrides: Partial<StreamDefinition> = {}): Promise<TestSource> {
  return createTestSource(await openStream(overrides));
}

/** Offers readings [0, to) to a writer, in frames of 50. */
function offer(target: Writer, source: TestSource, to: number, from = 0): void {
  for (let seq = from; seq < to; seq += 50) source.push(frameOf(source.handle, seq, Math.min(50, to - seq)));
  target.due(source);
}

/** Every reading [0, to) is stored once and bit-equal, and the guard says the same. */
async function expectStoredOnce({ handle }: TestSource, to: number): Promise<void> {
  const payload = payloadOf(0, to);
  const stored = await readStored(database.ownerUrl, handle.definition.stream);
  expect(compare(stored, new Float32Array(payload.buffer), 3)).toEqual({
    stored: to,
    doubled: 0,
    missing: 0,
    different: 0,
  });
  expect(await guardOf(handle)).toMatchObject({ committed: `{[0,${to})}` });
}

async function guardOf({ definition, epoch }: StreamHandle) {
  const { rows } = await tables.query<{ committed: string; lost: string; days: number }>(
    `select committed::text, lost::text, last_commit_day - first_commit_day as days
       from kymo.stream_epoch where stream_id = $1 and epoch = $2`,
    [definition.stream, epochToInt8(epoch)],
  );
  return rows[0];
}

/** The process id of the writer's backend as soon as `condition` on pg_stat_activity holds for it. */
async function backendWhen(condition: string, name = 'kymo writer'): Promise<number> {
  let pid: number | undefined;
  await expect
    .poll(
      async () => {
        const { rows } = await superuser.query<{ pid: number }>(
          `select pid from pg_stat_activity where datname = $1 and application_name = $2 and ${condition}`,
          [database.name, name],
        );
        pid = rows[0]?.pid;
        return pid;
      },
      { timeout: 10_000 },
    )
    .toBeDefined();
  return pid!;
}

/** A connection of its own that a test holds something with. */
async function holder(url = pools.writerUrl): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'holder' });
  client.on('error', () => undefined);
  await client.connect();
  endings.push(() => client.end().catch(() => undefined));
  return client;
}

async function lockGuardOf(client: pg.Client, { handle }: TestSource): Promise<void> {
  await client.query('begin');
  await client.query('select from kymo.stream_epoch where stream_id = $1 for update', [
    handle.definition.stream,
  ]);
}

/** Makes COMMIT of connections named `name` wait, inside the transaction, until `release` is called. */
async function holdCommits(name: string): Promise<{ release(): Promise<void> }> {
  await tables.query(`
    create or replace function kymo.hold_commit() returns trigger language plpgsql as $$ begin
      if current_setting('application_name') = '${name}' then perform pg_advisory_xact_lock(7); end if;
      return null;
    end $$;
    create constraint trigger hold_commit after update on kymo.stream_epoch
      deferrable initially deferred for each row execute function kymo.hold_commit()`);
  const client = await holder();
  await client.query('select pg_advisory_lock(7)');
  endings.push(() => tables.query('drop trigger hold_commit on kymo.stream_epoch'));
  return { release: async () => void (await client.query('select pg_advisory_unlock(7)')) };
}

test('a flush stores readings once, acknowledges after COMMIT, and marks the day', async () => {
  const one = await writer();
  const source = await openSource();
  offer(one, source, 1_000);
  expect(await one.drain(10_000)).toBe(true);
  expect(source.progress).toEqual({ committed: [{ from: 0, to: 1_000 }], lost: [] });
  await expectStoredOnce(source, 1_000);
  expect(await guardOf(source.handle)).toMatchObject({ days: 0 });
  const { rows } = await tables.query(
    `select distinct tableoid::regclass::text as table, commit_day = (now() at time zone 'utc')::date as today
       from kymo.chunk where stream_id = $1`,
    [source.handle.definition.stream],
  );
  expect(rows).toEqual([{ table: expect.stringMatching(/chunk_c0_\d{8}$/), today: true }]);
});

test('the row is what the schema says: columns, segments, times and packed axes', async () => {
  const one = await writer();
  const source = await openSource();
  const { handle } = source;
  const payload = Buffer.alloc(36);
  [
    1.5,
    Number.NaN,
    -0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    1e-45,
    3.4028234663852886e38,
    -1.25,
    0.1,
  ].forEach((value, i) => payload.writeFloatLE(value, i * 4));
  source.push(
    frameOf(handle, 7, 2, {
      payload: payload.subarray(0, 24),
      firstUs: -5,
      periodNs: 4_882_812,
      arrivalUs: 11,
    }),
    frameOf(handle, 9, 1, { payload: payload.subarray(24), firstUs: 10_000, periodNs: 0, arrivalUs: 12 }),
  );
  one.due(source);
  expect(await one.drain(10_000)).toBe(true);
  const { rows } = await tables.query('select * from kymo.chunk where stream_id = $1', [
    handle.definition.stream,
  ]);
  expect(rows).toEqual([
    expect.objectContaining({
      org_id: tenant.orgId,
      epoch: epochToInt8(handle.epoch).toString(),
      first_seq: '7',
      n: 3,
      first_us: '-5',
      last_us: '10000',
      retention_class: 0,
      deltas: null,
      data: payload,
    }),
  ]);
  const { segments } = rows[0] as { segments: Buffer };
  const segmentAt = (at: number): number[] => [
    segments.readUInt16LE(at),
    segments.readUInt16LE(at + 2),
    segments.readUInt32LE(at + 4),
    Number(segments.readBigInt64LE(at + 8)),
    Number(segments.readBigInt64LE(at + 16)),
  ];
  expect([segmentAt(0), segmentAt(24)]).toEqual([
    [2, 0, 4_882_812, -5, 11],
    [1, 0, 0, 10_000, 12],
  ]);
  expect(await readView(handle)).toEqual([
    { seq: '7', time_us: '-5', values: [1.5, Number.NaN, -0] },
    {
      seq: '8',
      time_us: '4878',
      values: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.401298464324817e-45],
    },
    { seq: '9', time_us: '10000', values: [3.4028234663852886e38, -1.25, Math.fround(0.1)] },
  ]);
});

/** One row a reading, as people see them. */
async function readView(handle: StreamHandle): Promise<unknown[]> {
  const client = await holder(database.ownerUrl);
  await client.query('set role kymo_app');
  await client.query(`select set_config('kymo.org', $1, false)`, [tenant.orgId]);
  const { rows } = await client.query(
    `select seq, time_us, "values" from kymo.reading where stream_id = $1 order by epoch, seq`,
    [handle.definition.stream],
  );
  return rows;
}

test('explicit times and int16 with scales come out of the view as they went in', async () => {
  const one = await writer();
  const source = await openSource({ encoding: 'int16', scale: [0.5, -2, 1e-3] });
  const payload = Buffer.alloc(18);
  [1, -1, 32_767, -32_768, 0, 7, 3, 4, 5].forEach((value, i) => payload.writeInt16LE(value, i * 2));
  const deltasUs = Buffer.alloc(12);
  [0, 4_294_967_295, 20].forEach((delta, i) => deltasUs.writeUInt32LE(delta, i * 4));
  source.push(frameOf(source.handle, 0, 3, { payload, deltasUs, firstUs: 1_000 }));
  one.due(source);
  expect(await one.drain(10_000)).toBe(true);
  expect(await readView(source.handle)).toEqual([
    { seq: '0', time_us: '1000', values: [0.5, 2, 32.767] },
    { seq: '1', time_us: '4294968295', values: [-16_384, -0, 0.007] },
    { seq: '2', time_us: '1020', values: [1.5, -8, 0.005] },
  ]);
  const { rows } = await tables.query('select first_us, last_us from kymo.chunk where stream_id = $1', [
    source.handle.definition.stream,
  ]);
  expect(rows).toEqual([{ first_us: '1000', last_us: '4294968295' }]);
});

test('a cut frame keeps the times of its readings', async () => {
  const one = await writer();
  const source = await openSource();
  const { handle } = source;
  const times = { firstUs: 3, periodNs: 4_882_812 };
  source.push(frameOf(handle, 2, 3, { ...times, firstUs: 3 + 9_766 }));
  one.due(source);
  await one.drain(10_000);
  source.push(frameOf(handle, 0, 10, times));
  one.due(source);
  await one.drain(10_000);
  const times10 = (await readView(handle)).map((row) => Number((row as { time_us: string }).time_us));
  const exact = Array.from({ length: 10 }, (_, i) => 3 + Math.floor((i * 4_882_812 + 500) / 1000));
  expect(times10).toEqual([
    ...exact.slice(0, 2),
    ...[0, 1, 2].map((i) => 9_769 + Math.floor((i * 4_882_812 + 500) / 1000)),
    ...exact.slice(5),
  ]);
});

test.each([Math.floor(Math.random() * 2 ** 31)])(
  'any order, overlap and repetition through two writers stores every reading once, seed %i',
  async (seed) => {
    const random = seededRandom(seed);
    const writers = [await writer(), await writer()];
    const readings = 600;
    const handles = await Promise.all(Array.from({ length: 12 }, () => openStream()));
    // Each writer has a source of its own for each stream, as two processes would.
    const sources = writers.map(() => handles.map((handle) => createTestSource(handle)));
    for (let round = 0; round < 60; round++)
      for (const [w, one] of writers.entries()) {
        const source = sources[w]![integerBelow(random, handles.length)]!;
        for (let i = 0; i < 4; i++) {
          const from = integerBelow(random, readings);
          source.push(frameOf(source.handle, from, Math.min(readings - from, 1 + integerBelow(random, 60))));
        }
        one.due(source);
        if (integerBelow(random, 4) === 0) await one.drain(10_000);
      }
    for (const [w, one] of writers.entries()) for (const source of sources[w]!) offer(one, source, readings);
    for (const one of writers) expect(await one.drain(30_000)).toBe(true);
    for (const source of sources[0]!) await expectStoredOnce(source, readings);
    const stored = writers.reduce((sum, one) => sum + one.counters.storedReadings, 0);
    expect(stored).toBe(handles.length * readings);
    expect(writers.every((one) => one.counters.duplicateReadings > 0)).toBe(true);
  },
);

test('a declared loss is kept with its reason, until the reading comes after all', async () => {
  const one = await writer();
  const source = await openSource();
  const { handle } = source;
  source.push(frameOf(handle, 0, 10));
  source.declare({ from: 5, to: 40, reason: 'device-store-full' });
  one.due(source);
  await one.drain(10_000);
  expect(await guardOf(handle)).toMatchObject({ committed: '{[0,10)}', lost: '{[10,40)}' });
  source.push(frameOf(handle, 20, 5));
  source.declare({ from: 10, to: 40, reason: 'sensor-fault' });
  one.due(source);
  await one.drain(10_000);
  expect(await guardOf(handle)).toMatchObject({
    committed: '{[0,10),[20,25)}',
    lost: '{[10,20),[25,40)}',
  });
  expect(source.progress.lost).toEqual([
    { from: 10, to: 20 },
    { from: 25, to: 40 },
  ]);
  const { losses } = await readStored(database.ownerUrl, handle.definition.stream);
  expect(losses.map(({ from, to, reason }) => [from, to, reason])).toEqual([[10, 40, 'device-store-full']]);
});

test('a stream that the database refuses is found among many, and the others are stored', async () => {
  const one = await writer();
  const sources = await Promise.all(Array.from({ length: 20 }, () => openSource()));
  const guilty = sources[13]!;
  await tables.query(
    `alter table kymo.chunk add constraint poison check (stream_id <> '${guilty.handle.definition.stream}')`,
  );
  endings.push(() => tables.query('alter table kymo.chunk drop constraint poison'));
  for (const source of sources) offer(one, source, 100);
  expect(await one.drain(20_000)).toBe(true);
  expect(guilty.heard).toEqual(['refused']);
  for (const source of sources) if (source !== guilty) await expectStoredOnce(source, 100);
  expect(await guardOf(guilty.handle)).toMatchObject({ committed: '{}' });
  expect(one.counters).toMatchObject({ refusedStreams: 1, bisections: expect.any(Number) as number });
  expect(one.isStalled).toBe(false);
});

test('a stream whose readings cannot even be packed is found the same way', async () => {
  const one = await writer();
  const sources = await Promise.all(Array.from({ length: 5 }, () => openSource()));
  const guilty = sources[2]!;
  guilty.push(frameOf(guilty.handle, 0, 1, { firstUs: 1e300 }));
  one.due(guilty);
  for (const source of sources) if (source !== guilty) offer(one, source, 100);
  expect(await one.drain(20_000)).toBe(true);
  expect(guilty.heard).toEqual(['refused']);
  for (const source of sources) if (source !== guilty) await expectStoredOnce(source, 100);
});

test('two sources of one stream in one process store its readings once', async () => {
  const one = await writer();
  const first = await openSource();
  const second = createTestSource({ ...first.handle });
  offer(one, first, 100);
  offer(one, second, 100);
  expect(await one.drain(10_000)).toBe(true);
  await expectStoredOnce(first, 100);
});

test('a stream that was erased is reported as unknown, and nothing of it is stored', async () => {
  const one = await writer();
  const erased = await openSource();
  const other = await openSource();
  await tables.query('delete from kymo.stream_epoch where stream_id = $1', [erased.handle.definition.stream]);
  offer(one, erased, 100);
  offer(one, other, 100);
  expect(await one.drain(10_000)).toBe(true);
  expect(erased.heard).toEqual(['unknown']);
  const { chunks } = await readStored(database.ownerUrl, erased.handle.definition.stream);
  expect(chunks).toEqual([]);
  await expectStoredOnce(other, 100);
});

test('at most so many fragments are stored; the oldest gap is asked for, and then the rest is taken', async () => {
  const one = await writer();
  const source = await openSource();
  const { handle } = source;
  const count = limits.fragmentsPerEpoch + 10;
  for (let i = 0; i < count; i++) source.push(frameOf(handle, i * 2 + 1, 1));
  one.due(source);
  expect(await one.drain(10_000)).toBe(true);
  expect(source.heard).toEqual(['settled', 'rewind 0']);
  expect(source.progress.committed).toHaveLength(limits.fragmentsPerEpoch);
  source.push(...Array.from({ length: count }, (_, i) => frameOf(handle, i * 2, 2)));
  one.due(source);
  expect(await one.drain(10_000)).toBe(true);
  await expectStoredOnce(source, count * 2);
});

test('a day without a partition is made, and the flush tried again', async () => {
  const fresh = await createTestDatabase();
  const freshPools = await openPools(fresh.ownerUrl);
  endings.push(async () => {
    await freshPools.close();
    await fresh.drop();
  });
  const someone = await createTenant(fresh.ownerUrl, freshPools, 'B');
  const source = createTestSource(await openStream({}, someone, createCatalogue(freshPools)));
  const one = await writer({ url: freshPools.writerUrl, withoutPartitions: true });
  source.push(frameOf(source.handle, 0, 10));
  one.due(source);
  expect(await one.drain(20_000)).toBe(true);
  expect(one.counters.failures.partition).toBeGreaterThan(0);
  expect(source.heard).toEqual(['settled']);
});

test('a writer that waits for a stuck one of its role ends it', async () => {
  const one = await writer();
  const source = await openSource();
  const stuck = await holder();
  const ended = new Promise((resolve) => stuck.once('error', resolve));
  await lockGuardOf(stuck, source);
  const startedMs = performance.now();
  offer(one, source, 100);
  expect(await one.drain(10_000)).toBe(true);
  expect(performance.now() - startedMs).toBeLessThan(4_000);
  await expect(ended).resolves.toMatchObject({ code: '57P01' });
  await expectStoredOnce(source, 100);
  expect(logged).toContain('ended a stuck writer that held guard rows');
});

test('a writer that works for long is left alone', async () => {
  const one = await writer();
  const source = await openSource();
  const slow = await holder();
  await lockGuardOf(slow, source);
  const working = slow.query('select pg_sleep(2.5)');
  offer(one, source, 100);
  // Longer than the second after which a blocker is looked at.
  expect(await one.drain(2_200)).toBe(false);
  await working;
  await slow.query('rollback');
  expect(await one.drain(10_000)).toBe(true);
  await expectStoredOnce(source, 100);
});

test('a blocker of another role is left alone and waited for', async () => {
  const one = await writer();
  const source = await openSource();
  const other = await holder(database.ownerUrl);
  await lockGuardOf(other, source);
  offer(one, source, 100);
  // Longer than the second after which a blocker is looked at.
  expect(await one.drain(2_200)).toBe(false);
  expect(source.heard).toEqual([]);
  await other.query('rollback');
  expect(await one.drain(10_000)).toBe(true);
  await expectStoredOnce(source, 100);
});

test('a writer that is committing is left alone, however long that takes', async () => {
  const one = await writer();
  const source = await openSource();
  const commits = await holdCommits('slow committer');
  const slow = await holder();
  await slow.query(`set application_name = 'slow committer'`);
  await lockGuardOf(slow, source);
  await slow.query('update kymo.stream_epoch set last_commit_day = last_commit_day where stream_id = $1', [
    source.handle.definition.stream,
  ]);
  const committed = slow.query('commit');
  await backendWhen(`query = 'commit' and wait_event_type = 'Lock'`, 'slow committer');
  offer(one, source, 100);
  // Longer than the second after which a blocker is ended.
  expect(await one.drain(2_500)).toBe(false);
  expect(source.heard).toEqual([]);
  await commits.release();
  await expect(committed).resolves.toMatchObject({ command: 'COMMIT' });
  expect(await one.drain(10_000)).toBe(true);
  await expectStoredOnce(source, 100);
});

test.each(['lock', 'copy', 'commit'])(
  'a backend that is killed at %s costs a retry and doubles nothing',
  async (step) => {
    const one = await writer({ config: { blockedAfterMs: 60_000 } });
    const source = await openSource();
    const blocker = await holder(database.ownerUrl);
    let release = async (): Promise<void> => void (await blocker.query('rollback'));
    let condition = `query like '%for update%' and wait_event_type = 'Lock'`;
    if (step === 'lock') await lockGuardOf(blocker, source);
    else if (step === 'copy') {
      await blocker.query(
        'begin; set local role kymo_writer; lock table kymo.chunk in share row exclusive mode',
      );
      condition = `query like 'copy %' and wait_event_type = 'Lock'`;
    } else {
      ({ release } = await holdCommits('kymo writer'));
      condition = `query = 'commit' and wait_event_type = 'Lock'`;
    }
    offer(one, source, 1_000);
    for (let kill = 0; kill < 2; kill++)
      await superuser.query('select pg_terminate_backend($1, 5000)', [await backendWhen(condition)]);
    expect(source.heard).toEqual([]);
    await backendWhen(condition);
    await release();
    expect(await one.drain(10_000)).toBe(true);
    expect(source.heard).toEqual(['settled']);
    expect(one.counters.failures.gone).toBe(2);
    await expectStoredOnce(source, 1_000);
  },
);

test('a flush under way when the database turns out to be another one is tried again on a new connection', async () => {
  const one = await writer({ config: { blockedAfterMs: 60_000 } });
  const source = await openSource();
  const { release } = await holdCommits('kymo writer');
  offer(one, source, 100);
  const before = await backendWhen(`query = 'commit' and wait_event_type = 'Lock'`);
  one.renew();
  expect(one.counters.failures.gone).toBe(1);
  await expect.poll(() => backendWhen(`query like '%for update%'`)).not.toBe(before);
  expect(source.heard).toEqual([]);
  await release();
  expect(await one.drain(10_000)).toBe(true);
  expect(source.heard).toEqual(['settled']);
  await expectStoredOnce(source, 100);
  one.renew();
  offer(one, source, 150, 100);
  expect(await one.drain(10_000)).toBe(true);
  await expectStoredOnce(source, 150);
});

test.each([
  ['53100', /the disk of the database is full: make room/],
  ['25006', /read-only/],
  ['58030', 'the database does not take readings'],
])(
  'a database that refuses everything with %s is said to, and all is stored once it takes it again',
  async (code, reason) => {
    const one = await writer();
    const source = await openSource();
    expect(one.stallReason).toBe(null);
    await tables.query(`
    create function kymo.refuse() returns trigger language plpgsql as $$
      begin raise exception 'no' using errcode = '${code}'; end $$;
    create trigger refuse before update on kymo.stream_epoch execute function kymo.refuse()`);
    try {
      offer(one, source, 100);
      await expect.poll(() => one.counters.failures.gone).toBeGreaterThan(2);
      expect(one.stallReason).toMatch(reason);
      expect(source.heard).toEqual([]);
    } finally {
      await tables.query('drop function kymo.refuse cascade');
    }
    expect(await one.drain(10_000)).toBe(true);
    expect(one.stallReason).toBe(null);
    expect(source.heard).toEqual(['settled']);
    expect(one.counters.refusedStreams).toBe(0);
    await expectStoredOnce(source, 100);
  },
);

test('a COMMIT that happened and whose answer was lost is recognised, not repeated', async () => {
  const proxy = await startAnswerProxy(pools.writerUrl);
  endings.push(() => proxy.close());
  const one = await writer({ url: proxy.url });
  const source = await openSource();
  source.declare({ from: 1_000, to: 1_010, reason: 'sensor-fault' });
  proxy.loseAnswerTo('commit');
  offer(one, source, 1_000);
  expect(await one.drain(10_000)).toBe(true);
  expect(proxy.lost).toBe(1);
  expect(source.heard).toEqual(['settled']);
  expect(one.counters).toMatchObject({ storedReadings: 0, duplicateReadings: 1_000 });
  await expectStoredOnce(source, 1_000);
  expect((await readStored(database.ownerUrl, source.handle.definition.stream)).losses).toHaveLength(1);
});

test.each(['rollback', 'begin'])('a lost answer to %s does no harm either', async (statement) => {
  const proxy = await startAnswerProxy(pools.writerUrl);
  endings.push(() => proxy.close());
  const one = await writer({ url: proxy.url });
  const bad = await openSource();
  const good = await openSource();
  bad.push(frameOf(bad.handle, 0, 1, { firstUs: 1e300 }));
  one.due(bad);
  offer(one, good, 100);
  proxy.loseAnswerTo(statement);
  expect(await one.drain(20_000)).toBe(true);
  expect(proxy.lost).toBe(1);
  expect(bad.heard).toEqual(['refused']);
  await expectStoredOnce(good, 100);
});

test('while the database is away nothing is settled and readings wait; afterwards all are there once', async () => {
  const one = await writer();
  const source = await openSource();
  offer(one, source, 100);
  await one.drain(10_000);
  await superuser.query(`alter database ${database.name} allow_connections false`);
  await superuser.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, [
    database.name,
  ]);
  try {
    offer(one, source, 200, 100);
    await expect.poll(() => one.counters.failures.gone, { timeout: 10_000 }).toBeGreaterThan(5);
    expect(one.isStalled).toBe(true);
    expect(source.heard).toEqual(['settled']);
    offer(one, source, 300, 200);
    expect(await one.drain(100)).toBe(false);
  } finally {
    await superuser.query(`alter database ${database.name} allow_connections true`);
  }
  expect(await one.drain(10_000)).toBe(true);
  expect(one.isStalled).toBe(false);
  await expectStoredOnce(source, 300);
});

test('a writer that is stopped in the middle of a flush leaves nothing behind', async () => {
  const one = await writer({ config: { blockedAfterMs: 60_000 } });
  const source = await openSource();
  const blocker = await holder(database.ownerUrl);
  await blocker.query('begin; set local role kymo_writer; lock table kymo.chunk in share row exclusive mode');
  offer(one, source, 100);
  await backendWhen(`query like 'copy %' and wait_event_type = 'Lock'`);
  await one.stop();
  await blocker.query('rollback');
  const left = async (): Promise<number | null> =>
    (
      await superuser.query(
        `select from pg_stat_activity where datname = $1 and application_name like 'kymo writer%'`,
        [database.name],
      )
    ).rowCount;
  await expect.poll(left).toBe(0);
  expect(source.heard).toEqual([]);
  expect(await guardOf(source.handle)).toMatchObject({ committed: '{}' });
});

test('what failed is known by its SQLSTATE', () => {
  const kind = (code: string, more = {}): string =>
    failureKindOf(Object.assign(new Error(), { code, ...more }));
  expect(['55P03', '40P01', '40001'].map((code) => kind(code))).toEqual(['blocked', 'blocked', 'blocked']);
  expect(kind('23514')).toBe('partition');
  expect(kind('23514', { constraint: 'poison' })).toBe('data');
  expect(['22003', '23505', '54000'].map((code) => kind(code))).toEqual(['data', 'data', 'data']);
  expect(['57P01', '53100', '25P03', '08006', 'EPIPE', 'ECONNRESET'].map((code) => kind(code))).toEqual(
    Array.from({ length: 6 }, () => 'gone'),
  );
  expect(failureKindOf(new Error('no code'))).toBe('gone');
});

test('a connection that breaks while partitions are made fails that call and nothing else', async () => {
  const one = await writer();
  const client = await holder();
  // The lock of partitions.ts.
  await client.query('select pg_advisory_lock(5962118)');
  const made = one.preparePartitions().catch((error: unknown) => error);
  const pid = await backendWhen(`wait_event = 'advisory'`, 'kymo writer side');
  await superuser.query('select pg_terminate_backend($1, 5000)', [pid]);
  expect(await made).toMatchObject({ code: '57P01' });
  await client.query('select pg_advisory_unlock(5962118)');
  await expect(one.preparePartitions()).resolves.toBe(undefined);
});

test('of two connections of one device the newer writes, once it has, and the older is turned away', async () => {
  const [one, two] = [await writer(), await writer()];
  const handle = await openStream();
  const opened = { committed: [], lost: [] };
  const older = createTestSource(handle, { generation: 4, opened });
  offer(one, older, 100);
  await expect.poll(() => older.heard).toEqual(['settled']);

  const early = createTestSource(handle, { generation: 5, opened });
  offer(two, early, 100);
  await expect.poll(() => early.heard).toEqual(['outdated']);
  const newer = createTestSource(handle, { generation: 5, opened: older.progress });
  offer(two, newer, 200);
  await expect.poll(() => newer.heard).toEqual(['settled']);

  offer(one, older, 300, 200);
  await expect.poll(() => older.heard).toEqual(['settled', 'superseded']);
  await expectStoredOnce(newer, 200);
  expect(one.counters).toMatchObject({ supersededStreams: 1 });
  expect(two.counters).toMatchObject({ outdatedStreams: 1, duplicateReadings: 100 });
});

test('a claim with nothing new is written, and is no day of a first commit', async () => {
  const one = await writer();
  const handle = await openStream();
  const source = createTestSource(handle, { generation: 7, opened: { committed: [], lost: [] } });
  one.due(source);
  source.declare({ from: 0, to: 0, reason: 'overwritten' });
  one.due(source);
  await expect.poll(() => source.heard).toEqual(['settled']);
  const { rows } = await tables.query(
    'select generation, first_commit_day, last_commit_day from kymo.stream_epoch where stream_id = $1',
    [handle.definition.stream],
  );
  expect(rows).toEqual([{ generation: '7', first_commit_day: null, last_commit_day: null }]);
});
