import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

import type pg from 'pg';
import { Registry } from 'prom-client';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createApi } from '#api/api.ts';
import type { Api } from '#api/api-options.ts';
import { exportRouteLimits } from '#api/export-routes.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { SessionRecord } from '#contract/export.ts';
import { createAuditRecords } from '#clinic/audit-records.ts';
import { createAccounts } from '#identity/accounts.ts';
import { createIdentity } from '#identity/identity.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { eraseSessions } from '#store/erasure.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { createExportQueries, exportLimits, type StreamExport } from '#store/export-queries.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools, type RolePool } from '#store/pools.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createSealTask } from '#store/seal-task.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';
import { jobApi } from '#test/support/job-api.ts';
import { motionApi } from '#test/support/motion-api.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { askDuckDb } from '#test/support/duckdb.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { storeChunk, type StoredSegment } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';
import { ownPrincipals } from '#test/support/principals.ts';
import { recordsApi } from '#test/support/records-api.ts';
import { createTestVisits } from '#test/support/visit-services.ts';

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
let folder: string;
let api: Api;
let metrics: Registry;
let origin: string;
/** Chunks that the export's statements returned so far, and the most of one of them. */
let chunksRead = 0;
let mostChunks = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
  folder = await mkdtemp(join(tmpdir(), 'kymo-export-'));
  metrics = new Registry();
  api = await makeApi(metrics);
  await api.listen({ host: '127.0.0.1', port: 0 });
  origin = `http://127.0.0.1:${(api.server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  // fetch keeps connections open for later requests.
  api.server.closeAllConnections();
  await api.close();
  await pools.close();
  await Promise.all([writer.end(), owner.end()]);
  await database.drop();
  await rm(folder, { recursive: true });
});

async function makeApi(registry: Registry, clock: Clock = systemClock): Promise<Api> {
  const nothing = (): void => undefined;
  const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  const counted: RolePool = {
    async run(statements, mode) {
      const results = await pools.app.run(statements, mode);
      const chunks = results.at(-1)?.rows.filter((row: object) => 'segments' in row).length ?? 0;
      chunksRead += chunks;
      mostChunks = Math.max(mostChunks, chunks);
      return results;
    },
    stats: pools.app.stats,
  };
  const identity = createIdentity({ authPool: pools.auth, clock: systemClock });
  return createApi({
    about: { version: '1.2.3', demo: false },
    identity,
    principals: ownPrincipals(identity),
    onRevoked: () => undefined,
    accounts: createAccounts({ appPool: pools.app, clock: systemClock }),
    audit: createRecordedAudit(),
    auditRecords: createAuditRecords(pools.app),
    sessions: createSessionQueries(pools.app),
    ...recordsApi(pools.app),
    visits: createTestVisits(pools.app),
    retention: createRetentionControls(pools, (_, work) => work()),
    readings: createReadingQueries(pools.app),
    envelopes: createEnvelopeQueries(pools.app),
    exports: createExportQueries(counted),
    ...motionApi(pools.app),
    ...jobApi(pools.app),
    submitReadings: () => Promise.reject(new Error('nothing is sent here')),
    onDeviceRevoked: nothing,
    live: null,
    demoKey: null,
    checkReadiness: async () => ({}),
    metrics: registry,
    webDirectory: null,
    tls: null,
    trustedProxy: null,
    origins: { allowed: new Set(), isSecure: false },
    log,
    clock,
  });
}

async function open(overrides: Partial<StreamDefinition> = {}, epoch = randomEpoch()) {
  const definition = streamDefinition(overrides);
  const result = await createCatalogue(pools).openStream(tenantA.device, { definition, epoch });
  expect(result.ok).toBe(true);
  return { definition, epoch };
}

interface Stored {
  readonly firstSeq: number;
  /** Row by row. */
  readonly rows: readonly (readonly number[])[];
  readonly segments: readonly StoredSegment[];
  readonly deltas?: readonly number[];
}

async function store(definition: StreamDefinition, epoch: string, chunk: Stored): Promise<void> {
  const flat = chunk.rows.flat();
  const array = definition.encoding === 'float32' ? new Float32Array(flat) : new Int16Array(flat);
  const times = timesOf(chunk);
  await storeChunk(writer, {
    orgId: tenantA.orgId,
    streamId: definition.stream,
    epoch,
    firstSeq: chunk.firstSeq,
    firstUs: Math.min(...times),
    lastUs: Math.max(...times),
    segments: chunk.segments,
    deltas: chunk.deltas ?? null,
    data: Buffer.from(array.buffer),
  });
}

function timesOf({ segments, deltas }: Pick<Stored, 'segments' | 'deltas'>): number[] {
  let at = 0;
  return segments.flatMap(({ count, firstUs, periodNs }) =>
    Array.from({ length: count }, (_, i) =>
      deltas === undefined ? firstUs + Math.floor((i * periodNs + 500) / 1000) : firstUs + deltas[at++]!,
    ),
  );
}

const even = (firstUs: number, count: number, periodNs = 5_000_000): StoredSegment => ({
  firstUs,
  periodNs,
  arrivalUs: firstUs,
  count,
});

function ask(path: string, key = tenantA.readKey, signal?: AbortSignal): Promise<Response> {
  return fetch(`${origin}${path}`, {
    headers: { authorization: `Bearer ${key}` },
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Downloads an export into a file; returns its path and the answer's headers. */
async function download(
  { stream }: StreamDefinition,
  query: Record<string, string>,
): Promise<{ file: string; headers: Headers }> {
  const answer = await ask(`/v1/streams/${stream}/export?${new URLSearchParams(query).toString()}`);
  expect(answer.status).toBe(200);
  const file = join(folder, `${uuidv7(systemClock)}.${query['format'] ?? 'csv'}`);
  await pipeline(Readable.fromWeb(answer.body as ReadableStream), createWriteStream(file));
  return { file, headers: answer.headers };
}

/** The rows of a file as DuckDB reads them: [timeUs, seq, epoch, axis...], and what it says of the columns. */
async function readBack(file: string) {
  // Types are given for CSV, since what a sniffer takes for them depends on the values.
  const source = file.endsWith('.parquet')
    ? `read_parquet('${file}')`
    : `read_csv('${file}', header = true, strict_mode = true, types = {'epoch': 'VARCHAR', 'time_us': 'BIGINT', 'seq': 'BIGINT'})`;
  const { names, types, rows } = await askDuckDb(`select * from ${source}`);
  return {
    names,
    types,
    texts: rows.map((row) => String(row[1])),
    rows: rows.map(([timeUs, , seq, epoch, ...values]) => [
      Number(timeUs),
      Number(seq),
      epoch,
      ...values.map(Number),
    ]),
  };
}

async function metric(outcome: string): Promise<number> {
  const text = await metrics.getSingleMetricAsString('kymo_exports_total');
  return [...text.matchAll(new RegExp(`outcome="${outcome}"\\} (\\d+)`, 'g'))].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 5));
}

const active = async (): Promise<number> =>
  Number(/kymo_exports_active (\d+)/.exec(await metrics.getSingleMetricAsString('kymo_exports_active'))?.[1]);

interface ManifestStream {
  readonly recording: string;
  readonly file: string;
  readonly columns: readonly string[];
  readonly units: readonly string[];
  readonly fs: number;
}

test.each(['csv', 'parquet'])('the real recording comes back bit for bit as %s', async (format) => {
  const manifest = JSON.parse(await readFile('data/gaitmap/manifest.json', 'utf8')) as {
    streams: ManifestStream[];
  };
  for (const entry of manifest.streams.filter(({ recording }) => recording === 'healthy_2x20m')) {
    const bytes = await readFile(join('data/gaitmap', entry.file));
    const readings = new Float32Array(new Uint8Array(bytes).buffer);
    const axes = entry.columns.map((name, i) => ({ name, unit: entry.units[i]! }));
    const { definition, epoch } = await open({ axes, rateHz: entry.fs });
    const periodNs = Math.round(1e9 / entry.fs);
    const count = readings.length / axes.length;
    const expected: unknown[][] = [];
    for (let from = 0; from < count; from += 500) {
      const rows = Array.from({ length: Math.min(500, count - from) }, (_, i) =>
        Array.from(readings.subarray((from + i) * axes.length, (from + i + 1) * axes.length)),
      );
      const firstUs = 1_760_000_000_123_456 + Math.round((from * periodNs) / 1000);
      const chunk = { firstSeq: from, rows, segments: [even(firstUs, rows.length, periodNs)] };
      await store(definition, epoch, chunk);
      const times = timesOf(chunk);
      expected.push(...rows.map((row, i) => [times[i], from + i, epoch, ...row]));
    }
    const { file, headers } = await download(definition, { format });
    expect(headers.get('kymo-readings')).toBe(String(count));
    const back = await readBack(file);
    expect(back.names.slice(0, 5)).toEqual(['time_us', 'time', 'seq', 'epoch', 'acc_x [m/s2]']);
    expect(back.rows).toEqual(expected);
  }
});

const times1970 = [-1_000_001, -1, 0, 999_999];
const year2106 = 4_294_967_296_000_000;

test.each([
  ['csv', 'DOUBLE'],
  ['parquet', 'FLOAT'],
])('awkward values, explicit times, gaps and epochs come back bit for bit as %s', async (format, type) => {
  const odd = [
    [Number.NaN, -0, Math.fround(3.4e38)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Math.fround(1.4e-45)],
    [0, Math.fround(0.1), -1],
    [Math.fround(16_777_217), Math.fround(1e-40), Math.fround(123_456.79)],
  ];
  const { definition, epoch } = await open();
  const first = { firstSeq: 3, rows: odd, segments: [even(0, 4)], deltas: [0, 0, 7, 4_294_967_295] };
  await store(definition, epoch, { ...first, segments: [even(-1_000_001, 4)] });
  const later = {
    firstSeq: 100,
    rows: odd,
    segments: [even(year2106, 2), even(year2106 - 3_600_000_000, 2)],
  };
  await store(definition, epoch, later);
  // Another store of the same device: numbers begin again.
  const { epoch: second } = await open({ ...definition });
  const again = { firstSeq: 0, rows: odd.slice(2), segments: [even(1_700_000_000_000_001, 2)] };
  await store(definition, second, again);

  const { file } = await download(definition, { format });
  const back = await readBack(file);
  const rowsOf = (id: string, chunk: Stored, times = timesOf(chunk)): unknown[][] =>
    chunk.rows.map((row, i) => [times[i], chunk.firstSeq + i, id, ...row]);
  expect(back.rows).toEqual([
    ...rowsOf(epoch, first, [-1_000_001, -1_000_001, -999_994, 4_293_967_294]),
    ...rowsOf(epoch, later),
    ...rowsOf(second, again),
  ]);
  expect(back.types).toEqual(['BIGINT', 'TIMESTAMP WITH TIME ZONE', 'BIGINT', 'VARCHAR', type, type, type]);
});

test.each(['csv', 'parquet'])('int16 readings come as their scaled values as %s', async (format) => {
  const scale = [0.002_392_578, 1e-9, -0.061_035_156_25];
  const { definition, epoch } = await open({ encoding: 'int16', scale });
  const raw = [
    [-32_768, 32_767, 0],
    [1, -1, 12_345],
  ];
  await store(definition, epoch, { firstSeq: 0, rows: raw, segments: [even(1_000_000, 2)] });
  const { file } = await download(definition, { format });
  const back = await readBack(file);
  expect(back.rows.map((row) => row.slice(3))).toEqual(raw.map((row) => row.map((v, i) => v * scale[i]!)));
  expect(back.types.slice(4)).toEqual(['DOUBLE', 'DOUBLE', 'DOUBLE']);
});

test('times are printed in ISO 8601, before 1970 and after 2106 too', async () => {
  const { definition, epoch } = await open({ axes: [{ name: 'a "b", c', unit: '%' }] });
  const times = [...times1970, year2106 + 1];
  for (const [seq, timeUs] of times.entries())
    await store(definition, epoch, { firstSeq: seq, rows: [[1]], segments: [even(timeUs, 1)] });
  const { file } = await download(definition, {});
  const lines = (await readFile(file, 'utf8')).split('\r\n');
  expect(lines[0]).toBe('time_us,time,seq,epoch,"a ""b"", c [%]"');
  expect(lines.slice(1, -1).map((line) => line.split(',')[1])).toEqual([
    '1969-12-31T23:59:58.999999Z',
    '1969-12-31T23:59:59.999999Z',
    '1970-01-01T00:00:00.000000Z',
    '1970-01-01T00:00:00.999999Z',
    '2106-02-07T06:28:16.000001Z',
  ]);
  expect(lines.at(-1)).toBe('');
});

test('a range of device time is half-open, and a clock that jumped back is found again', async () => {
  const { definition, epoch } = await open();
  const rows = Array.from({ length: 10 }, (_, i) => [i, i, i]);
  await store(definition, epoch, { firstSeq: 0, rows, segments: [even(1_000_000, 5), even(1_000_000, 5)] });
  const { file, headers } = await download(definition, { fromUs: '1005000', toUs: '1015000' });
  const back = await readBack(file);
  expect(back.rows.map((row) => row[1])).toEqual([1, 2, 6, 7]);
  expect(Number(headers.get('kymo-readings'))).toBeGreaterThanOrEqual(4);
  const none = await download(definition, { fromUs: '1', toUs: '2', format: 'parquet' });
  expect((await readBack(none.file)).rows).toEqual([]);
});

test('a stream without a reading is a file with a header', async () => {
  const { definition } = await open();
  const { file, headers } = await download(definition, {});
  expect(headers.get('kymo-readings')).toBe('0');
  expect(await readFile(file, 'utf8')).toBe(
    'time_us,time,seq,epoch,acc_x [m/s^2],acc_y [m/s^2],acc_z [m/s^2]\r\n',
  );
  const parquet = await download(definition, { format: 'parquet' });
  expect((await readBack(parquet.file)).names).toHaveLength(7);
});

test('the file name has ids and the segment and nothing that could leave its folder', async () => {
  const { definition } = await open({ segment: '../left foot"', label: 'K-7' });
  const { headers } = await download(definition, { format: 'parquet' });
  expect(headers.get('content-disposition')).toBe(
    `attachment; filename="kymo-${definition.session}-..-left-foot--${definition.stream}.parquet"`,
  );
  expect(headers.get('content-type')).toBe('application/vnd.apache.parquet');
  expect(headers.get('cache-control')).toBe('no-store');
});

test('Parquet says which stream it holds', async () => {
  const { definition, epoch } = await open();
  await store(definition, epoch, { firstSeq: 0, rows: [[1, 2, 3]], segments: [even(0, 1)] });
  const { file } = await download(definition, { format: 'parquet' });
  const { rows } = await askDuckDb(
    `select decode(key), decode(value) from parquet_kv_metadata('${file}') order by 1`,
  );
  const metadata = Object.fromEntries(rows as [string, string][]);
  expect(metadata).toMatchObject({
    'kymo.version': '1.2.3',
    'kymo.session': definition.session,
    'kymo.device': tenantA.device.deviceId,
  });
  expect(JSON.parse(metadata['kymo.stream']!)).toEqual(definition);
});

test("another organisation's stream does not exist, and a wrong format or range is named", async () => {
  const { definition } = await open();
  const path = `/v1/streams/${definition.stream}/export`;
  expect((await ask(path, tenantB.readKey)).status).toBe(404);
  expect((await ask(`/v1/sessions/${definition.session}/record`, tenantB.readKey)).status).toBe(404);
  expect((await ask(`/v1/streams/${uuidv7(systemClock)}/export`)).status).toBe(404);
  expect((await ask(path, tenantA.deviceKey)).status).toBe(403);
  for (const query of ['format=xlsx', 'fromUs=1.5', 'from=1'])
    expect(await (await ask(`${path}?${query}`)).json()).toMatchObject({ code: 'invalid-field' });
  expect(await active()).toBe(0);
});

/** 500 readings of one axis a chunk, made by the database. */
async function storeMany(definition: StreamDefinition, epoch: string, chunks: number): Promise<void> {
  const segment = Buffer.alloc(24);
  segment.writeUInt16LE(500, 0);
  segment.writeUInt32LE(5_000_000, 4);
  await writer.query(
    `insert into kymo.chunk (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day,
        retention_class, segments, deltas, data)
      select $1, $2, $3, i * 500, 0, 2495000, 500, (now() at time zone 'utc')::date, 0, $4, null, $5
        from generate_series(0, $6::int - 1) i`,
    [
      tenantA.orgId,
      definition.stream,
      epochToInt8(epoch),
      segment,
      Buffer.from(Float32Array.from({ length: 500 }, (_, i) => Math.sin(i)).buffer),
      chunks,
    ],
  );
  await writer.query(
    `update kymo.stream_epoch set committed = int8multirange(int8range(0, $3::bigint)),
        first_commit_day = (now() at time zone 'utc')::date, last_commit_day = (now() at time zone 'utc')::date
      where stream_id = $1 and epoch = $2`,
    [definition.stream, epochToInt8(epoch), chunks * 500],
  );
}

const oneAxis = { axes: [{ name: 'x', unit: 'm' }] };

test('a million readings need no more memory than a few fetches', async () => {
  const { definition, epoch } = await open(oneAxis);
  await storeMany(definition, epoch, 2_000);
  for (const format of ['csv', 'parquet']) {
    mostChunks = 0;
    const { file, headers } = await download(definition, { format });
    expect(headers.get('kymo-readings')).toBe('1000000');
    expect(mostChunks).toBeLessThanOrEqual(exportLimits.chunksPerFetch);
    const source = format === 'csv' ? 'read_csv' : 'read_parquet';
    const { rows } = await askDuckDb(
      `select count(*), min(seq), max(seq), count(distinct seq) from ${source}('${file}')`,
    );
    expect(rows).toEqual([[1_000_000n, 0n, 999_999n, 1_000_000n]]);
  }
});

test('a client that takes nothing stops the reading, and one that vanishes frees everything', async () => {
  const { definition, epoch } = await open(oneAxis);
  await storeMany(definition, epoch, 4_000);
  const broken = await metric('broken');
  chunksRead = 0;
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(
    `GET /v1/streams/${definition.stream}/export HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tenantA.readKey}\r\n\r\n`,
  );
  await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
  let before = -1;
  // The kernel's buffers take some megabytes; then nothing moves any more.
  await until(async () => {
    const isStill = before === chunksRead;
    before = chunksRead;
    if (!isStill) await new Promise((resolve) => setTimeout(resolve, 300));
    return isStill;
  });
  expect(chunksRead).toBeGreaterThan(0);
  expect(chunksRead).toBeLessThan(2_000);
  expect(await active()).toBe(1);
  socket.destroy();
  await until(async () => (await active()) === 0);
  expect(await metric('broken')).toBe(broken + 1);
  expect(pools.app.stats.idle).toBe(pools.app.stats.connections);
});

test('clients that leave before the first byte free their places too', async () => {
  const { definition, epoch } = await open(oneAxis);
  await storeMany(definition, epoch, 400);
  for (let i = 0; i < 20; i++) {
    const socket = connect(Number(new URL(origin).port), '127.0.0.1');
    socket.on('error', () => undefined);
    const request = `GET /v1/streams/${definition.stream}/export HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tenantA.readKey}\r\n\r\n`;
    await new Promise<void>((resolve) => socket.write(request, () => resolve()));
    for (let turn = 0; turn < i; turn++) await new Promise(setImmediate);
    socket.destroy();
  }
  await until(async () => (await active()) === 0);
  expect((await download(definition, {})).headers.get('kymo-readings')).toBe('200000');
});

test('a client that takes nothing for a minute is cut off', async () => {
  const { definition, epoch } = await open(oneAxis);
  await storeMany(definition, epoch, 8_000);
  const clock = createManualClock();
  const patient = await makeApi(new Registry(), clock);
  await patient.listen({ host: '127.0.0.1', port: 0 });
  const { port } = patient.server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/v1/streams/${definition.stream}/export`, {
    headers: { authorization: `Bearer ${tenantA.readKey}` },
  });
  let before = -1;
  await until(async () => {
    const isStill = before === chunksRead;
    before = chunksRead;
    if (!isStill) await new Promise((resolve) => setTimeout(resolve, 300));
    return isStill;
  });
  expect(clock.timerCount).toBe(1);
  clock.advance(exportRouteLimits.stallMs - 1);
  expect(clock.timerCount).toBe(1);
  clock.advance(1);
  await expect(answer.arrayBuffer()).rejects.toThrow('terminated');
  expect(clock.timerCount).toBe(0);
  await patient.close();
});

