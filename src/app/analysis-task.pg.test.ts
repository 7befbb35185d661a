/** The analysis of committed readings, with a small chain in the place of the real one, on a real PostgreSQL. */

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { seededRandom } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { erase } from '#store/erasure.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import { WINDOW_US } from '#store/window-grid.ts';
import { createWindowTask } from '#store/window-ledger.ts';
import { createAnalysisTask, type Analysed, type AnalysisTaskOptions } from '#app/analysis-task.ts';
import { decodeWindow, encodeWindow } from '#app/analysis-payload.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createDyingPool } from '#test/support/dying-pool.ts';
import { createStandIn, poison } from '#test/support/motion-stand-in.ts';
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
const RATE_HZ = 20;
const PERIOD_US = 1_000_000 / RATE_HZ;
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

const axes = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z'].map((name) => ({
  name,
  unit: name.startsWith('acc') ? 'm/s2' : 'rad/s',
}));

async function open(count = 2, session = uuidv7(systemClock)) {
  const streams: RecordedStream[] = [];
  for (const segment of ['left-foot', 'right-foot', 'pelvis'].slice(0, count))
    streams.push(await recorder.open({ session, segment, axes, rateHz: RATE_HZ }));
  return { session, streams };
}

const valueOf = (seq: number): number => Math.fround(Math.sin(seq * 0.37) * 5);

const frame = (from: number, count: number): RecordedFrame => ({
  firstSeq: from,
  firstUs: START_US + from * PERIOD_US,
  periodUs: PERIOD_US,
  lagUs: 0,
  rows: Array.from({ length: count }, (_, i) => [valueOf(from + i), 0, 0, 0, 0, 0]),
});

async function cover(quietS = 3_600): Promise<void> {
  const task = createWindowTask({ clock: systemClock, policy: { liveS: 0, quietS } });
  while ((await task.step(writer, never)) === 'more');
}

function taskOf(options: Partial<AnalysisTaskOptions> = {}) {
  return createAnalysisTask({
    create: createStandIn,
    version: 1,
    clock: systemClock,
    log: silentLog,
    limits: { windows: 3, workMs: 10_000 },
    ...options,
  });
}

async function analyse(options: Partial<AnalysisTaskOptions> = {}, db: pg.Pool = writer) {
  const task = taskOf(options);
  while ((await task.step(db, never)) === 'more');
  return task.counters;
}

interface Stored {
  readonly start_us: string;
  readonly revision: string;
  readonly run: number;
  readonly payload: string;
}

async function resultsOf(session: string): Promise<Stored[]> {
  const { rows } = await owner.query<Stored>(
    `select start_us, revision, run, payload from kymo.window_result
      where session_id = $1 and algorithm = 'motion' order by start_us`,
    [session],
  );
  return rows;
}

const contactsOf = (stored: readonly Stored[]): unknown[] =>
  stored.flatMap(({ payload }) => [...decodeWindow(payload).contacts]);

async function analysisOf(session: string) {
  const { rows } = await owner.query<{
    run: number;
    is_finished: boolean;
    failure: string | null;
    attempts: number;
    is_dirty: boolean;
    summary: string | null;
    model: BodyModel | null;
  }>('select * from kymo.motion_analysis where session_id = $1', [session]);
  return rows[0];
}

/** The same chain over the same readings at once, as a file is analysed. */
async function offline(session: string, counts: readonly number[]) {
  const { model } = (await analysisOf(session))!;
  const chain = createStandIn(model!);
  for (const [placement, { length }] of counts.map((count) => ({ length: count })).entries())
    chain.push(placement, {
      timesUs: Float64Array.from({ length }, (_, seq) => START_US + seq * PERIOD_US),
      values: Float32Array.from({ length }, (_, seq) => valueOf(seq)),
      axes: 1,
      count: length,
    });
  chain.finish();
  return { contacts: chain.take().contacts, summary: JSON.stringify(chain.summary()) };
}

test('results of a session that ended are those of one run over all its readings, bit for bit', async () => {
  const { session, streams } = await open();
  for (const stream of streams) {
    for (let from = 0; from < 1_000; from += 250) {
      await stream.write([frame(from, 250)]);
      await cover();
      await analyse();
    }
    await stream.end();
  }
  await cover();
  const counters = await analyse();
  expect(counters.failures).toBe(0);
  const expected = await offline(session, [1_000, 1_000]);
  expect(contactsOf(await resultsOf(session))).toEqual(expected.contacts);
  expect(expected.contacts).toHaveLength(2_000);
  expect(await analysisOf(session)).toMatchObject({
    is_finished: true,
    is_dirty: false,
    summary: expected.summary,
  });
  expect((await analyse()).steps).toBe(0);
});

