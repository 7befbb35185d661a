import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { createRollupTask, type RollupTaskOptions } from '#store/rollup-keeper.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import {
  createRecorder,
  type RecordedFrame,
  type RecordedStream,
  type Recorder,
} from '#test/support/recorded-streams.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { createDyingPool } from '#test/support/dying-pool.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const START_US = 1_700_000_000_000_000;
const now = { quietS: 0, liveS: 0 };
const small = { readings: 37, rows: 3 };
const never = new AbortController().signal;

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let owner: pg.Pool;
let tenant: Tenant;
let stranger: Tenant;
let recorder: Recorder;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  await ensurePartitions(writer);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  stranger = await createTenant(database.ownerUrl, pools, 'B');
  recorder = createRecorder(pools, tenant);
});

afterAll(async () => {
  await recorder.stop();
  await pools.close();
  await writer.end();
  await owner.end();
  await database.drop();
});

async function rollUp(options: Partial<RollupTaskOptions> = {}, pool = writer): Promise<void> {
  const task = createRollupTask({ clock: systemClock, policy: now, ...options });
  while ((await task.step(pool, never)) === 'more');
}

/** All roll-ups of an epoch, bit for bit: PostgreSQL writes float8 so that it reads the same. */
async function rollupsOf({ handle }: RecordedStream): Promise<unknown[]> {
  const { rows } = await owner.query(
    `select bucket_us, start_us, slots, counts, lags_us, finites, mins::text, maxs::text, sums::text
       from kymo.rollup where stream_id = $1 and epoch = $2 order by bucket_us, start_us`,
    [handle.definition.stream, epochToInt8(handle.epoch)],
  );
  return rows;
}

/** The same, made from scratch of all that is stored, in one large step. */
async function fromScratch(stream: RecordedStream): Promise<unknown[]> {
  const key = [stream.definition.stream, epochToInt8(stream.handle.epoch)];
  await owner.query('delete from kymo.rollup where stream_id = $1 and epoch = $2', key);
  await owner.query('delete from kymo.rollup_progress where stream_id = $1 and epoch = $2', key);
  await owner.query('update kymo.stream_epoch set is_dirty = true where stream_id = $1 and epoch = $2', key);
  await rollUp();
  return rollupsOf(stream);
}

async function isDirty({ handle }: RecordedStream): Promise<boolean> {
  const { rows } = await owner.query<{ is_dirty: boolean }>(
    'select is_dirty from kymo.stream_epoch where stream_id = $1 and epoch = $2',
    [handle.definition.stream, epochToInt8(handle.epoch)],
  );
  return rows[0]!.is_dirty;
}

const readings = (count: number, value: (i: number) => number[]): number[][] =>
  Array.from({ length: count }, (_, i) => value(i));

const plainFrame = (firstSeq: number, count = 10, startUs = START_US): RecordedFrame => ({
  firstSeq,
  firstUs: startUs + firstSeq * 5_000,
  periodUs: 5_000,
  lagUs: 20_000,
  rows: readings(count, (i) => [firstSeq + i, Math.sin(firstSeq + i), -1]),
});

// Times as wild as devices have them: jumps of seconds and hours, 1970, 2106, and many readings at one time.
const firstUs = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 90 }).map((s) => START_US + s * 1_000_000) },
  fc.integer({ min: -3, max: 3 }).map((hours) => START_US + hours * 3_600_000_000),
  fc.constantFrom(0, -1, -59_999_999, 4_294_967_296_000_000),
);
const floats = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(Number.NaN, Infinity, -Infinity),
);
const int16s = fc.integer({ min: -32_768, max: 32_767 });

/** Consecutive frames that fill the numbers from 0 on. */
const recording = (value: fc.Arbitrary<number>): fc.Arbitrary<RecordedFrame[]> =>
  fc
    .array(
      fc.record({
        firstUs,
        periodUs: fc.constantFrom(0, 5_000, 700_000),
        lagUs: fc.integer({ min: -1_000, max: 10_000_000 }),
        rows: fc.array(fc.array(value, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 30 }),
      }),
      { minLength: 2, maxLength: 12 },
    )
    .map((frames) => {
      let firstSeq = 0;
      return frames.map((frame) => {
        const placed = { ...frame, firstSeq };
        firstSeq += frame.rows.length;
        return placed;
      });
    });

