import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamHandle } from '#contract/readings.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { erase } from '#store/erasure.ts';
import { createLegalHolds } from '#store/legal-holds.ts';
import { classTable, ensurePartitions, makePartitions, partitionName } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createRetentionTask } from '#store/retention.ts';
import { createRollupTask } from '#store/rollup-keeper.ts';
import { createSealTask } from '#store/seal-task.ts';
import { unsealSession } from '#store/unsealing.ts';
import type { UpkeepTask } from '#store/upkeep.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
import { createWriter } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTestSource, type TestSource } from '#test/support/frame-source.ts';
import { frameOf } from '#test/support/frames.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
/** As kymo_writer. */
let tables: pg.Pool;
/** As the owner, who sets rules. */
let owner: pg.Pool;
let tenant: Tenant;

beforeEach(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  tables = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  await owner.query("insert into kymo.retention_class (class, name, raw_days) values (1, 'a week', 7)");
  await owner.query('update kymo.organisation set retention_class = 1');
});

afterEach(async () => {
  await pools.close();
  await Promise.all([tables.end(), owner.end()]);
  await database.drop();
});

async function open(definition = streamDefinition()): Promise<StreamHandle> {
  const opened = await createCatalogue(pools).openStream(tenant.device, { definition, epoch: randomEpoch() });
  if (!opened.ok) throw new Error(opened.error.message);
  return opened.value.handle;
}

/** Stores readings [from, from + 10) of each source as if it were `daysAgo`; returns the slowest flush, ms. */
async function store(sources: readonly TestSource[], from: number, daysAgo: number): Promise<number> {
  const writer = createWriter({
    database: connectWriterDatabase({
      connectionString: pools.writerUrl,
      log: silentLog,
      dayShift: () => -daysAgo,
    }),
    config: { ...defaultWriterConfig, flushIntervalMs: 1 },
    clock: systemClock,
    random: Math.random,
    log: silentLog,
  });
  await makeDay(daysAgo, [...new Set(sources.map(({ handle }) => handle.retentionClass))]);
  const startedMs = performance.now();
  for (const source of sources) {
    source.push(frameOf(source.handle, from, 10));
    writer.due(source);
  }
  expect(await writer.drain(20_000)).toBe(true);
  const tookMs = performance.now() - startedMs;
  await writer.stop();
  return tookMs;
}

async function makeDay(daysAgo: number, classes: readonly number[]): Promise<void> {
  const day = new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);
  const client = await tables.connect();
  try {
    await client.query('begin');
    await makePartitions(
      client,
      classes.map((retentionClass) => ({ retentionClass, day })),
    );
    await client.query('commit');
  } finally {
    client.release();
  }
}

async function storeNew(daysAgo: number): Promise<TestSource> {
  const source = createTestSource(await open());
  await store([source], 0, daysAgo);
  return source;
}

const task = (): UpkeepTask => createRetentionTask({ log: silentLog });
const signal = new AbortController().signal;

/** Steps until nothing is left to do; returns how many. */
async function runAll(retention: UpkeepTask, db = tables): Promise<number> {
  for (let steps = 1; steps < 100; steps++) if ((await retention.step(db, signal)) === 'idle') return steps;
  throw new Error('retention does not come to an end');
}

async function storedSeqs({ handle }: TestSource): Promise<number[]> {
  const { rows } = await tables.query<{ first_seq: string }>(
    'select first_seq from kymo.chunk where stream_id = $1 order by 1',
    [handle.definition.stream],
  );
  return rows.map((row) => Number(row.first_seq));
}

/** Day partitions of class 1 that are attached, by their age in days, oldest first. */
async function agesOf(table = 'chunk'): Promise<number[]> {
  const { rows } = await tables.query<{ age: number }>(
    `select (now() at time zone 'UTC')::date - to_date(right(c.relname, 8), 'YYYYMMDD') as age
       from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = $1::regclass and not i.inhdetachpending order by 1 desc`,
    [`kymo.${table}_c1`],
  );
  return rows.map((row) => row.age);
}

test('days that are over are dropped, younger ones and those of other classes stay', async () => {
  const [old, edge, young] = [await storeNew(8), await storeNew(7), await storeNew(1)];
  await owner.query('update kymo.organisation set retention_class = 0');
  const kept = await storeNew(400);
  const retention = task();
  await runAll(retention);
  expect(await storedSeqs(old)).toEqual([]);
  for (const source of [edge, young, kept]) expect(await storedSeqs(source)).toEqual([0]);
  expect(await agesOf()).not.toContain(8);
  expect(retention.counters['droppedPartitions']).toBe(2);
  expect(await retention.step(tables, signal)).toBe('idle');
});