test('whatever the order of flushes, looks and steps, gaps and replays, the results are the same', async () => {
  const random = seededRandom(11);
  const runs: Stored[][] = [];
  for (let round = 0; round < 3; round++) {
    const { session, streams } = await open();
    const frames = Array.from({ length: 40 }, (_, i) => frame(i * 40, 40));
    for (let flush = 0; flush < 10; flush++) {
      for (const stream of streams) {
        const given = frames.filter((_, i) => i < flush * 5 && random.next() < 0.3);
        if (given.length > 0) await stream.write(given);
      }
      if (random.next() < 0.7) await cover(random.next() < 0.3 ? 0 : 3_600);
      if (random.next() < 0.7) await taskOf().step(writer, never);
    }
    for (const stream of streams) {
      await stream.write(frames);
      await stream.end();
    }
    await cover();
    await Promise.all([analyse(), analyse()]);
    await analyse();
    const stored = await resultsOf(session);
    const expected = await offline(session, [1_600, 1_600]);
    expect(contactsOf(stored)).toEqual(expected.contacts);
    expect((await analysisOf(session))?.summary).toBe(expected.summary);
    runs.push(stored);
  }
  const payloads = runs.map((stored) => stored.map(({ payload }) => payload));
  expect(payloads[1]).toEqual(payloads[0]);
  expect(payloads[2]).toEqual(payloads[0]);
});

test('a change goes back to the state before it, and gives what follows a new revision', async () => {
  const { session, streams } = await open(1);
  const [stream] = streams as [RecordedStream];
  // Twelve minutes with a hole in the last but one.
  const last = 12 * 60 * RATE_HZ;
  const hole = 11 * 60 * RATE_HZ;
  await stream.write([frame(0, 400)]);
  for (let from = 400; from < last; from += 400) if (from !== hole) await stream.write([frame(from, 400)]);
  await stream.end();
  await cover();
  await analyse({ limits: { windows: 20, workMs: 10_000 } });
  const before = await resultsOf(session);
  await stream.write([frame(hole, 400)]);
  await cover();
  const counters = await analyse({ limits: { windows: 20, workMs: 10_000 } });
  const after = await resultsOf(session);
  expect(counters.revisions).toBe(1);
  // States are kept at multiples of five minutes since 1970, of which the last before the hole is 400 s after the start.
  expect(counters.windows).toBe((last / RATE_HZ - 400) / 10 + 1);
  const same = after.filter(({ revision }, i) => revision === before[i]?.revision);
  expect(same.length).toBe(hole / RATE_HZ / 10);
  expect(
    after
      .slice(same.length)
      .every(({ revision }, i) => Number(revision) > Number(before[same.length + i]?.revision ?? 0)),
  ).toBe(true);
  const expected = await offline(session, [last]);
  expect(contactsOf(after)).toEqual(expected.contacts);
});

test('an analysis that dies between any two statements neither doubles nor loses a window', async () => {
  const { session, streams } = await open(1);
  const [stream] = streams as [RecordedStream];
  let deaths = 0;
  let count = 0;
  for (let at = 0; ; at++) {
    await stream.write([frame(count, 300)]);
    count += 300;
    await cover();
    const dying = createDyingPool(at, { pool: writer, owner });
    await analyse({}, dying.pool).catch(() => undefined);
    if (!dying.hasDied) break;
    deaths++;
    await analyse();
  }
  expect(deaths).toBeGreaterThan(15);
  await stream.end();
  await cover();
  await analyse();
  const expected = await offline(session, [count]);
  expect(contactsOf(await resultsOf(session))).toEqual(expected.contacts);
});