/** Which frames a flush brings, in which order, and how often the keeper steps behind it. */
const flushes = fc.array(
  fc.record({ frames: fc.array(fc.nat(11), { minLength: 1, maxLength: 6 }), steps: fc.nat(3) }),
  { maxLength: 6 },
);

test.each([
  ['float32', floats],
  ['int16', int16s],
] as const)(
  'whatever the order of %s flushes, replays and steps, roll-ups equal those from scratch bit for bit',
  async (encoding, value) => {
    await fc.assert(
      fc.asyncProperty(recording(value), flushes, async (frames, order) => {
        const scale = encoding === 'int16' ? { scale: [0.1, 1 / 3, 2 ** -14] } : {};
        const stream = await recorder.open({ encoding, ...scale });
        const task = createRollupTask({ clock: systemClock, policy: now, bounds: small });
        for (const flush of order) {
          const given = flush.frames.map((i) => frames[i]).filter((frame) => frame !== undefined);
          if (given.length > 0) await stream.write(given);
          for (let step = 0; step < flush.steps; step++) await task.step(writer, never);
        }
        await stream.write(frames);
        await rollUp({ bounds: small });
        const rolled = await rollupsOf(stream);
        expect(await isDirty(stream)).toBe(false);
        expect(rolled).toEqual(await fromScratch(stream));
      }),
      { numRuns: 25 },
    );
  },
);

test('two keepers and a writer at once leave what one keeper alone makes', async () => {
  const streams = await Promise.all(Array.from({ length: 3 }, () => recorder.open({ rateHz: 200 })));
  let isWriting = true;
  const keep = async (): Promise<void> => {
    const pool = openTestPool(pools.writerUrl);
    while (isWriting) await rollUp({ bounds: small }, pool);
    await pool.end();
  };
  const keepers = [keep(), keep()];
  for (let i = 0; i < 20; i++)
    await Promise.all(
      streams.map((stream) => stream.write([plainFrame(i * 40, 40), plainFrame(i * 20, 20)])),
    );
  isWriting = false;
  await Promise.all(keepers);
  await rollUp({ bounds: small });
  for (const stream of streams) {
    const rolled = await rollupsOf(stream);
    const { rows } = await owner.query<{ n: string }>(
      `select sum(c) as n from kymo.rollup r, unnest(r.counts) c
        where r.stream_id = $1 and r.bucket_us = 1000000`,
      [stream.definition.stream],
    );
    expect(Number(rows[0]?.n)).toBe(800);
    expect(rolled).toEqual(await fromScratch(stream));
  }
});

test('a keeper that dies between any two statements leaves all or nothing of its step', async () => {
  const dying = openTestPool(pools.writerUrl);
  // Late readings make the step read again, so that every kind of statement is among those it dies before.
  const stream = await recorder.open({ rateHz: 200 });
  let deaths = 0;
  for (let at = 0; ; at++) {
    const fresh = 1_000 + at * 20;
    await stream.write([plainFrame(fresh, 20)]);
    await stream.write([plainFrame(at * 10, 10)]);
    const pool = createDyingPool(at, { pool: dying, owner });
    await rollUp({}, pool.pool).catch(() => undefined);
    if (!pool.hasDied) break;
    deaths++;
    await rollUp();
    const rolled = await rollupsOf(stream);
    expect(await isDirty(stream)).toBe(false);
    expect(rolled).toEqual(await fromScratch(stream));
  }
  expect(deaths).toBeGreaterThan(8);
  await dying.end();
});

test('roll-ups say what plain SQL finds in the readings', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  await stream.write(Array.from({ length: 30 }, (_, i) => plainFrame(i * 40, 40)));
  await stream.write([
    {
      ...plainFrame(1_200, 3),
      rows: [
        [Number.NaN, 1, Infinity],
        [Number.NaN, 2, 5],
        [Number.NaN, 3, 6],
      ],
    },
  ]);
  await rollUp();
  const id = stream.definition.stream;
  const { rows: found } = await owner.query(
    `select start_us, count, min, max, mean from kymo.rollup_bucket
      where stream_id = $1 and bucket_us = 1000000 order by start_us`,
    [id],
  );
  const { rows: expected } = await owner.query(
    `select start_us, max(n) as count, array_agg(low order by axis) as min, array_agg(high order by axis) as max
         from (select floor(r.time_us / 1e6)::int8 * 1000000 as start_us, u.axis, count(*) as n,
                      min(u.v) filter (where u.v not in ('NaN', 'Infinity')) as low,
                      max(u.v) filter (where u.v not in ('NaN', 'Infinity')) as high
                 from kymo.reading r, unnest(r."values") with ordinality u(v, axis)
                where r.stream_id = $1 group by 1, 2) a
        group by 1 order by 1`,
    [id],
  );
  expect(found.map((row: object) => ({ ...row, mean: null }))).toEqual(
    expected.map((row: object) => ({ ...row, mean: null })),
  );
  expect(found[0]).toMatchObject({ mean: [expect.closeTo(99.5), expect.any(Number), -1] });
});

