/**
 * The analysis of committed readings in a server process of its own: two feet that a device sent, with a declared loss,
 * are what the chain says of them offline, bit for bit; body models, wishes, and processors in Python and in an extension.
 */

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import type { MotionAnalysis, SessionBodyModel } from '#contract/motion.ts';
import type { ResultPage, WindowPage, WindowReadings } from '#contract/windows.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { createSessionMotion } from '#motion/session-motion.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { encodeWindow } from '#app/analysis-payload.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { runKymo, startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { AXES, sendRecording, timeOf, type SentRecording } from '#test/support/sent-recording.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const example = fileURLToPath(new URL('../../examples/mean-acceleration.py', import.meta.url));

const countingExtension = `
import { defineExtension } from '#extension';

export const extension = defineExtension({
  name: 'counting',
  summary: 'Counts readings',
  processors: [
    {
      name: 'readings', summary: 'Readings of each stream', version: 2,
      window: ({ streams }) => Object.fromEntries(streams.map(({ segment, timesUs }) => [segment, timesUs.length])),
    },
    { name: 'broken', summary: 'Throws', version: 1, window: () => { throw new Error('this processor always breaks'); } },
  ],
});
`;

const endings: (() => unknown)[] = [];
let database: TestDatabase;
let kymo: KymoProcess;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let sent: SentRecording;
let origin: string;
let directory: string;
let args: string[];

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'kymo-motion-'));
  endings.push(() => rmSync(directory, { recursive: true, force: true }));
  const folder = path.join(directory, 'extensions');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'counting.extension.ts'), countingExtension);
  database = await createTestDatabase();
  endings.push(() => database.drop());
  owner = openTestPool(database.ownerUrl);
  endings.push(() => owner.end());
  pools = await openPools(database.ownerUrl);
  endings.push(() => pools.close());
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  args = ['--database-url', database.ownerUrl, '--extensions', folder];
  kymo = await startKymo({ dataDir: path.join(directory, 'data'), port: 0, args });
  endings.push(() => kymo.signal('SIGTERM'));
  origin = new URL(kymo.address).origin;
  const startUs = Math.floor(systemClock.nowUs() / 1e6) * 1e6 - 3_600_000_000;
  sent = await sendRecording({ url: origin, key: tenant.deviceKey, label: 'two feet', startUs });
});

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
});

