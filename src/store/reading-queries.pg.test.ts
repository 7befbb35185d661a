import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { int8ToEpoch } from '#store/epoch.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools, type RolePool, type Statement } from '#store/pools.ts';
import { createRollupTask } from '#store/rollup-keeper.ts';
import { createReadingQueries, type ReadingQuery, type Readings } from '#store/reading-queries.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const START_US = 1_700_000_000_000_000;
const PERIOD_NS = 5_000_000;
const CHUNK_READINGS = 50;

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let writer: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await writer.end();
  await database.drop();
});

const read = async (
  tenant: Tenant,
  query: Partial<ReadingQuery> & { streamId: string },
): Promise<Readings> => {
  const answer = await createReadingQueries(pools.app).read(tenant.orgId, {
    fromUs: -(2 ** 52),
    toUs: 2 ** 52,
    limit: 10_000,
    cursor: null,
    ...query,
  });
  if (typeof answer === 'string') throw new Error(answer);
  return answer;
};

async function open(definition: StreamDefinition): Promise<{ definition: StreamDefinition; epoch: string }> {
  const epoch = randomEpoch();
  const result = await createCatalogue(pools).openStream(tenantA.device, { definition, epoch });
  expect(result.ok).toBe(true);
  return { definition, epoch };
}

/** `chunks` chunks of 50 evenly spaced three-axis readings: value = seq + axis / 10. */
async function storeEven(
  at: { definition: StreamDefinition; epoch: string },
  chunks: { first: number; count: number; startUs?: number },
): Promise<void> {
  for (let chunk = chunks.first; chunk < chunks.first + chunks.count; chunk++) {
    const firstSeq = chunk * CHUNK_READINGS;
    const firstUs = (chunks.startUs ?? START_US) + (firstSeq * PERIOD_NS) / 1000;
    const values = Array.from({ length: CHUNK_READINGS }, (_, i) =>
      [0, 0.1, 0.2].map((a) => firstSeq + i + a),
    );
    await storeChunk(writer, {
      orgId: tenantA.orgId,
      streamId: at.definition.stream,
      epoch: at.epoch,
      firstSeq,
      firstUs,
      lastUs: firstUs + ((CHUNK_READINGS - 1) * PERIOD_NS) / 1000,
      segments: [
        { firstUs, periodNs: PERIOD_NS, arrivalUs: firstUs, count: 20 },
        { firstUs: firstUs + 100_000, periodNs: PERIOD_NS, arrivalUs: firstUs, count: 30 },
      ],
      deltas: null,
      data: Buffer.from(new Float32Array(values.flat()).buffer),
    });
  }
}

test('float32 and int16 readings equal what was stored, and what the SQL view says', async () => {
  const random = crypto.getRandomValues(Buffer.alloc(12 * 40));
  const floats = await open(streamDefinition());
  const integers = await open(streamDefinition({ encoding: 'int16', scale: [0.1, 1 / 3, 2 ** -14] }));
  const deltas = Array.from({ length: 40 }, (_, i) => i * 5_000 + (i % 3));
  for (const { stream, data } of [
    { stream: floats, data: random },
    { stream: integers, data: random.subarray(0, 6 * 40) },
  ])
    await storeChunk(writer, {
      orgId: tenantA.orgId,
      streamId: stream.definition.stream,
      epoch: stream.epoch,
      firstSeq: 7,
      firstUs: START_US,
      lastUs: START_US + 200_000,
      segments: [{ firstUs: START_US, periodNs: PERIOD_NS, arrivalUs: START_US, count: 40 }],
      deltas,
      data,
    });
  for (const { definition, epoch } of [floats, integers]) {
    const readings = await read(tenantA, { streamId: definition.stream });
    expect(readings.runs).toEqual([{ epoch, firstSeq: 7, count: 40 }]);
    const { rows } = await owner.query<{ epoch: string; seq: string; time_us: string; values: number[] }>(
      'select epoch::text, seq, time_us, "values" from kymo.reading where stream_id = $1 order by seq',
      [definition.stream],
    );
    expect(rows.map((row) => [Number(row.time_us), ...row.values])).toEqual(
      Array.from({ length: 40 }, (_, i) => [...readings.rows.subarray(i * 4, i * 4 + 4)]),
    );
    expect(rows.map((row) => Number(row.seq))).toEqual(deltas.map((_, i) => 7 + i));
    expect(int8ToEpoch(rows[0]!.epoch)).toBe(epoch);
    expect(rows.map((row) => Number(row.time_us))).toEqual(deltas.map((delta) => START_US + delta));
  }
  const expected = new Float32Array(random.buffer, random.byteOffset, 120);
  const floatRows = await read(tenantA, { streamId: floats.definition.stream });
  expect([...floatRows.rows].filter((_, i) => i % 4 > 0)).toEqual([...expected].map(Number));
});

test('a range of device time is half-open and cut to the reading', async () => {
  const at = await open(streamDefinition());
  await storeEven(at, { first: 0, count: 4 });
  const readings = await read(tenantA, {
    streamId: at.definition.stream,
    fromUs: START_US + 60 * 5_000,
    toUs: START_US + 130 * 5_000,
  });
  expect(readings.runs).toEqual([{ epoch: at.epoch, firstSeq: 60, count: 70 }]);
  expect([...readings.rows.subarray(0, 4)]).toEqual([
    START_US + 300_000,
    60,
    ...[60.1, 60.2].map(Math.fround),
  ]);
  expect(readings.next).toBeNull();
});