test('a replay of dropped readings is acknowledged and not stored; new ones are', async () => {
  const source = await storeNew(30);
  await runAll(task());
  expect(await storedSeqs(source)).toEqual([]);
  await store([source], 0, 0);
  expect(source.heard).toEqual(['settled', 'settled']);
  expect(source.progress.committed).toEqual([{ from: 0, to: 10 }]);
  expect(await storedSeqs(source)).toEqual([]);
  await store([source], 10, 0);
  expect(await storedSeqs(source)).toEqual([10]);
});

test('a long reader holds up neither flushes nor the making of partitions, and ends what it sees undisturbed', async () => {
  const old = await storeNew(20);
  const live = await storeNew(0);
  const reader = await owner.connect();
  const retention = task();
  try {
    await reader.query('begin isolation level repeatable read');
    await reader.query('set local role kymo_writer');
    const count = async (): Promise<unknown> =>
      (await reader.query('select count(*)::int as n from kymo.chunk')).rows[0];
    expect(await count()).toEqual({ n: 2 });
    const step = retention.step(tables, signal);
    let isOver = false;
    void step.finally(() => (isOver = true));
    let slowestMs = 0;
    for (let seq = 10; !isOver; seq += 10) {
      slowestMs = Math.max(slowestMs, await store([live], seq, 0));
      await ensurePartitions(tables, () => 5);
    }
    expect(await step).toBe('idle');
    expect(retention.counters['waits']).toBe(1);
    expect(slowestMs).toBeLessThan(1_000);
    // For everybody else it is gone already.
    expect(await storedSeqs(old)).toEqual([]);
    expect(await count()).toEqual({ n: 2 });
  } finally {
    await reader.query('rollback');
    reader.release();
  }
  await runAll(retention);
  expect(retention.counters['droppedPartitions']).toBe(2);
  expect(await agesOf()).not.toContain(20);
});

