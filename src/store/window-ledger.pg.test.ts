import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { seededRandom } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import { erase } from '#store/erasure.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { WINDOW_US } from '#store/window-grid.ts';
import { createWindowTask } from '#store/window-ledger.ts';
import { createDyingPool } from '#test/support/dying-pool.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import {
  createRecorder,
  type RecordedFrame,
  type RecordedStream,
  type Recorder,
} from '#test/support/recorded-streams.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

/** A border of windows. */
const START_US = 1_700_000_000_000_000;
/** One reading a second. */
const PERIOD_US = 1_000_000;
const never = new AbortController().signal;

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let owner: pg.Pool;
let tenant: Tenant;
let recorder: Recorder;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  await ensurePartitions(writer);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  recorder = createRecorder(pools, tenant);
});

afterAll(async () => {
  await recorder.stop();
  await pools.close();
  await Promise.all([writer.end(), owner.end()]);
  await database.drop();
});

/** Readings [from, to), one a second from the border on. */
const seconds = (from: number, to: number): RecordedFrame => ({
  firstSeq: from,
  firstUs: START_US + from * PERIOD_US,
  periodUs: PERIOD_US,
  lagUs: 0,
  rows: Array.from({ length: to - from }, (_, i) => [from + i, 0, 0]),
});

async function look(db: pg.Pool = writer, quietS = 3_600, bounds = { readings: 1_000, windows: 8 }) {
  const task = createWindowTask({ clock: systemClock, policy: { liveS: 0, quietS }, bounds });
  while ((await task.step(db, never)) === 'more');
  return task.counters;
}

interface Row {
  readonly at: number;
  readonly revision: number;
  readonly settled: boolean;
  readonly readings: number;
  readonly change: number;
}

/** Windows of a session by their place after the border. */
async function windowsOf(session: string): Promise<Row[]> {
  const { rows } = await owner.query<Row>(
    `select ((start_us - $2::int8) / ${WINDOW_US})::int as at, revision, is_settled as settled, readings::int,
        change::int from kymo.session_window where session_id = $1 order by start_us`,
    [session, START_US],
  );
  return rows;
}

const shortOf = (rows: readonly Row[]): string =>
  rows.map((row) => `${row.at}:${row.readings}r${row.revision}${row.settled ? '' : '?'}`).join(' ');

async function open(count = 1): Promise<{ session: string; streams: RecordedStream[] }> {
  const session = uuidv7(systemClock);
  const streams = [];
  for (let i = 0; i < count; i++) streams.push(await recorder.open({ session, rateHz: 1 }));
  return { session, streams };
}

