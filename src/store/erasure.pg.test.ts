import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamHandle } from '#contract/readings.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { erase, eraseSessions, type ErasureOutcome } from '#store/erasure.ts';
import { createLegalHolds } from '#store/legal-holds.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
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
    database: connectWriterDatabase({
      connectionString: pools.writerUrl,
      log: { debug: note, info: note, warn: note, error: note },
    }),
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

async function codeOfOpening(definition: StreamDefinition): Promise<string | null> {
  const opened = await createCatalogue(pools).openStream(tenant.device, { definition, epoch: randomEpoch() });
  return opened.ok ? null : opened.error.code;
}

async function definitionsOf({ session, stream }: StreamDefinition): Promise<unknown> {
  const owner = openTestPool(database.ownerUrl);
  const { rows } = await owner.query(
    `select (select count(*)::int from kymo.session where id = $1) as sessions,
            (select count(*)::int from kymo.stream where id = $2) as streams`,
    [session, stream],
  );
  await owner.end();
  return rows[0];
}

const eraseSession = ({ session }: StreamDefinition): Promise<ErasureOutcome> =>
  erase(pools, tenant.orgId, { kind: 'session', id: session });

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

test('a session that is being erased cannot be opened again, nor can another stream of it, then or later', async () => {
  const definition = streamDefinition();
  const source = createTestSource(await open(definition));
  await store(source, 0);
  const { erased, goOn } = await stopAtReadings(source.handle);
  expect(await codeOfOpening(definition)).toBe('erased');
  await goOn();
  expect(await erased).toBe(1);
  expect(await codeOfOpening(definition)).toBe('erased');
  expect(await codeOfOpening(streamDefinition({ session: definition.session }))).toBe('erased');
  expect(await rowsOf(source.handle)).toEqual(nothing);
  expect(await definitionsOf(definition)).toEqual({ sessions: 0, streams: 0 });
});

/** Opens a stream whose session is erased between the two round trips of the opening, or right after them. */
async function openWhileErasing(definition: StreamDefinition, isErasedFirst: boolean) {
  const outcomes: ErasureOutcome[] = [];
  const erasing = async (): Promise<void> => void outcomes.push(await eraseSession(definition));
  const writerPool: Pools['writer'] = {
    ...pools.writer,
    async run(statements, mode) {
      if (isErasedFirst) await erasing();
      const results = await pools.writer.run(statements, mode);
      if (!isErasedFirst) await erasing();
      return results;
    },
  };
  const place = createCatalogue({ app: pools.app, writer: writerPool });
  const opened = await place.openStream(tenant.device, { definition, epoch: randomEpoch() });
  expect(outcomes).toEqual(['erased']);
  return opened;
}

test.each([true, false])(
  'an opening that had begun before the erasure leaves no guard row (erased in between: %s)',
  async (isErasedFirst) => {
    const definition = streamDefinition();
    await open(definition);
    const opened = await openWhileErasing(definition, isErasedFirst);
    expect(opened.ok).toBe(!isErasedFirst);
    const { rows } = await tables.query('select from kymo.stream_epoch where stream_id = $1', [
      definition.stream,
    ]);
    expect(rows).toHaveLength(0);
    expect(await definitionsOf(definition)).toEqual({ sessions: 0, streams: 0 });
  },
);

test('an erasure that dies half way is finished by the next one, wherever it died', async () => {
  for (let steps = 0; steps < 8; steps++) {
    const source = createTestSource(await open());
    await store(source, 0);
    let left = steps;
    const dying = <T extends Pools['app']>(pool: T): T => ({
      ...pool,
      run: (statements, mode) =>
        left-- > 0 ? pool.run(statements, mode) : Promise.reject(new Error('died')),
    });
    const { definition } = source.handle;
    const target = { kind: 'session', id: definition.session } as const;
    await erase({ app: dying(pools.app), writer: dying(pools.writer) }, tenant.orgId, target).catch(
      () => undefined,
    );
    expect(await codeOfOpening(definition)).toBe(steps > 0 ? 'erased' : null);
    expect(await erase(pools, tenant.orgId, target)).toBe('erased');
    expect(await rowsOf(source.handle)).toEqual(nothing);
    expect(await definitionsOf(definition)).toEqual({ sessions: 0, streams: 0 });
  }
});

/** Counts round trips and statements of all roles. */
function counted(): { readonly pools: Pick<Pools, 'app' | 'writer'>; readonly cost: { trips: number } } {
  const cost = { trips: 0 };
  const counting = <T extends Pools['app']>(pool: T): T => ({
    ...pool,
    run(statements, mode) {
      cost.trips++;
      return pool.run(statements, mode);
    },
  });
  return { pools: { app: counting(pools.app), writer: counting(pools.writer) }, cost };
}

test('an erasure takes five round trips, however many tables and days there are', async () => {
  const source = createTestSource(await open());
  await store(source, 0);
  const { pools: counting, cost } = counted();
  const { definition } = source.handle;
  expect(await erase(counting, tenant.orgId, { kind: 'session', id: definition.session })).toBe('erased');
  expect(cost.trips).toBe(5);
  expect(await rowsOf(source.handle)).toEqual(nothing);
});