test('a session whose chain breaks says why, holds up no other, and is tried again when something changes', async () => {
  const bad = await open(1);
  const good = await open(1);
  const [stream] = bad.streams as [RecordedStream];
  await stream.write([
    { ...frame(0, 400), rows: Array.from({ length: 400 }, () => [poison, 0, 0, 0, 0, 0]) },
  ]);
  await good.streams[0]!.write([frame(0, 400)]);
  await cover(0);
  const counters = await analyse();
  expect(counters).toMatchObject({ failures: 1 });
  expect(await analysisOf(bad.session)).toMatchObject({ failure: 'the chain was poisoned', is_dirty: false });
  expect(await resultsOf(good.session)).toHaveLength(2);
  expect((await analyse()).failures).toBe(0);
  await stream.write([frame(400, 400)]);
  await cover(0);
  expect((await analyse()).failures).toBe(1);
  expect((await analyse({ create: (model) => createStandIn(model) })).failures).toBe(0);
});

test('a session that ends the thread again and again is given up, and the others go on', async () => {
  const deadly = await open(1);
  await deadly.streams[0]!.write([frame(0, 400)]);
  await cover(0);
  for (let i = 0; i < 5; i++)
    await analyse({
      create: () => {
        // As the process sees it after the thread has died: nothing was answered.
        throw Object.assign(new Error('gone'), { code: '57P01' });
      },
      sessionId: deadly.session,
    }).catch(() => undefined);
  await owner.query('update kymo.motion_analysis set attempts = 5, failure = null where session_id = $1', [
    deadly.session,
  ]);
  await analyse({ sessionId: deadly.session });
  expect((await analysisOf(deadly.session))?.failure).toMatch(/^5 attempts in a row/);
});

test('a body model that a person stored, a new version and a wish each make a new run, and a model that says the same none', async () => {
  const { session, streams } = await open(1);
  await streams[0]!.write([frame(0, 600)]);
  await streams[0]!.end();
  await cover();
  await analyse();
  const first = await resultsOf(session);
  const { model } = (await analysisOf(session))!;
  const store = (revision: number, heightM: number | null) =>
    owner.query(
      `with stored as (insert into kymo.body_model (org_id, session_id, revision, model, made_by)
         values ($1, $2, $3, $4, 'a test'))
       update kymo.motion_analysis set is_dirty = true where session_id = $2`,
      [tenant.orgId, session, revision, JSON.stringify({ ...model, heightM })],
    );
  await store(1, null);
  await analyse();
  expect((await resultsOf(session)).map(({ run }) => run)).toEqual(first.map(({ run }) => run));
  await store(2, 1.8);
  await analyse();
  const second = await resultsOf(session);
  expect(second.every(({ run }, i) => run === first[i]!.run + 1)).toBe(true);
  expect(contactsOf(second)).not.toEqual(contactsOf(first));
  await owner.query(
    'update kymo.motion_analysis set is_dirty = true, asked = asked + 1 where session_id = $1',
    [session],
  );
  await analyse();
  const third = await resultsOf(session);
  expect(third.map(({ payload }) => payload)).toEqual(second.map(({ payload }) => payload));
  expect(third.every(({ run }, i) => run === second[i]!.run + 1)).toBe(true);
  await owner.query('update kymo.motion_analysis set is_dirty = true where session_id = $1', [session]);
  await analyse({ version: 2 });
  const { rows } = await owner.query(
    'select distinct version from kymo.window_result where session_id = $1',
    [session],
  );
  expect(rows).toEqual([{ version: 2 }]);
});

test('readings that are stored no longer leave the results from before, and say so', async () => {
  const { session, streams } = await open(1);
  const [stream] = streams as [RecordedStream];
  await stream.write([frame(0, 400), frame(600, 400)]);
  await stream.end();
  await cover();
  await analyse();
  const before = await resultsOf(session);
  await owner.query('delete from kymo.chunk where stream_id = $1', [stream.definition.stream]);
  await stream.write([frame(400, 200)]);
  await cover();
  await analyse();
  expect((await analysisOf(session))?.failure).toMatch(/stored no longer/);
  expect(await resultsOf(session)).toEqual(before);
});

test('what was analysed is told, window by window, with the revision', async () => {
  const { session, streams } = await open(1);
  await streams[0]!.write([frame(0, 500)]);
  await streams[0]!.end();
  await cover();
  const told: Analysed[] = [];
  await analyse({ onAnalysed: (analysed) => void told.push(analysed) });
  const windows = told.filter(({ sessionId }) => sessionId === session).flatMap((one) => [...one.windows]);
  expect(windows.map(({ startUs }) => (startUs - START_US) / 1e7)).toEqual([0, 1, 2, 3]);
  const stored = await resultsOf(session);
  expect(windows.map(({ revision }) => String(revision))).toEqual(stored.map(({ revision }) => revision));
});