test('more downloads than there are places for are asked to come back', async () => {
  const { definition, epoch } = await open(oneAxis);
  await storeMany(definition, epoch, 4_000);
  const path = `/v1/streams/${definition.stream}/export`;
  const leave = new AbortController();
  const held = await Promise.all(
    Array.from({ length: exportRouteLimits.mostOfOne }, () => ask(path, tenantA.readKey, leave.signal)),
  );
  expect(held.map((answer) => answer.status)).toEqual(held.map(() => 200));
  const refused = await ask(path);
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('2');
  expect(await refused.json()).toMatchObject({ code: 'overloaded' });
  // Another organisation finds the place that is left.
  const theirs = streamDefinition();
  const made = { definition: theirs, epoch: randomEpoch() };
  expect((await createCatalogue(pools).openStream(tenantB.device, made)).ok).toBe(true);
  const taken = await ask(`/v1/streams/${theirs.stream}/export`, tenantB.readKey);
  expect(taken.status).toBe(200);
  await taken.arrayBuffer();
  leave.abort();
  await until(async () => (await active()) === 0);
  expect((await download((await open()).definition, {})).headers.get('kymo-readings')).toBe('0');
});

test.each(['csv', 'parquet'])(
  'a session that is erased meanwhile breaks the download off (%s)',
  async (format) => {
    const { definition, epoch } = await open(oneAxis);
    await storeMany(definition, epoch, 8_000);
    const answer = await ask(`/v1/streams/${definition.stream}/export?format=${format}`);
    const reader = answer.body!.getReader();
    await reader.read();
    await eraseSessions(pools, tenantA.orgId, [definition.session]);
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    ).rejects.toThrow('terminated');
    await until(async () => (await active()) === 0);
  },
);