test('a window is closed and settled when every stream has passed it, and at once when the session ends', async () => {
  const { session, streams } = await open(2);
  const [left, right] = streams as [RecordedStream, RecordedStream];
  await left.write([seconds(0, 15)]);
  await right.write([seconds(0, 8)]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:18r0? 1:5r0?');
  await right.write([seconds(8, 12)]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:20r1 1:7r0?');
  await left.end();
  await right.end();
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:20r1 1:7r1');
  const { rows } = await owner.query(
    'select is_ended, is_open from kymo.window_ledger where session_id = $1',
    [session],
  );
  expect(rows).toEqual([{ is_ended: true, is_open: false }]);
});

test('a gap leaves what follows unsettled until it is filled, which revises the windows that it was in', async () => {
  const { session, streams } = await open();
  const [stream] = streams as [RecordedStream];
  await stream.write([seconds(0, 12), seconds(14, 45)]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:10r1 1:8r1? 2:10r1? 3:10r0? 4:5r0?');
  const before = await windowsOf(session);
  await stream.write([seconds(12, 14)]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:10r1 1:10r2 2:10r1 3:10r1 4:5r0?');
  const after = await windowsOf(session);
  // What changed has a later number, in order; what did not keeps its own.
  expect(after[0]!.change).toBe(before[0]!.change);
  const changes = after.slice(1, 4).map(({ change }) => change);
  expect(changes).toEqual(changes.toSorted((a, b) => a - b));
  expect(changes[0]).toBeGreaterThan(before[2]!.change);
});

test('a declared loss settles and revises the windows around it', async () => {
  const { session, streams } = await open();
  const [stream] = streams as [RecordedStream];
  await stream.write([seconds(0, 12), seconds(25, 51)]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:10r1 1:2r1? 2:5r1? 3:10r1? 4:10r0? 5:1r0?');
  await stream.write([], [{ from: 12, to: 25 }]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:10r1 1:2r2 2:5r2 3:10r1 4:10r1 5:1r0?');
});

test('late readings revise their windows, and those that are stored already nothing', async () => {
  const { session, streams } = await open();
  const [stream] = streams as [RecordedStream];
  await stream.write([seconds(0, 20)]);
  await stream.end();
  await look();
  const before = await windowsOf(session);
  await stream.write([seconds(0, 20)]);
  await look();
  expect(await windowsOf(session)).toEqual(before);
  await stream.write([seconds(20, 22), { ...seconds(22, 24), firstUs: START_US + 3 * PERIOD_US }]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:12r2 1:10r1 2:2r1');
});

test('silence closes windows, and a stream that was replaced or lost its store holds nothing up', async () => {
  const { session, streams } = await open();
  const [stream] = streams as [RecordedStream];
  await stream.write([seconds(0, 5)]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:5r0?');
  await look(writer, 0);
  expect(shortOf(await windowsOf(session))).toBe('0:5r1');
  await stream.write([seconds(7, 9)]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:7r2?');
  const next = await stream.nextEpoch(true);
  await next.write([{ ...seconds(0, 15), firstUs: START_US + 9 * PERIOD_US }]);
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:8r3 1:10r1 2:4r0?');
});

/** The spans of a session, and the same from the stored readings. */
async function spansOf(session: string): Promise<{ spans: unknown; stored: unknown }> {
  const { rows: spans } = await owner.query(
    `select p.stream_id, p.epoch, p.start_us, s::int8 as seq from kymo.window_span p
      cross join lateral unnest(p.seqs) r cross join lateral generate_series(lower(r), upper(r) - 1) s
      where p.session_id = $1 order by 1, 2, 4`,
    [session],
  );
  const { rows: stored } = await owner.query(
    `select stream_id, epoch, (floor(time_us / ${WINDOW_US}.0) * ${WINDOW_US})::int8 as start_us, seq
       from kymo.reading where session_id = $1 order by 1, 2, 4`,
    [session],
  );
  return { spans, stored };
}

test('whatever the order of flushes and looks, every reading is in its window once, and counts agree', async () => {
  const random = seededRandom(7);
  const { session, streams } = await open(2);
  const frames = Array.from({ length: 24 }, (_, i) => ({
    ...seconds(i * 10, i * 10 + 10),
    // A clock that jumps, back and into other windows.
    firstUs: START_US + Math.floor(random.next() * 90) * PERIOD_US,
  }));
  for (let round = 0; round < 12; round++) {
    for (const stream of streams) {
      const given = frames.filter(() => random.next() < 0.3);
      if (given.length > 0) await stream.write(given);
    }
    if (random.next() < 0.7) await look(writer, 3_600, { readings: 37, windows: 3 });
  }
  for (const stream of streams) await stream.write(frames);
  for (const stream of streams) await stream.end();
  await Promise.all([look(writer, 3_600, { readings: 37, windows: 3 }), look()]);
  await look();
  const { spans, stored } = await spansOf(session);
  expect(spans).toEqual(stored);
  const rows = await windowsOf(session);
  expect(rows.reduce((sum, row) => sum + row.readings, 0)).toBe(480);
  expect(rows.every((row) => row.settled && row.revision > 0)).toBe(true);
  const { rows: numbers } = await owner.query<{ change: string }>(
    'select change from kymo.session_window where revision > 0 and org_id = $1',
    [tenant.orgId],
  );
  expect(new Set(numbers.map(({ change }) => change)).size).toBe(numbers.length);
});

test('a ledger that dies between any two statements leaves all or nothing of its visit', async () => {
  const { session, streams } = await open();
  const [stream] = streams as [RecordedStream];
  let deaths = 0;
  for (let at = 0; ; at++) {
    await stream.write([seconds(at * 12, at * 12 + 10)], [{ from: at * 12 + 10, to: at * 12 + 12 }]);
    const dying = createDyingPool(at, { pool: writer, owner });
    await look(dying.pool).catch(() => undefined);
    if (!dying.hasDied) break;
    deaths++;
    await look();
    const { spans, stored } = await spansOf(session);
    expect(spans).toEqual(stored);
    expect((await windowsOf(session)).reduce((sum, row) => sum + row.readings, 0)).toBe(at * 10 + 10);
  }
  expect(deaths).toBeGreaterThan(10);
});

test('a clock that jumps to and fro between two windows does not make their spans grow for ever', async () => {
  const { session, streams } = await open();
  const [stream] = streams as [RecordedStream];
  const sizes: number[] = [];
  for (let from = 0; from < 24_000; from += 8_000) {
    await stream.write(
      Array.from({ length: 8_000 }, (_, i) => ({
        ...seconds(from + i, from + i + 1),
        firstUs: START_US + (i % 2) * WINDOW_US + (from + i) * 100,
      })),
    );
    await look(writer, 3_600, { readings: 100_000, windows: 8 });
    const { rows } = await owner.query<{ size: number }>(
      'select max(pg_column_size(seqs)) as size from kymo.window_span where session_id = $1',
      [session],
    );
    sizes.push(rows[0]!.size);
  }
  expect(sizes[0]).toBeGreaterThan(16_384);
  expect(sizes).toEqual([sizes[0], sizes[0], sizes[0]]);
  const { rows } = await owner.query<{ covered: string }>(
    'select covered::text from kymo.window_coverage where stream_id = $1',
    [stream.definition.stream],
  );
  expect(rows).toEqual([{ covered: '{[0,24000)}' }]);
});

test('erasing a stream revises the windows that had its readings, and erasing the session leaves nothing', async () => {
  const { session, streams } = await open(2);
  const [left, right] = streams as [RecordedStream, RecordedStream];
  await left.write([seconds(0, 30)]);
  await right.write([seconds(0, 12)]);
  for (const stream of streams) await stream.end();
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:20r1 1:12r1 2:10r1');
  await erase(pools, tenant.orgId, { kind: 'stream', id: right.definition.stream });
  await look();
  expect(shortOf(await windowsOf(session))).toBe('0:10r2 1:10r2 2:10r1');
  await erase(pools, tenant.orgId, { kind: 'session', id: session });
  await look();
  for (const table of ['window_ledger', 'window_span', 'session_window', 'motion_analysis']) {
    const { rowCount } = await owner.query(`select from kymo.${table} where session_id = $1`, [session]);
    expect(rowCount, table).toBe(0);
  }
  const { rowCount } = await owner.query('select from kymo.window_coverage where stream_id = $1', [
    left.definition.stream,
  ]);
  expect(rowCount).toBe(0);
});

test('a session with damaged readings holds up no other', async () => {
  const bad = await open();
  const good = await open();
  await bad.streams[0]!.write([seconds(0, 5)]);
  await good.streams[0]!.write([seconds(0, 5)]);
  const stream = bad.streams[0]!.definition.stream;
  await owner.query(
    `with gone as (delete from kymo.chunk where stream_id = $1 returning *)
     insert into kymo.sealed_chunk (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class, block)
     select org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class, 'damaged' from gone`,
    [stream],
  );
  const task = createWindowTask({ clock: systemClock, policy: { liveS: 0, quietS: 3_600 } });
  await task.step(writer, never);
  expect(task.counters['failures']).toBe(1);
  expect(shortOf(await windowsOf(bad.session))).toBe('');
  expect(shortOf(await windowsOf(good.session))).toBe('0:5r0?');
  await erase(pools, tenant.orgId, { kind: 'session', id: bad.session });
});

test('windows of another organisation do not exist for the role of the application', async () => {
  const stranger = await createTenant(database.ownerUrl, pools, 'B');
  for (const table of [
    'window_ledger',
    'window_coverage',
    'window_span',
    'session_window',
    'window_counter',
  ]) {
    const statements = [{ text: `select from kymo.${table}` }];
    const [own] = await runAsOrg(pools.app, tenant.orgId, { statements, mode: 'snapshot' });
    expect(own?.rowCount, table).toBeGreaterThan(0);
    const [others] = await runAsOrg(pools.app, stranger.orgId, { statements, mode: 'snapshot' });
    expect(others?.rowCount, table).toBe(0);
  }
});