test('a server that dies while it waits to detach leaves work that the next one finishes', async () => {
  await storeNew(20);
  const reader = await owner.connect();
  const dying = openTestPool(pools.writerUrl);
  dying.on('connect', (client) => client.on('error', () => undefined));
  try {
    await reader.query('begin; set local role kymo_writer');
    await reader.query('select from kymo.chunk');
    const step = task().step(dying, signal);
    const failed = step.then(
      () => false,
      () => true,
    );
    await expect
      .poll(async () => {
        const { rows } = await owner.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and query like '%detach partition%' and pid <> pg_backend_pid()
              and exists (select from pg_inherits where inhdetachpending)`,
        );
        return rows.length;
      })
      .toBe(1);
    expect(await failed).toBe(true);
  } finally {
    await reader.query('rollback');
    reader.release();
    await dying.end();
  }
  const { rows } = await tables.query('select from pg_inherits where inhdetachpending');
  expect(rows).toHaveLength(1);
  const next = task();
  await runAll(next);
  expect(next.counters['droppedPartitions']).toBe(2);
});

test('a server that dies between detaching and dropping leaves work that the next one finishes', async () => {
  await storeNew(20);
  expect(await task().step(tables, signal)).toBe('more');
  const { rows } = await tables.query(
    `select from pg_class c where c.relkind = 'r' and c.relname like 'chunk_c1_%' and not c.relispartition`,
  );
  expect(rows).toHaveLength(1);
  const next = task();
  await runAll(next);
  expect(next.counters['droppedPartitions']).toBe(2);
});

test('a detached day that is not ours to drop is left alone', async () => {
  await storeNew(20);
  const { rows } = await tables.query<{ name: string }>(
    `select c.relname as name from pg_class c
      where c.relkind = 'r' and c.relname like 'chunk_c1_%' order by 1 limit 1`,
  );
  await tables.query(`alter table kymo.chunk_c1 detach partition kymo.${rows[0]!.name}`);
  await runAll(task());
  expect((await tables.query(`select from kymo.${rows[0]!.name}`)).rowCount).toBe(1);
});

test('a day with readings under a legal hold is emptied of all others, and dropped when the hold ends', async () => {
  const [held, other] = [createTestSource(await open()), createTestSource(await open())];
  await store([held, other], 0, 20);
  const holds = createLegalHolds(pools.app);
  const { session } = held.handle.definition;
  expect(await holds.hold(tenant.orgId, session, 'court file 7')).toBe(true);
  const retention = task();
  await runAll(retention);
  expect(await storedSeqs(held)).toEqual([0]);
  expect(await storedSeqs(other)).toEqual([]);
  expect(retention.counters).toMatchObject({ droppedPartitions: 1, deletedRows: 1 });
  // A day that is held does not keep others from being dropped.
  const younger = await storeNew(15);
  await runAll(retention);
  expect(await storedSeqs(younger)).toEqual([]);
  await holds.release(tenant.orgId, session);
  await runAll(retention);
  expect(await storedSeqs(held)).toEqual([]);
  expect(retention.counters['droppedPartitions']).toBe(4);
});

test('a hold that begins while its day is being dropped brings the day back, without what was erased meanwhile', async () => {
  const [held, gone] = [createTestSource(await open()), createTestSource(await open())];
  await store([held, gone], 0, 20);
  const retention = task();
  expect(await retention.step(tables, signal)).toBe('more');
  expect(await storedSeqs(held)).toEqual([]);
  const { session } = held.handle.definition;
  expect(await createLegalHolds(pools.app).hold(tenant.orgId, session, 'court file 7')).toBe(true);
  const target = { kind: 'session', id: gone.handle.definition.session } as const;
  expect(await erase(pools, tenant.orgId, target)).toBe('erased');
  await runAll(retention);
  // The sealed partition of the day has nothing that is held.
  expect(retention.counters).toMatchObject({ droppedPartitions: 1, restoredPartitions: 1 });
  expect(await storedSeqs(held)).toEqual([0]);
  expect(await storedSeqs(gone)).toEqual([]);
  expect(await agesOf()).toContain(20);
});

test('a hold that is being made at the moment of dropping is waited for, and counts', async () => {
  const held = await storeNew(20);
  const retention = task();
  expect(await retention.step(tables, signal)).toBe('more');
  const making = await owner.connect();
  try {
    await making.query('begin');
    await making.query(
      `insert into kymo.legal_hold (session_id, org_id, reason) values ($1, $2, 'court file 7')`,
      [held.handle.definition.session, tenant.orgId],
    );
    expect(await retention.step(tables, signal)).toBe('idle');
    expect(retention.counters).toMatchObject({ waits: 1, droppedPartitions: 0 });
    await making.query('commit');
  } finally {
    making.release();
  }
  await runAll(retention);
  expect(retention.counters).toMatchObject({ restoredPartitions: 1, droppedPartitions: 1 });
  expect(await storedSeqs(held)).toEqual([0]);
});

test('readings of a guard row that is gone do not come back with their day', async () => {
  const [held, gone] = [createTestSource(await open()), createTestSource(await open())];
  await store([held, gone], 0, 20);
  const retention = task();
  await retention.step(tables, signal);
  await createLegalHolds(pools.app).hold(tenant.orgId, held.handle.definition.session, 'court file 7');
  await tables.query('delete from kymo.stream_epoch where stream_id = $1', [gone.handle.definition.stream]);
  await retention.step(tables, signal);
  expect(await storedSeqs(held)).toEqual([0]);
  expect(await storedSeqs(gone)).toEqual([]);
});

test('a rule that becomes longer while a day is being dropped brings the day back', async () => {
  const source = await storeNew(20);
  const retention = task();
  await retention.step(tables, signal);
  await owner.query('update kymo.retention_class set raw_days = null where class = 1');
  await runAll(retention);
  expect(await storedSeqs(source)).toEqual([0]);
  expect(retention.counters).toMatchObject({ droppedPartitions: 0, restoredPartitions: 1 });
});

test('hot days of the past go when they are empty, those of yesterday, of today and to come stay', async () => {
  const source = await storeNew(5);
  await store([source], 10, 2);
  await store([source], 20, 1);
  await store([source], 30, 0);
  await tables.query('delete from kymo.chunk where first_seq in (0, 10, 20)');
  const retention = task();
  await runAll(retention);
  expect(await agesOf()).toEqual([1, 0]);
  expect(retention.counters['droppedPartitions']).toBe(0);
  expect(retention.counters['emptyPartitions']).toBeGreaterThan(0);
  expect(await storedSeqs(source)).toEqual([30]);
});

async function countSealed({ handle }: TestSource): Promise<number> {
  const { rows } = await tables.query('select from kymo.sealed_chunk where stream_id = $1', [
    handle.definition.stream,
  ]);
  return rows.length;
}

test('sealed readings are dropped by the day of their commit; the hot day that sealing emptied goes at once', async () => {
  const [old, young] = [await storeNew(8), await storeNew(4)];
  await runAll(createSealTask());
  for (const source of [old, young]) {
    expect(await storedSeqs(source)).toEqual([]);
    expect(await countSealed(source)).toBe(1);
  }
  await runAll(task());
  expect(await countSealed(old)).toBe(0);
  expect(await countSealed(young)).toBe(1);
  expect(await agesOf()).toEqual([]);
  expect(await agesOf('sealed_chunk')).toEqual([4]);
  // Late readings of a past day are filed under the day of their own commit.
  await store([young], 10, 0);
  expect(await storedSeqs(young)).toEqual([10]);
});

test('a day that unsealing made for readings to come back is not dropped before they are there', async () => {
  const source = await storeNew(4);
  await runAll(createSealTask());
  await runAll(task());
  expect(await agesOf()).toEqual([]);
  // What unsealing does first, and then the retention task of a server beside it.
  await tables.query('insert into kymo.seal_hold (stream_id, org_id) values ($1, $2)', [
    source.handle.definition.stream,
    source.handle.orgId,
  ]);
  await makeDay(4, [source.handle.retentionClass]);
  await runAll(task());
  expect(await agesOf()).toEqual([4]);
  await unsealSession(tables, source.handle.definition.session);
  expect(await storedSeqs(source)).not.toEqual([]);
  await runAll(task());
  expect(await storedSeqs(source)).not.toEqual([]);
});

test('unsealing waits for a day that retention had taken out already, and writes into it when it is back', async () => {
  const source = await storeNew(4);
  await runAll(createSealTask());
  await runAll(task());
  await makeDay(4, [source.handle.retentionClass]);
  const name = partitionName({
    table: 'chunk',
    retentionClass: source.handle.retentionClass,
    day: new Date(Date.now() - 4 * 86_400_000).toISOString().slice(0, 10),
  });
  await tables.query(`comment on table kymo.${name} is 'kymo: retention drops this'`);
  await tables.query(
    `alter table kymo.${classTable('chunk', source.handle.retentionClass)} detach partition kymo.${name}`,
  );
  const unsealing = unsealSession(tables, source.handle.definition.session);
  const isHeld = async () => (await tables.query('select from kymo.seal_hold')).rowCount;
  await expect.poll(isHeld).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await runAll(task());
  expect(await unsealing).toMatchObject({ streams: 1, blocks: 1 });
  expect(await storedSeqs(source)).not.toEqual([]);
});

test('two servers at once drop every day once', async () => {
  for (let daysAgo = 8; daysAgo < 16; daysAgo++) await storeNew(daysAgo);
  const other = openTestPool(pools.writerUrl);
  const both = [task(), task()];
  try {
    for (let round = 0; round < 40; round++)
      await Promise.all(both.map((one, i) => one.step(i === 0 ? tables : other, signal)));
  } finally {
    await other.end();
  }
  const dropped = both.reduce((sum, one) => sum + one.counters['droppedPartitions']!, 0);
  expect(dropped).toBe(16);
  expect((await agesOf()).every((age) => age <= 7)).toBe(true);
});

test('flushes go on while days are dropped, and none fails', async () => {
  for (let daysAgo = 8; daysAgo < 14; daysAgo++) await storeNew(daysAgo);
  const sources = await Promise.all(Array.from({ length: 20 }, async () => createTestSource(await open())));
  const retention = task();
  let isOver = false;
  const dropping = runAll(retention).finally(() => (isOver = true));
  let slowestMs = 0;
  let seq = 0;
  for (; !isOver; seq += 10) slowestMs = Math.max(slowestMs, await store(sources, seq, 0));
  await dropping;
  expect(retention.counters['droppedPartitions']).toBe(12);
  expect(slowestMs).toBeLessThan(1_000);
  for (const source of sources) expect(await storedSeqs(source)).toHaveLength(seq / 10);
});

test('the class of an organisation is that of its new streams, and theirs for good', async () => {
  const handle = await open();
  expect(handle.retentionClass).toBe(1);
  await owner.query('update kymo.organisation set retention_class = 0');
  const again = await createCatalogue(pools).openStream(tenant.device, {
    definition: handle.definition,
    epoch: randomEpoch(),
  });
  expect(again).toMatchObject({ ok: true, value: { handle: { retentionClass: 1 } } });
  expect((await open()).retentionClass).toBe(0);
});

async function countRollups({ handle }: TestSource): Promise<number> {
  const { rows } = await tables.query('select from kymo.rollup where stream_id = $1', [
    handle.definition.stream,
  ]);
  return rows.length;
}

test('roll-ups outlive their readings, go when their own time is over, and are not made again', async () => {
  await owner.query('update kymo.retention_class set rollup_days = 30 where class = 1');
  const [young, old, held] = [await storeNew(20), await storeNew(31), await storeNew(31)];
  const rollup = createRollupTask({ clock: systemClock, policy: { quietS: 0, liveS: 0 } });
  await runAll(rollup);
  await createLegalHolds(pools.app).hold(tenant.orgId, held.handle.definition.session, 'court file 7');
  const retention = task();
  await runAll(retention);
  for (const source of [young, old]) expect(await storedSeqs(source)).toEqual([]);
  expect(await countRollups(young)).toBeGreaterThan(0);
  expect(await countRollups(held)).toBeGreaterThan(0);
  expect(await countRollups(old)).toBe(0);
  expect(retention.counters['deletedRollupRows']).toBeGreaterThan(0);
  await runAll(rollup);
  expect(await countRollups(old)).toBe(0);
  expect(await retention.step(tables, signal)).toBe('idle');
});

test('what was derived goes with roll-ups, but not under a hold, nor while a stream of the session is younger', async () => {
  await owner.query('update kymo.retention_class set rollup_days = 30 where class = 1');
  const [young, old, held] = [await storeNew(20), await storeNew(31), await storeNew(31)];
  const sessions = [young, old, held].map(({ handle }) => handle.definition.session);
  for (const table of ['window_ledger (session_id, org_id)', 'motion_analysis (session_id, org_id, summary)'])
    await owner.query(
      `insert into kymo.${table} select s, $2${table.includes('summary') ? `, '[]'` : ''} from unnest($1::uuid[]) s`,
      [sessions, tenant.orgId],
    );
  await owner.query(
    `insert into kymo.motion_checkpoint (session_id, org_id, start_us, state)
     select s, $2, 0, '' from unnest($1::uuid[]) s`,
    [sessions, tenant.orgId],
  );
  await owner.query(
    `insert into kymo.window_result (org_id, session_id, algorithm, version, start_us, revision, payload)
     select $2, s, a, 1, i, 1, '{}' from unnest($1::uuid[]) s, unnest('{motion,other}'::text[]) a, generate_series(1, 700) i`,
    [sessions, tenant.orgId],
  );
  await createLegalHolds(pools.app).hold(tenant.orgId, sessions[2]!, 'court file 8');
  const retention = task();
  await runAll(retention);
  const countOf = async (session: string, from: string): Promise<number> =>
    (await owner.query(`select from kymo.${from} and session_id = $1`, [session])).rowCount ?? 0;
  for (const [at, session] of sessions.entries()) {
    const isOld = at === 1;
    expect(await countOf(session, 'window_result where true')).toBe(isOld ? 0 : 1_400);
    expect(await countOf(session, 'motion_checkpoint where true')).toBe(isOld ? 0 : 1);
    expect(await countOf(session, 'motion_analysis where summary is not null')).toBe(isOld ? 0 : 1);
    expect(await countOf(session, 'window_ledger where true')).toBe(1);
  }
  expect(retention.counters['deletedDerivedRows']).toBeGreaterThan(1_400);
  expect(await retention.step(tables, signal)).toBe('idle');
});

test('erasing takes sealed readings, roll-ups and all notes with it', async () => {
  const source = await storeNew(4);
  await store([source], 10, 0);
  await runAll(createRollupTask({ clock: systemClock, policy: { quietS: 0, liveS: 0 } }));
  await runAll(createSealTask());
  expect(await countRollups(source)).toBeGreaterThan(0);
  expect(await countSealed(source)).toBe(1);
  const { session, stream } = source.handle.definition;
  expect(await erase(pools, tenant.orgId, { kind: 'session', id: session })).toBe('erased');
  const { rows } = await owner.query<{ table: string }>(
    `select c.table_name as table from information_schema.columns c
      where c.table_schema = 'kymo' and c.column_name = 'stream_id'`,
  );
  expect(rows.map(({ table }) => table)).toContain('rollup_progress');
  for (const { table } of rows)
    expect(
      (await owner.query(`select from kymo.${table} where stream_id = $1`, [stream])).rowCount,
      table,
    ).toBe(0);
});