test('readings that are removed without the stream break the download of a whole stream off', async () => {
  const { definition, epoch } = await open(oneAxis);
  await storeMany(definition, epoch, 4_000);
  const answer = await ask(`/v1/streams/${definition.stream}/export`);
  const reader = answer.body!.getReader();
  await reader.read();
  await writer.query('delete from kymo.chunk where stream_id = $1 and first_seq >= 1900000', [
    definition.stream,
  ]);
  await expect(
    (async () => {
      while (!(await reader.read()).done);
    })(),
  ).rejects.toThrow('terminated');
});

test('a server that stops breaks its downloads off instead of waiting for them', async () => {
  const { definition, epoch } = await open(oneAxis);
  await storeMany(definition, epoch, 8_000);
  const stopping = await makeApi(new Registry());
  await stopping.listen({ host: '127.0.0.1', port: 0 });
  const { port } = stopping.server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/v1/streams/${definition.stream}/export`, {
    headers: { authorization: `Bearer ${tenantA.readKey}` },
  });
  await stopping.close();
  await expect(answer.arrayBuffer()).rejects.toThrow('terminated');
});

async function seal(): Promise<void> {
  const task = createSealTask();
  while ((await task.step(writer, new AbortController().signal)) === 'more');
}

test('sealed readings come like hot ones, also when they are sealed while they are exported', async () => {
  const { definition, epoch } = await open();
  const rows = Array.from({ length: 100 }, (_, i) => [i, -0, Math.fround(i / 7)]);
  const others = { fromUs: null, toUs: null, streamId: definition.stream };
  for (let i = 0; i < 200; i++)
    await store(definition, epoch, { firstSeq: i * 100, rows, segments: [even(i * 500_000, 100)] });
  const seqsOf = async (source: StreamExport | null, between?: () => Promise<void>): Promise<string> => {
    const parts: string[] = [];
    for await (const { firstSeq, times, values } of source!.blocks()) {
      if (parts.length === 0) await between?.();
      parts.push(
        ...Array.from(times, (us, i) => `${firstSeq + i} ${us} ${values.slice(i * 3, i * 3 + 3).join()}`),
      );
    }
    return parts.join('\n');
  };
  const queries = createExportQueries(pools.app);
  const hot = await seqsOf(await queries.open(tenantA.orgId, others));
  expect(hot.split('\n')).toHaveLength(20_000);
  await owner.query(`update kymo.stream set ended_at = now() - interval '1 hour' where id = $1`, [
    definition.stream,
  ]);
  expect(await seqsOf(await queries.open(tenantA.orgId, others), seal)).toBe(hot);
  const { rows: left } = await writer.query('select from kymo.chunk where stream_id = $1', [
    definition.stream,
  ]);
  expect(left).toEqual([]);
  const sealed = await queries.open(tenantA.orgId, others);
  expect(sealed?.readings).toBe(20_000);
  expect(await seqsOf(sealed)).toBe(hot);
  const part = await queries.open(tenantA.orgId, { ...others, fromUs: 5_000_000, toUs: 5_010_000 });
  expect((await seqsOf(part)).split('\n').map((line) => line.split(' ')[0])).toEqual(['1000', '1001']);
});

test('what is committed after the start is left out', async () => {
  const { definition, epoch } = await open();
  const rows = Array.from({ length: 4 }, (_, i) => [i, i, i]);
  await store(definition, epoch, { firstSeq: 0, rows, segments: [even(0, 4)] });
  await store(definition, epoch, { firstSeq: 8, rows, segments: [even(40_000, 4)] });
  const source = await createExportQueries(pools.app).open(tenantA.orgId, {
    streamId: definition.stream,
    fromUs: null,
    toUs: null,
  });
  await store(definition, epoch, { firstSeq: 4, rows, segments: [even(20_000, 4)] });
  await store(definition, epoch, { firstSeq: 12, rows, segments: [even(60_000, 4)] });
  const seqs: number[] = [];
  for await (const block of source!.blocks())
    seqs.push(...Array.from(block.times, (_, i) => block.firstSeq + i));
  expect(seqs).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
});

test('the record of a session tells what is missing and why, and how the clocks stood', async () => {
  const { definition, epoch } = await open({ label: 'K-9' });
  const rows = Array.from({ length: 4 }, (_, i) => [i, i, i]);
  await store(definition, epoch, { firstSeq: 0, rows, segments: [even(0, 4)] });
  await store(definition, epoch, { firstSeq: 20, rows, segments: [even(40_000, 4)] });
  const at = [tenantA.orgId, definition.stream, epochToInt8(epoch)];
  // A declaration whose middle came after all: the guard counts only its ends as lost.
  await writer.query(
    `insert into kymo.loss (org_id, stream_id, epoch, from_seq, to_seq, reason) values ($1, $2, $3, 6, 12, 'overwritten')`,
    at,
  );
  await writer.query(
    `update kymo.stream_epoch set lost = '{[6,8),[10,12),[15,16)}', committed = committed + '{[8,10)}'
      where stream_id = $1 and epoch = $2`,
    at.slice(1),
  );
  await pools.app.run([
    { text: `select set_config('kymo.org', $1, true)`, values: [tenantA.orgId] },
    {
      text: `insert into kymo.clock_observation (org_id, device_id, device_us, offset_us, round_trip_us)
        select $1, $2, i, -5, 900 from generate_series(1, 25000) i`,
      values: [tenantA.orgId, tenantA.device.deviceId],
    },
  ]);
  const record = (await (await ask(`/v1/sessions/${definition.session}/record`)).json()) as SessionRecord;
  expect(Compile(SessionRecord as TSchema).Errors(record)).toEqual([]);
  expect(record.kymo).toBe('1.2.3');
  expect(record.session).toMatchObject({ id: definition.session, label: 'K-9' });
  expect(record.streams[0]).toMatchObject({ definition, deviceId: tenantA.device.deviceId, endedAt: null });
  expect(record.streams[0]?.epochs).toMatchObject([
    {
      epoch,
      stored: [
        [0, 4],
        [8, 10],
        [20, 24],
      ],
      gaps: [
        { fromSeq: 4, toSeq: 6, state: 'pending', reason: null },
        { fromSeq: 6, toSeq: 8, state: 'lost', reason: 'overwritten' },
        { fromSeq: 10, toSeq: 12, state: 'lost', reason: 'overwritten' },
        { fromSeq: 12, toSeq: 15, state: 'pending', reason: null },
        { fromSeq: 15, toSeq: 16, state: 'lost', reason: null },
        { fromSeq: 16, toSeq: 20, state: 'pending', reason: null },
      ],
      tailLost: false,
    },
  ]);
  expect(record.clockEvery).toBe(3);
  expect(record.clockObservations).toHaveLength(8_333);
  expect(record.clockObservations[0]).toMatchObject({ offsetUs: -5, roundTripUs: 900 });
});