test('pages of any size, over chunks, fetches and epochs, give every reading once and in order', async () => {
  const definition = streamDefinition();
  const first = await open(definition);
  const second = await open(definition);
  await open(definition);
  // More chunks than one fetch takes; the second epoch starts earlier in device time, as after a wrong clock.
  await storeEven(first, { first: 0, count: 70 });
  await storeEven(first, { first: 90, count: 2 });
  await storeEven(second, { first: 0, count: 2, startUs: START_US - 3_600_000_000 });
  const expected = [
    ...Array.from({ length: 3500 }, (_, seq) => `${first.epoch}/${seq}`),
    ...Array.from({ length: 100 }, (_, i) => `${first.epoch}/${4500 + i}`),
    ...Array.from({ length: 100 }, (_, seq) => `${second.epoch}/${seq}`),
  ];
  for (const limit of [37, 50, 3200, 3700, 10_000]) {
    const names: string[] = [];
    const values: number[] = [];
    let cursor: string | null = null;
    do {
      const page: Readings = await read(tenantA, { streamId: definition.stream, limit, cursor });
      expect(page.rowCount).toBeLessThanOrEqual(limit);
      for (const run of page.runs)
        for (let i = 0; i < run.count; i++) names.push(`${run.epoch}/${run.firstSeq + i}`);
      for (let row = 0; row < page.rowCount; row++) values.push(page.rows[row * 4 + 1]!);
      cursor = page.next;
    } while (cursor !== null);
    expect(names).toEqual(expected);
    expect(values).toEqual(expected.map((name) => Number(name.split('/')[1])));
  }
});

/** Rolls up all that is committed. */
async function rollUp(): Promise<void> {
  const task = createRollupTask({ clock: systemClock, policy: { quietS: 0, liveS: 0 } });
  while ((await task.step(writer, new AbortController().signal)) === 'more');
}

test('a range gives the same readings whether they are rolled up, partly, or not, also over clock jumps', async () => {
  const definition = streamDefinition();
  const first = await open(definition);
  const second = await open(definition);
  const hourUs = 3_600_000_000;
  // The clock goes back by an hour in the middle, so that the same times come twice, and jumps to 2106 at the end.
  await storeEven(first, { first: 0, count: 80 });
  await storeEven(first, { first: 80, count: 80, startUs: START_US - hourUs });
  await storeEven(first, { first: 160, count: 80, startUs: START_US - 40 * 250_000 });
  await storeEven(first, { first: 240, count: 2, startUs: 4_294_967_296_000_000 });
  const ranges = [
    {},
    { fromUs: START_US + 21_000_000, toUs: START_US + 33_000_000 },
    { fromUs: START_US - hourUs, toUs: START_US },
    { fromUs: START_US + 50_000_000 },
    { toUs: START_US + 1_000_000 },
    { fromUs: 0, toUs: 1 },
  ];
  const readAll = async (): Promise<Readings[]> => {
    const pages: Readings[] = [];
    for (const range of ranges)
      for (const limit of [333, 10_000])
        pages.push(await read(tenantA, { streamId: definition.stream, limit, ...range }));
    return pages;
  };
  const fresh = await readAll();
  // The second range holds three seconds of the third run of the clock.
  expect(fresh[3]?.rowCount).toBe(600);
  await rollUp();
  expect(await readAll()).toEqual(fresh);
  await storeEven(second, { first: 0, count: 3, startUs: START_US + 30_000_000 });
  const partly = await readAll();
  await rollUp();
  expect(await readAll()).toEqual(partly);
});

test('a page in a long recording looks at no more chunks than its range and a minute at either end have', async () => {
  const at = await open(streamDefinition({ rateHz: 200 }));
  // 25 minutes.
  await storeEven(at, { first: 0, count: 6_000 });
  await rollUp();
  const query = {
    streamId: at.definition.stream,
    fromUs: START_US + 1_000_000_000,
    toUs: START_US + 1_001_000_000,
  };
  const asked: Statement[] = [];
  const watching: RolePool = {
    run(statements, mode) {
      asked.push(...statements);
      return pools.app.run(statements, mode);
    },
    stats: pools.app.stats,
  };
  const page = await createReadingQueries(watching).read(tenantA.orgId, {
    ...query,
    limit: 1_000,
    cursor: null,
  });
  expect(page).toMatchObject({ rowCount: 200, runs: [{ firstSeq: 200_000, count: 200 }] });
  const seqs = asked.filter(({ name }) => name === 'stored-chunks').map(({ values }) => values as number[]);
  for (const values of seqs) expect(values[3]! - values[2]!).toBeLessThanOrEqual(2 * 60 * 200);
  expect(seqs.length).toBeLessThanOrEqual(2);
});

test("another organisation's stream is unknown, as is none at all", async () => {
  const at = await open(streamDefinition());
  await storeEven(at, { first: 0, count: 1 });
  const queries = createReadingQueries(pools.app);
  const query = { streamId: at.definition.stream, fromUs: 0, toUs: 2 ** 52, limit: 10, cursor: null };
  expect(await queries.read(tenantB.orgId, query)).toBe('unknown-stream');
  expect(await queries.read(tenantB.orgId, { ...query, cursor: `${at.epoch}-0` })).toBe('unknown-stream');
  expect(await queries.read(tenantA.orgId, { ...query, cursor: 'x' })).toBe('invalid-cursor');
  expect(await queries.read(tenantA.orgId, query)).toMatchObject({ rowCount: 10 });
});