test('an erasure breaks off after so many batches, acknowledges nothing, and goes on when it is asked again', async () => {
  const source = createTestSource(await open());
  await store(source, 0);
  const { definition } = source.handle;
  const target = { kind: 'session', id: definition.session } as const;
  // The second would find that nothing is left.
  const once = erase(pools, tenant.orgId, { ...target, maxBatches: 1 });
  await expect(once).rejects.toMatchObject({ code: 'overloaded', temporary: true });
  expect(await codeOfOpening(definition)).toBe('erased');
  expect(await definitionsOf(definition)).toEqual({ sessions: 1, streams: 1 });
  expect(await erase(pools, tenant.orgId, { ...target, maxBatches: 1 })).toBe('erased');
  expect(await definitionsOf(definition)).toEqual({ sessions: 0, streams: 0 });
});

test('a day that retention drops meanwhile stops no erasure', async () => {
  const source = createTestSource(await open());
  await store(source, 0);
  const { definition } = source.handle;
  await tables.query('create table kymo.chunk_gone (stream_id uuid)');
  const dropping: Pools['writer'] = {
    ...pools.writer,
    async run(statements, mode) {
      if (statements[0]!.text.startsWith('delete from'))
        await tables.query('drop table if exists kymo.chunk_gone');
      return pools.writer.run(statements, mode);
    },
  };
  const target = { kind: 'session', id: definition.session } as const;
  expect(await erase({ app: pools.app, writer: dropping }, tenant.orgId, target)).toBe('erased');
  expect(await rowsOf(source.handle)).toEqual(nothing);
});