test('what retention has dropped stays in the roll-ups, and late readings join it', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  await stream.write([plainFrame(0), plainFrame(100, 50)]);
  await rollUp();
  await owner.query('delete from kymo.chunk where stream_id = $1', [stream.definition.stream]);
  await stream.write([plainFrame(50, 50)]);
  await rollUp();
  const { rows } = await owner.query(
    `select bucket_us::int8, count, min[1], max[1] from kymo.rollup_bucket where stream_id = $1 order by bucket_us`,
    [stream.definition.stream],
  );
  expect(rows).toHaveLength(7);
  for (const row of rows) expect(row).toMatchObject({ count: '110', min: 0, max: 149 });
});

test('readings that were dropped before they were rolled up are not waited for', async () => {
  const stream = await recorder.open();
  await stream.write([plainFrame(0)]);
  await owner.query('delete from kymo.chunk where stream_id = $1', [stream.definition.stream]);
  await rollUp();
  expect(await isDirty(stream)).toBe(false);
  expect(await rollupsOf(stream)).toEqual([]);
});

test('a stream that is erased while it is rolled up leaves no roll-ups', async () => {
  const stream = await recorder.open();
  await stream.write([plainFrame(0)]);
  const client = await writer.connect();
  const erasing = {
    connect: async () => {
      const wrapped = Object.create(client) as pg.PoolClient;
      wrapped.query = (async (...args: unknown[]) => {
        const [statement] = args as [{ name?: string }];
        if (statement.name === 'rollup-advance')
          await owner.query('delete from kymo.stream_epoch where stream_id = $1', [stream.definition.stream]);
        return (client.query as (...all: unknown[]) => unknown).apply(client, args);
      }) as typeof client.query;
      wrapped.release = () => undefined;
      return wrapped;
    },
  };
  await rollUp({}, erasing as unknown as pg.Pool);
  client.release();
  expect(await rollupsOf(stream)).toEqual([]);
});

test('a live stream is left alone until its minute is over; one that ended is not', async () => {
  const stream = await recorder.open({ rateHz: 200 });
  await stream.write([plainFrame(0)]);
  const task = createRollupTask({ clock: systemClock, policy: { quietS: 3_600, liveS: 60 } });
  await task.step(writer, never);
  expect(await rollupsOf(stream)).toEqual([]);
  // A minute of readings at once, as from a device that catches up.
  await stream.write(Array.from({ length: 24 }, (_, i) => plainFrame(10 + i * 500, 500)));
  await task.step(writer, never);
  const caughtUp = await rollupsOf(stream);
  expect(caughtUp.length).toBeGreaterThan(0);
  await stream.write([plainFrame(20_000)]);
  await task.step(writer, never);
  expect(await rollupsOf(stream)).toEqual(caughtUp);
  await stream.end();
  await task.step(writer, never);
  expect(await isDirty(stream)).toBe(false);
});

test('neither losses nor readings that are stored already make work', async () => {
  const stream = await recorder.open();
  await stream.write([plainFrame(0)]);
  await rollUp();
  await stream.write([plainFrame(0)]);
  await stream.write([], [{ from: 10, to: 20 }]);
  expect(await isDirty(stream)).toBe(false);
});

test("roll-ups of another organisation do not exist for the application's role", async () => {
  const stream = await recorder.open();
  await stream.write([plainFrame(0)]);
  await rollUp();
  const statements = ['rollup', 'rollup_progress', 'rollup_bucket'].map((table) => ({
    text: `select count(*)::int as n from kymo.${table} where stream_id = $1`,
    values: [stream.definition.stream],
  }));
  const countsOf = async (orgId: string): Promise<number[]> =>
    (await runAsOrg(pools.app, orgId, { statements, mode: 'snapshot' })).map(
      (result) => (result.rows[0] as { n: number }).n,
    );
  expect(await countsOf(stranger.orgId)).toEqual([0, 0, 0]);
  expect(await countsOf(tenant.orgId)).toEqual([7, 1, 7]);
});