async function ask<T>(
  address: string,
  { method = 'GET', body, key = tenant.adminKey }: { method?: string; body?: unknown; key?: string } = {},
): Promise<{ status: number; body: T & { code?: string; field?: string } }> {
  const response = await fetch(`${origin}${address}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T & { code?: string } };
}

const motionOf = async (query = ''): Promise<MotionAnalysis> =>
  (await ask<MotionAnalysis>(`/v1/sessions/${sent.session}/motion${query}`)).body;

async function finalMotion(query = ''): Promise<MotionAnalysis> {
  await expect.poll(async () => (await motionOf()).reason, { timeout: 40_000, interval: 250 }).toBeNull();
  return motionOf(query);
}

/** The chain over the stored readings, in pieces of other lengths than windows. */
async function offline(model: BodyModel) {
  const chain = createSessionMotion(model);
  const streams = [];
  for (const { stream } of model.placements) {
    const { rows } = await owner.query<{ time_us: string; values: number[] }>(
      'select time_us, "values" from kymo.reading where stream_id = $1 order by seq',
      [stream],
    );
    streams.push(rows.map(({ time_us, values }) => ({ timeUs: Number(time_us), values })));
  }
  for (let fromUs = sent.startUs; fromUs < sent.startUs + 120e6; fromUs += 3_700_000) {
    for (const [placement, readings] of streams.entries()) {
      const piece = readings.filter(({ timeUs }) => timeUs >= fromUs && timeUs < fromUs + 3_700_000);
      chain.push(placement, {
        timesUs: Float64Array.from(piece, ({ timeUs }) => timeUs),
        values: Float32Array.from(piece.flatMap(({ values }) => values)),
        axes: AXES,
        count: piece.length,
      });
    }
    chain.advance(fromUs + 3_700_000);
  }
  chain.finish();
  expect(chain.counters).toMatchObject({ late: 0, dropped: 0 });
  const found = JSON.parse(encodeWindow(chain.take(), 0)) as Pick<
    MotionAnalysis,
    'contacts' | 'strides' | 'cycles'
  >;
  return { ...found, summary: chain.summary() };
}

test('a recording that was committed is what the chain says of it, bit for bit', async () => {
  const motion = await finalMotion('?cycles=200');
  expect(motion).toMatchObject({ algorithm: 'motion', isProvisional: false, bodyModelRevision: 0 });
  const { body: model } = await ask<SessionBodyModel>(`/v1/sessions/${sent.session}/body-model`);
  expect(model).toMatchObject({ revision: 0, isDefault: true, mayEdit: true });
  expect(model.bodyModel.placements.map(({ segment }) => segment).toSorted()).toEqual([
    'left-foot',
    'right-foot',
  ]);
  const expected = await offline(model.bodyModel as BodyModel);
  expect(motion.strides).toEqual(expected.strides);
  expect(motion.contacts).toEqual(expected.contacts);
  expect(motion.cycles).toEqual(expected.cycles.slice(-200));
  expect(motion.strides.length).toBeGreaterThan(20);
  const figures = new Map(motion.metrics.map(({ metric, side, value }) => [`${metric}/${side}`, value]));
  for (const { metric, side, value } of expected.summary)
    expect(figures.get(`${metric}/${side}`)).toBe(value);
  expect(figures.get('cadence/null')).toBeGreaterThan(60);
  const told = await ask(`/v1/channels/session/${sent.session}/gait/messages?limit=100`);
  expect(told.status).toBe(200);
  expect(JSON.stringify(told.body)).toContain('"committed"');
  const metrics = await (
    await fetch(`${origin}/metrics`, { headers: { authorization: `Bearer ${tenant.adminKey}` } })
  ).text();
  // How many steps it took depends on how busy the machine was.
  expect(Number(/^kymo_analysis_windows_total (\d+)/m.exec(metrics)?.[1])).toBeGreaterThan(1);
  expect(metrics).toMatch(/^kymo_analysis_failures_total 0$/m);
});

test('a body model is edited by revision, what is wrong is named, and the session is analysed anew', async () => {
  const at = `/v1/sessions/${sent.session}/body-model`;
  const { body } = await ask<SessionBodyModel>(at, { key: tenant.readKey });
  expect(body.mayEdit).toBe(false);
  const { bodyModel } = body;
  const put = (given: unknown, key = tenant.adminKey) =>
    ask<SessionBodyModel>(at, { method: 'PUT', body: given, key });
  expect(await put({ bodyModel, revision: 0 }, tenant.readKey)).toMatchObject({ status: 403 });
  expect(await put({ bodyModel, revision: 5 })).toMatchObject({ status: 409, body: { code: 'conflict' } });
  const wrong = structuredClone(bodyModel);
  wrong.placements[1]!.segment = 'tail';
  expect(await put({ bodyModel: wrong, revision: 0 })).toMatchObject({
    status: 400,
    body: { code: 'invalid-field', field: '/bodyModel/placements/1/segment' },
  });
  const other = structuredClone(bodyModel);
  other.placements[0]!.gyr.axes[2] = 9;
  expect(await put({ bodyModel: other, revision: 0 })).toMatchObject({
    status: 400,
    body: { field: '/bodyModel/placements/0/gyr/axes/2' },
  });
  const swapped = structuredClone(bodyModel);
  swapped.heightM = 1.8;
  for (const placement of swapped.placements)
    placement.segment = placement.segment === 'left-foot' ? 'right-foot' : 'left-foot';
  const before = await finalMotion();
  expect(await put({ bodyModel: swapped, revision: 0 })).toMatchObject({
    status: 200,
    body: { revision: 1, isDefault: false },
  });
  const after = await finalMotion();
  expect(after.bodyModelRevision).toBe(1);
  const countOf = (motion: MotionAnalysis, side: string): number =>
    motion.strides.filter((stride) => stride.side === side).length;
  expect(countOf(after, 'left')).toBe(countOf(before, 'right'));
  expect(countOf(after, 'right')).toBe(countOf(before, 'left'));
});

test('an analysis from the beginning is asked for over HTTP and on the command line, and gives the same', async () => {
  const before = await finalMotion();
  const asked = await ask<{ asked: number }>(`/v1/sessions/${sent.session}/analyses`, { method: 'POST' });
  expect(asked).toMatchObject({ status: 202, body: { session: sent.session } });
  expect(await finalMotion()).toEqual(before);
  // Sealed readings are the same readings.
  await runKymo(['seal', sent.session, '--json', ...args]);
  const { rows: hot } = await owner.query(
    'select from kymo.chunk c join kymo.stream s on s.id = c.stream_id',
  );
  expect(hot).toHaveLength(0);
  const told = await runKymo(['reanalyse', sent.session, '--json', ...args]);
  expect(JSON.parse(told.split('\n').at(-1)!)).toMatchObject({ session: sent.session, failure: null });
  expect(await finalMotion()).toEqual(before);
});

test('a session that does not exist, and one of which nothing is known', async () => {
  const nobody = '0198c0de-0000-7000-8000-000000000000';
  for (const address of ['motion', 'body-model'])
    expect(await ask(`/v1/sessions/${nobody}/${address}`)).toMatchObject({ status: 404 });
});

async function allWindows(): Promise<WindowPage> {
  return (await ask<WindowPage>('/v1/windows?limit=200')).body;
}

test('windows are followed with a wait, read, and given results that repeat and revise as they should', async () => {
  const page = await allWindows();
  expect(page.windows.every(({ session, isSettled }) => session === sent.session && isSettled)).toBe(true);
  const { body: end } = await ask<WindowPage>(`/v1/windows?after=${page.next}&wait=1`);
  expect(end).toMatchObject({ windows: [], next: page.next });
  expect(await ask('/v1/windows?after=0.0')).toMatchObject({ status: 400 });
  const { body: reset } = await ask<WindowPage>('/v1/windows?after=00000000.999999');
  expect(reset).toMatchObject({ isReset: true, windows: page.windows.slice(0, 50) });
  const window = page.windows[1]!;
  const at = `/v1/sessions/${sent.session}/windows/${window.startUs}`;
  const { body: readings } = await ask<WindowReadings>(`${at}/readings`);
  expect(readings.window).toEqual(window);
  expect(readings.streams.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(window.readings);
  const put = (revision: number, result: unknown, version = 1) =>
    ask(`${at}/results/mine`, { method: 'PUT', body: { version, revision, result } });
  expect(await put(window.revision, { n: 1 })).toMatchObject({ status: 200, body: { isCurrent: true } });
  expect(await put(window.revision, { n: 1 })).toMatchObject({ status: 200 });
  expect(await put(window.revision, { n: 2 })).toMatchObject({ status: 409, body: { code: 'conflict' } });
  expect(await put(window.revision, { n: 2 }, 2)).toMatchObject({ status: 200 });
  expect(await put(window.revision + 1, { n: 3 })).toMatchObject({
    status: 400,
    body: { field: '/revision' },
  });
  expect(await put(window.revision, 'x'.repeat(70_000))).toMatchObject({ status: 413 });
  await owner.query(
    `update kymo.session_window set revision = revision + 1 where session_id = $1 and start_us = $2`,
    [sent.session, window.startUs],
  );
  expect(await put(window.revision, { n: 1 })).toMatchObject({ status: 409, body: { code: 'outdated' } });
  const { body: results } = await ask<ResultPage>(`/v1/sessions/${sent.session}/results/mine`);
  expect(results.results).toMatchObject([{ version: 2, isCurrent: false, result: { n: 2 } }]);
  expect(
    await ask(`${at}/results/motion`, { method: 'PUT', body: { version: 1, revision: 1, result: 1 } }),
  ).toMatchObject({ status: 400 });
});

test('the example in Python stores a result a window, and again nothing', async () => {
  const run = async () => {
    const { stdout } = await promisify(execFile)(
      'python3',
      [example, origin, '--once', '--state', path.join(directory, 'cursor.txt')],
      { env: { PATH: process.env['PATH'], KYMO_KEY: tenant.adminKey } },
    );
    return JSON.parse(stdout) as { stored: number };
  };
  const { windows } = await allWindows();
  expect(await run()).toEqual({ stored: windows.length });
  expect(await run()).toEqual({ stored: 0 });
  const { body } = await ask<ResultPage>(`/v1/sessions/${sent.session}/results/mean-acceleration?limit=50`);
  expect(body.results).toHaveLength(windows.length);
  const first = body.results[0]!;
  const from = Math.floor((first.startUs - sent.startUs) / (1e6 / 204.8));
  expect(from).toBeLessThanOrEqual(0);
  const sizes: number[] = [];
  for (let seq = 0; timeOf(sent, seq) < first.endUs; seq++)
    sizes.push(Math.hypot(...sent.right.subarray(seq * AXES, seq * AXES + 3)));
  const { 'right-foot': right } = first.result as Record<string, Record<string, number>>;
  expect(right).toMatchObject({ readings: sizes.length });
  expect(right!['peakMS2']).toBeCloseTo(Math.max(...sizes), 6);
  expect(right!['meanMS2']).toBeCloseTo(sizes.reduce((a, b) => a + b) / sizes.length, 6);
});

test('the processor of an extension stores a result a window; one that breaks holds up nobody', async () => {
  const { windows } = await allWindows();
  await expect
    .poll(
      async () =>
        (await ask<ResultPage>(`/v1/sessions/${sent.session}/results/counting.readings?limit=50`)).body
          .results.length,
      { timeout: 20_000, interval: 250 },
    )
    .toBe(windows.length);
  const { body } = await ask<ResultPage>(`/v1/sessions/${sent.session}/results/counting.readings?limit=50`);
  const sums = body.results.map(({ result }) =>
    Object.values(result as Record<string, number>).reduce((a, b) => a + b),
  );
  const inOrder = windows.toSorted((a, b) => a.startUs - b.startUs);
  expect(sums).toEqual(inOrder.map(({ readings }) => readings));
  expect(body.results.every(({ version }) => version === 2)).toBe(true);
});

test('nobody else reads, writes or asks for anything of it', async () => {
  const other = await createTenant(database.ownerUrl, pools, 'B');
  const { windows } = await allWindows();
  const { startUs, revision } = windows[0]!;
  const { body: model } = await ask<SessionBodyModel>(`/v1/sessions/${sent.session}/body-model`);
  const under = `/v1/sessions/${sent.session}`;
  const result = { method: 'PUT', body: { version: 9, revision, result: 'mine' } };
  const all: readonly (readonly [address: string, request?: { method: string; body?: unknown }])[] = [
    [`${under}/motion`],
    [`${under}/body-model`],
    [
      `${under}/body-model`,
      { method: 'PUT', body: { bodyModel: model.bodyModel, revision: model.revision } },
    ],
    [`${under}/analyses`, { method: 'POST' }],
    [`${under}/windows/${startUs}/readings`],
    [`${under}/windows/${startUs}/results/theirs`, result],
  ];
  for (const [address, request = { method: 'GET' }] of all) {
    expect(await ask(address, { ...request, key: other.adminKey })).toMatchObject({ status: 404 });
    for (const key of [tenant.deviceKey, `${tenant.adminKey.slice(0, -1)}_`, ''])
      expect([401, 403]).toContain((await ask(address, { ...request, key })).status);
  }
  for (const [address, request = { method: 'GET' }] of all.filter(([, one]) => one !== undefined))
    expect(await ask(address, { ...request, key: tenant.readKey })).toMatchObject({ status: 403 });
  for (const address of ['/v1/windows', `/v1/windows?session=${sent.session}`])
    expect((await ask<WindowPage>(address, { key: other.adminKey })).body.windows).toEqual([]);
  const { body: results } = await ask<ResultPage>(`${under}/results/mine`, { key: other.adminKey });
  expect(results.results).toEqual([]);
  for (const channel of ['motion', 'gait'])
    expect([403, 404]).toContain(
      (await ask(`/v1/channels/session/${sent.session}/${channel}/messages`, { key: other.adminKey })).status,
    );
  expect(await ask(`${under}/body-model`)).toMatchObject({ body: model });
});

test('what no database or stack can take is refused, and ids in capitals are the same', async () => {
  const { windows } = await allWindows();
  const { startUs, revision } = windows[0]!;
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const response = await fetch(`${origin}/v1/sessions/${sent.session}/windows/${startUs}/results/deep`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${tenant.adminKey}`, 'content-type': 'application/json' },
    body: `{"version":1,"revision":${revision},"result":${deep}}`,
  });
  expect(await response.json()).toMatchObject({ status: 400, field: '/result' });
  const at = `/v1/sessions/${sent.session}/body-model`;
  const { body } = await ask<SessionBodyModel>(at);
  const { bodyModel } = structuredClone(body);
  const put = () =>
    ask<SessionBodyModel>(at, { method: 'PUT', body: { bodyModel, revision: body.revision } });
  for (const method of ['a\u0000', 'half \ud800']) {
    const quaternion: [number, number, number, number] = [1, 0, 0, 0];
    bodyModel.placements[0]!.alignment = { kind: 'calibrated', quaternion, method, quality: 1, reason: null };
    expect(await put()).toMatchObject({
      status: 400,
      body: { field: '/bodyModel/placements/0/alignment/method' },
    });
  }
  const { stream } = body.bodyModel.placements[0]!;
  bodyModel.placements[0]!.alignment = { kind: 'from-movement' };
  bodyModel.placements[0]!.stream = stream.toUpperCase();
  expect((await put()).body.bodyModel.placements[0]!.stream).toBe(stream);
});