test('a second server that still has the stream open stores nothing more of it', async () => {
  const source = createTestSource(await open());
  await store(source, 0);
  const second = createWriter({
    database: connectWriterDatabase({
      connectionString: pools.writerUrl,
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    }),
    config: { ...defaultWriterConfig, flushIntervalMs: 5 },
    clock: systemClock,
    random: Math.random,
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  const there = createTestSource(source.handle);
  expect(await eraseSession(source.handle.definition)).toBe('erased');
  there.push(frameOf(there.handle, 100, 10));
  second.due(there);
  expect(await second.drain(10_000)).toBe(true);
  await second.stop();
  expect(there.heard).toEqual(['unknown']);
  expect(await rowsOf(source.handle)).toEqual(nothing);
});

test('nothing is erased under a legal hold, and nothing can be held that is being erased', async () => {
  const source = createTestSource(await open());
  await store(source, 0);
  const { definition } = source.handle;
  const holds = createLegalHolds(pools.app);
  expect(await holds.hold(tenant.orgId, definition.session, 'court file 7')).toBe(true);
  expect(await eraseSession(definition)).toBe('held');
  expect(await erase(pools, tenant.orgId, { kind: 'stream', id: definition.stream })).toBe('held');
  expect(await codeOfOpening(definition)).toBeNull();
  expect(await rowsOf(source.handle)).toMatchObject({ chunks: 1, losses: 1 });
  expect(await holds.release(tenant.orgId, definition.session)).toBe(true);
  expect(await holds.release(tenant.orgId, definition.session)).toBe(false);
  const { erased, goOn } = await stopAtReadings(source.handle);
  expect(await holds.hold(tenant.orgId, definition.session, 'too late')).toBe(false);
  await goOn();
  expect(await erased).toBe(1);
});

test('a hold and an erasure at once: one of them wins, and nothing is half done', async () => {
  const holds = createLegalHolds(pools.app);
  for (let round = 0; round < 10; round++) {
    const source = createTestSource(await open());
    await store(source, 0);
    const { definition } = source.handle;
    const [isHeld, outcome] = await Promise.all([
      holds.hold(tenant.orgId, definition.session, 'court file 8'),
      eraseSession(definition),
    ]);
    expect(outcome).toBe(isHeld ? 'held' : 'erased');
    expect(await rowsOf(source.handle)).toMatchObject({ chunks: isHeld ? 1 : 0 });
  }
});

test("no organisation erases or holds what is another's, or hears that it exists", async () => {
  const other = await createTenant(database.ownerUrl, pools, 'B');
  const source = createTestSource(await open());
  await store(source, 0);
  const { definition } = source.handle;
  const holds = createLegalHolds(pools.app);
  expect(await erase(pools, other.orgId, { kind: 'session', id: definition.session })).toBe('not-found');
  expect(await erase(pools, other.orgId, { kind: 'stream', id: definition.stream })).toBe('not-found');
  expect(await holds.hold(other.orgId, definition.session, 'mine')).toBe(false);
  expect(await holds.hold(tenant.orgId, definition.session, 'ours')).toBe(true);
  expect(await holds.release(other.orgId, definition.session)).toBe(false);
  expect(await rowsOf(source.handle)).toMatchObject({ chunks: 1 });
  // Neither tombstones nor holds of others can be read or made.
  for (const text of [
    `insert into kymo.erased (org_id, kind, id) values ('${tenant.orgId}', 'session', '${definition.session}')`,
    `insert into kymo.legal_hold (session_id, org_id, reason) values ('${definition.session}', '${tenant.orgId}', 'x')`,
  ])
    await expect(
      runAsOrg(pools.app, other.orgId, { statements: [{ text }], mode: 'change' }),
    ).rejects.toThrow('row-level security');
  const [seen] = await runAsOrg(pools.app, other.orgId, {
    statements: [{ text: 'select from kymo.legal_hold' }],
    mode: 'snapshot',
  });
  expect(seen?.rowCount).toBe(0);
  await holds.release(tenant.orgId, definition.session);
  expect(await eraseSession(definition)).toBe('erased');
  // The tombstone is its organisation's alone: ids are drawn at random, and another's is no business of theirs.
  expect(await createCatalogue(pools).isErased(other.device, definition)).toBe(false);
  expect(await createCatalogue(pools).isErased(tenant.device, definition)).toBe(true);
});

test('one stream can be erased, and the rest of its session stays', async () => {
  const definition = streamDefinition();
  const gone = createTestSource(await open(definition));
  const kept = createTestSource(
    await open(streamDefinition({ session: definition.session, segment: 'hand' })),
  );
  await store(gone, 0);
  await store(kept, 0);
  expect(await erase(pools, tenant.orgId, { kind: 'stream', id: definition.stream })).toBe('erased');
  expect(await rowsOf(gone.handle)).toEqual(nothing);
  expect(await rowsOf(kept.handle)).toMatchObject({ chunks: 1 });
  expect(await codeOfOpening(definition)).toBe('erased');
  await store(kept, 100);
  expect(kept.heard).toEqual(['settled', 'settled']);
  expect(await definitionsOf(definition)).toEqual({ sessions: 1, streams: 0 });
});

test('clock observations go when they were made for the erased session alone', async () => {
  const definition = streamDefinition();
  await open(definition);
  await open(streamDefinition());
  const owner = openTestPool(database.ownerUrl);
  try {
    await owner.query('delete from kymo.clock_observation');
    await owner.query(
      `update kymo.stream set opened_at = now() - interval '3 hours', ended_at = now() - interval '1 hour'
        where id = $1`,
      [definition.stream],
    );
    await owner.query(
      `update kymo.stream set opened_at = now() - interval '2 hours', ended_at = now() where session_id <> $1`,
      [definition.session],
    );
    for (const [minutes, offset] of [
      [150, 1],
      [90, 2],
      [240, 3],
    ])
      await owner.query(
        `insert into kymo.clock_observation values ($1, $2, now() - $3 * interval '1 minute', 0, $4, 0)`,
        [tenant.orgId, tenant.device.deviceId, minutes, offset],
      );
    await eraseSession(definition);
    const { rows } = await owner.query('select offset_us from kymo.clock_observation order by 1');
    expect(rows.map((row: { offset_us: string }) => Number(row.offset_us))).toEqual([2, 3]);
  } finally {
    await owner.end();
  }
});

test('what never was is not found, and erasing twice is erasing once', async () => {
  expect(await eraseSession(streamDefinition())).toBe('not-found');
  const { definition } = await open();
  expect(await eraseSession(definition)).toBe('erased');
  expect(await eraseSession(definition)).toBe('erased');
});

test('erasing and flushing the same streams at once never deadlock', async () => {
  const definition = streamDefinition();
  const handles = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      open(streamDefinition({ session: definition.session, segment: `s${i}` })),
    ),
  );
  const sources = handles.map((handle) => createTestSource(handle));
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

test('what jobs made of a session goes with a stream of it, and what they are making is stopped', async () => {
  const { definition } = await open();
  const owner = openTestPool(database.ownerUrl);
  const make = async (kind: string, state: string): Promise<string> => {
    const { rows } = await owner.query(
      `with made as (
          insert into kymo.job (id, org_id, kind, state, input, session_id, lane, shard, priority, max_attempts, file_run,
              file_name, file_bytes, file_expires_at)
          values (gen_random_uuid(), $1, $2, $3, '{}', $4, 'slow', 0, 0, 1, gen_random_uuid(), 'a.zip', 1, now() + interval '1 day')
          returning id, file_run, org_id)
        insert into kymo.job_file_part (job_id, run_id, part, org_id, bytes)
        select id, file_run, 0, org_id, 'x' from made returning job_id`,
      [tenant.orgId, kind, state, definition.session],
    );
    return (rows[0] as { job_id: string }).job_id;
  };
  const [done, running] = [await make('session-export', 'done'), await make('session-report', 'running')];
  expect(await erase(pools, tenant.orgId, { kind: 'stream', id: definition.stream })).toBe('erased');
  const { rows } = await owner.query(
    `select j.id, j.file_run, j.cancel_asked_at is not null as stopped,
        (select count(*)::int from kymo.job_file_part p where p.job_id = j.id) as parts
      from kymo.job j where j.session_id = $1`,
    [definition.session],
  );
  await owner.end();
  expect(rows).toHaveLength(2);
  expect(rows).toContainEqual({ id: done, file_run: null, stopped: false, parts: 0 });
  expect(rows).toContainEqual({ id: running, file_run: null, stopped: true, parts: 0 });
});