test('a device whose clock stands still does not bring hours of readings into memory at once', async () => {
  const { session, streams } = await open();
  const [left, right] = streams as [RecordedStream, RecordedStream];
  const flood = Array.from({ length: 4 }, (_, i) => ({
    ...frame(i * 200, 200),
    firstUs: START_US,
    periodUs: 1,
  }));
  await left.write(flood);
  await right.write([frame(0, 200)]);
  for (const stream of streams) await stream.end();
  await cover();
  await analyse();
  const [first] = await resultsOf(session);
  const { notices } = decodeWindow(first!.payload);
  expect(notices.map(({ code, segment }) => [code, segment])).toEqual([['too-much', 'left-foot']]);
  expect(await analysisOf(session)).toMatchObject({ failure: null, is_finished: true });
  expect(contactsOf(await resultsOf(session))).toHaveLength(200);
});

test('with an erased stream goes what was derived from it, though nothing is analysed any more', async () => {
  const { session, streams } = await open();
  const [left, right] = streams as [RecordedStream, RecordedStream];
  await left.write([frame(0, 250), frame(250, 250)]);
  await right.write([frame(200, 200)]);
  for (const stream of streams) await stream.end();
  await cover();
  await analyse();
  const before = await resultsOf(session);
  expect(before.length).toBeGreaterThan(2);
  await owner.query(
    `insert into kymo.window_result (org_id, session_id, algorithm, version, start_us, revision, payload)
     select org_id, session_id, 'other', 1, start_us, 1, '{}' from kymo.session_window where session_id = $1`,
    [session],
  );
  await erase(pools, tenant.orgId, { kind: 'stream', id: right.definition.stream });
  await cover();
  // The first window had nothing of it.
  expect((await resultsOf(session)).map(({ start_us }) => start_us)).toEqual([String(START_US)]);
  const { rows } = await owner.query<{ start_us: string }>(
    `select start_us from kymo.window_result where session_id = $1 and algorithm = 'other' order by 1`,
    [session],
  );
  expect(rows.map(({ start_us: startUs }) => Number(startUs) - START_US)).toEqual([0, 20_000_000]);
  expect(await analysisOf(session)).toMatchObject({ summary: null });
  await analyse();
  const { contacts, summary } = await offline(session, [500]);
  expect(contactsOf(await resultsOf(session))).toEqual(contacts);
  expect((await analysisOf(session))!.summary).toBe(summary);
});

test('who reads hours of walking gets every stride, and the cycles of the newest windows only', async () => {
  const { session, streams } = await open(1);
  await streams[0]!.write([frame(0, 200)]);
  await streams[0]!.end();
  await cover();
  await analyse();
  const noted = { timeUs: START_US, code: 'odd', segment: null, text: 'a text with ,"cycles":[ in it' };
  const curve = new Float32Array(101).fill(12.34);
  const curves = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`curve-${i}`, curve]));
  const cycles = Array.from({ length: 20 }, () => ({ side: 'left', startUs: 1, endUs: 2, curves }) as const);
  const batch = { angles: [], contacts: [], strides: [], turns: [], notices: [noted], cycles };
  const payload = encodeWindow(batch, START_US);
  const windows = 20;
  await owner.query(
    `insert into kymo.window_result (org_id, session_id, algorithm, version, start_us, run, revision, payload)
     select a.org_id, a.session_id, 'motion', a.version, $2::int8 + i * 10000000, a.run, 1, $3
       from kymo.motion_analysis a, generate_series(1, ${windows}) i where a.session_id = $1`,
    [session, START_US + WINDOW_US, payload],
  );
  const analysis = await createMotionQueries(pools.app).analysis(tenant.orgId, {
    sessionId: session,
    fromUs: START_US + 2 * WINDOW_US,
    toUs: START_US + 1_000 * WINDOW_US,
    windows: 100,
  });
  const read = analysis!.payloads.map(decodeWindow);
  expect(read).toHaveLength(windows);
  expect(read.every(({ notices }) => notices[0]?.text === noted.text)).toBe(true);
  const whole = Math.floor((8 * 1024 * 1024) / payload.length);
  expect(read.map(({ cycles: kept }) => kept.length)).toEqual([
    ...Array.from({ length: windows - whole }, () => 0),
    ...Array.from({ length: whole }, () => 20),
  ]);
});
