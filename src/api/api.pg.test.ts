import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { LightMyRequestResponse as Answer } from 'fastify';
import type pg from 'pg';
import { Registry } from 'prom-client';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { apiLimits, type Api, type ApiOptions } from '#api/api-options.ts';
import { createApi } from '#api/api.ts';
import { systemClock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { decodeEnvelope, envelopeJson } from '#contract/envelope-codec.ts';
import { Envelope } from '#contract/envelope.ts';
import {
  About,
  DeviceCreated,
  DevicePage,
  Health,
  Problem,
  ReadingPage,
  ReadingsAccepted,
  type ReadingsRequest,
  SessionDetail,
  SessionPage,
  SignedIn,
  Ticket,
} from '#contract/rest.ts';
import { createAuditRecords } from '#clinic/audit-records.ts';
import { createAccounts } from '#identity/accounts.ts';
import type { Revocation } from '#identity/revocations.ts';
import { createIdentity, type Identity } from '#identity/identity.ts';
import { newKey } from '#identity/keys.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { createExportQueries } from '#store/export-queries.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';
import { jobApi } from '#test/support/job-api.ts';
import { motionApi } from '#test/support/motion-api.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { ownPrincipals } from '#test/support/principals.ts';
import { recordsApi } from '#test/support/records-api.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';
import { createTestVisits } from '#test/support/visit-services.ts';

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
let stored: StreamDefinition;
let webDirectory: string;

let identity: Identity;
let api: Api;
let submitted: { identity: DeviceIdentity; request: ReadingsRequest }[];
let revoked: string[];
let revocations: Revocation[];
let logged: string[];
let readiness: () => Promise<Record<string, string>>;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
  stored = streamDefinition({ label: 'K-1' });
  const epoch = randomEpoch();
  await createCatalogue(pools).openStream(tenantA.device, { definition: stored, epoch });
  const values = [1.5, Number.NaN, Math.fround(0.1), -2, Number.POSITIVE_INFINITY, 3];
  await storeChunk(writer, {
    orgId: tenantA.orgId,
    streamId: stored.stream,
    epoch,
    firstSeq: 0,
    firstUs: 1_000_000,
    lastUs: 1_005_000,
    segments: [{ firstUs: 1_000_000, periodNs: 5_000_000, arrivalUs: 1_000_000, count: 2 }],
    deltas: null,
    data: Buffer.from(new Float32Array(values).buffer),
  });
  webDirectory = await mkdtemp(join(tmpdir(), 'kymo-web-'));
  await mkdir(join(webDirectory, 'assets'));
  await writeFile(join(webDirectory, 'index.html'), '<!doctype html><title>Kymo</title>');
  await writeFile(join(webDirectory, 'assets/app-1a2b3c.js'), 'export {};');
});

beforeEach(async () => {
  submitted = [];
  revoked = [];
  revocations = [];
  logged = [];
  readiness = async () => ({ database: 'ok' });
  api = await makeApi({});
  return () => api.close();
});

afterAll(async () => {
  await pools.close();
  await writer.end();
  await database.drop();
  await rm(webDirectory, { recursive: true });
});

async function makeApi(changes: Partial<ApiOptions>): Promise<Api> {
  identity = createIdentity({ authPool: pools.auth, clock: systemClock });
  const write = (message: string, fields: object = {}): void => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log: Log = { debug: write, info: write, warn: write, error: write };
  return createApi({
    about: { version: '1.2.3', demo: true },
    identity,
    principals: ownPrincipals(identity),
    accounts: createAccounts({ appPool: pools.app, clock: systemClock }),
    audit: createRecordedAudit(),
    auditRecords: createAuditRecords(pools.app),
    sessions: createSessionQueries(pools.app),
    ...recordsApi(pools.app),
    visits: createTestVisits(pools.app),
    retention: createRetentionControls(pools, (_, work) => work()),
    readings: createReadingQueries(pools.app),
    envelopes: createEnvelopeQueries(pools.app),
    exports: createExportQueries(pools.app),
    ...motionApi(pools.app),
    ...jobApi(pools.app),
    submitReadings: async (device, request) => {
      submitted.push({ identity: device, request });
      const [session, stream] = [uuidv7(systemClock), uuidv7(systemClock)];
      return { session, stream, epoch: '00'.repeat(8), firstSeq: 0, count: request.readings.length };
    },
    onDeviceRevoked: (id) => revoked.push(id),
    onRevoked: (revocation) => revocations.push(revocation),
    live: null,
    demoKey: async () => tenantA.readKey,
    checkReadiness: () => readiness(),
    metrics: new Registry(),
    webDirectory,
    tls: null,
    trustedProxy: null,
    origins: { allowed: new Set(), isSecure: false },
    log,
    clock: systemClock,
    ...changes,
  });
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

function call(
  method: Method,
  url: string,
  options: { key?: string; body?: unknown; headers?: Record<string, string>; from?: string } = {},
): Promise<Answer> {
  return api.inject({
    method,
    url,
    ...(options.from === undefined ? {} : { remoteAddress: options.from }),
    headers: {
      ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { payload: options.body as object }),
  });
}

function bodyOf<T>(answer: Answer, status: number, schema: TSchema): T {
  const body: unknown = answer.json();
  expect({ status: answer.statusCode, body }).toEqual({ status, body });
  expect(Compile(schema).Errors(body)).toEqual([]);
  return body as T;
}

function problemOf(answer: Answer, status: number): Problem {
  expect(answer.headers['content-type']).toContain('application/problem+json');
  const problem = bodyOf<Problem>(answer, status, Problem);
  expect(problem.status).toBe(status);
  expect(problem.requestId).toBe(answer.headers['x-request-id']);
  return problem;
}

interface Operation {
  readonly operationId: string;
  readonly security: Record<string, string[]>[];
  readonly responses: Record<string, unknown>;
  readonly requestBody?: unknown;
}

async function operations(): Promise<{ method: Method; url: string; operation: Operation }[]> {
  const document = (await call('GET', '/openapi.json')).json<{
    paths: Record<string, Record<string, Operation>>;
  }>();
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase() as Method,
      url: path.replace('{id}', uuidv7(systemClock)),
      operation,
    })),
  );
}

// What anyone may call. A new route is not here, so it must ask for a key.
const publicOperations = [
  'about',
  'health',
  'readiness',
  'metrics',
  'asyncapi',
  'openapi',
  'openapiOfEvents',
  'signInToDemo',
  // What is no upgrade hears so, whoever asks.
  'openDeviceSocket',
  'openLiveSocket',
];

test('every route but the listed asks for a key, and answers a problem without a good one', async () => {
  const all = await operations();
  expect(all.length).toBeGreaterThanOrEqual(14);
  const isPublic = ({ operation }: (typeof all)[number]): boolean =>
    publicOperations.includes(operation.operationId);
  expect(all.filter(isPublic)).toHaveLength(publicOperations.length);
  for (const [i, { method, url, operation }] of all.filter((route) => !isPublic(route)).entries()) {
    expect(operation.security.length).toBeGreaterThan(0);
    // One address may not try as many wrong keys as there are routes.
    const from = `10.0.${i >> 8}.${i & 255}`;
    for (const key of [undefined, 'ka_short', newKey('access').key, newKey('device').key]) {
      const answer = await call(method, url, { ...(key === undefined ? {} : { key }), body: {}, from });
      expect(problemOf(answer, 401).code).toBe('unauthenticated');
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="kymo"');
    }
  }
});

test('the chain is the same on every route: request id, security headers, no caching', async () => {
  for (const { method, url } of await operations()) {
    const answer = await call(method, url);
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'cache-control': 'no-store',
    });
  }
});

test('the wrong kind of key, or too small a scope, is forbidden', async () => {
  const cases: [Method, string, string][] = [
    ['GET', '/v1/sessions', tenantA.deviceKey],
    ['POST', '/v1/readings', tenantA.adminKey],
    ['GET', '/v1/devices', tenantA.readKey],
    ['POST', '/v1/devices', tenantA.readKey],
    ['DELETE', `/v1/devices/${tenantA.device.deviceId}`, tenantA.readKey],
  ];
  for (const [method, url, key] of cases)
    expect(problemOf(await call(method, url, { key, body: {} }), 403).code).toBe('forbidden');
});

test('the list, a session and its readings, to the organisation that owns them', async () => {
  const page = bodyOf<SessionPage>(
    await call('GET', '/v1/sessions', { key: tenantA.readKey }),
    200,
    SessionPage,
  );
  expect(page.sessions.map((session) => session.id)).toContain(stored.session);
  const url = `/v1/sessions/${stored.session}`;
  const detail = bodyOf<SessionDetail>(await call('GET', url, { key: tenantA.readKey }), 200, SessionDetail);
  expect(detail.streams[0]!.definition).toEqual(stored);
  const readings = bodyOf<ReadingPage>(
    await call('GET', `/v1/streams/${stored.stream}/readings?fromUs=0&toUs=2000000`, {
      key: tenantA.readKey,
    }),
    200,
    ReadingPage,
  );
  expect(readings).toMatchObject({
    stream: stored.stream,
    axes: stored.axes,
    rows: [
      [1_000_000, 1.5, null, Math.fround(0.1)],
      [1_005_000, -2, null, 3],
    ],
    runs: [{ firstSeq: 0, count: 2 }],
    next: null,
  });
});

test('a large page of readings is whole', async () => {
  const definition = streamDefinition({ axes: [{ name: 'count', unit: '1' }] });
  const epoch = randomEpoch();
  await createCatalogue(pools).openStream(tenantA.device, { definition, epoch });
  const count = 1200;
  await storeChunk(writer, {
    orgId: tenantA.orgId,
    streamId: definition.stream,
    epoch,
    firstSeq: 0,
    firstUs: 0,
    lastUs: count,
    segments: [{ firstUs: 0, periodNs: 1000, arrivalUs: 0, count }],
    deltas: null,
    data: Buffer.from(Float32Array.from({ length: count }, (_, i) => i).buffer),
  });
  const url = `/v1/streams/${definition.stream}/readings?limit=10000`;
  const page = bodyOf<ReadingPage>(await call('GET', url, { key: tenantA.readKey }), 200, ReadingPage);
  expect(page.rows).toEqual(Array.from({ length: count }, (_, i) => [i, i]));
  expect(page.runs).toEqual([{ epoch, firstSeq: 0, count }]);
});

test("another organisation's sessions, streams and devices do not exist", async () => {
  const key = tenantB.adminKey;
  const page = (await call('GET', '/v1/sessions', { key })).json<SessionPage>();
  expect(page.sessions).toEqual([]);
  for (const url of [`/v1/sessions/${stored.session}`, `/v1/streams/${stored.stream}/readings`])
    expect(problemOf(await call('GET', url, { key }), 404).code).toBe('not-found');
  expect(problemOf(await call('DELETE', `/v1/devices/${tenantA.device.deviceId}`, { key }), 404).code).toBe(
    'not-found',
  );
  expect(revoked).toEqual([]);
  const devices = (await call('GET', '/v1/devices', { key })).json<DevicePage>();
  expect(devices.devices.map((device) => device.name)).toEqual(['B device']);
});

test('readings also come as little-endian float64, with the cursor in a header', async () => {
  const url = `/v1/streams/${stored.stream}/readings?limit=1`;
  const headers = { accept: 'application/octet-stream' };
  const first = await call('GET', url, { key: tenantA.readKey, headers });
  expect(first.headers['content-type']).toBe('application/octet-stream');
  const valuesOf = (answer: Answer): number[] =>
    Array.from({ length: answer.rawPayload.length / 8 }, (_, i) => answer.rawPayload.readDoubleLE(i * 8));
  expect(valuesOf(first)).toEqual([1_000_000, 1.5, Number.NaN, Math.fround(0.1)]);
  const next = String(first.headers['kymo-next']);
  const second = await call('GET', `${url}&cursor=${next}`, { key: tenantA.readKey, headers });
  expect(valuesOf(second)).toEqual([1_005_000, -2, Number.POSITIVE_INFINITY, 3]);
});

test('an envelope as JSON and as columns of float64, to the organisation that owns the stream', async () => {
  const url = `/v1/streams/${stored.stream}/envelope`;
  const json = bodyOf<Record<string, unknown>>(
    await call('GET', url, { key: tenantA.readKey }),
    200,
    Envelope,
  );
  expect(json).toMatchObject({ stream: stored.stream, firstUs: 1_000_000, count: [1, 1], bucketUs: 0 });
  expect(json).toMatchObject({
    min: [
      [1.5, -2],
      [null, null],
      [expect.closeTo(0.1), 3],
    ],
  });
  const binary = await api.inject({
    url,
    headers: { authorization: `Bearer ${tenantA.readKey}`, accept: 'application/octet-stream' },
  });
  expect(binary.headers['content-type']).toBe('application/octet-stream');
  const { buffer } = Uint8Array.from(binary.rawPayload);
  expect(JSON.parse(envelopeJson(decodeEnvelope(buffer)))).toEqual(json);
  expect((await call('GET', url, { key: tenantB.readKey })).statusCode).toBe(404);
});

test('readings are handed on with the device that sent them', async () => {
  const body: ReadingsRequest = { segment: 'left-foot', readings: [{ timeUs: 5, values: { acc_x: 1.5 } }] };
  const answer = await call('POST', '/v1/readings', { key: tenantA.deviceKey, body });
  expect(bodyOf<ReadingsAccepted>(answer, 201, ReadingsAccepted).count).toBe(1);
  expect(submitted).toEqual([{ identity: tenantA.device, request: body }]);
});

test('a fault in a body or query is named by its field, and nothing is handed on', async () => {
  const reading = { values: { x: 1 } };
  const bodies: [unknown, string][] = [
    [{ readings: [reading] }, '/segment'],
    [{ segment: '', readings: [reading] }, '/segment'],
    [{ segment: 's', readings: [] }, '/readings'],
    [{ segment: 's', readings: [reading, { values: { x: '1' } }] }, '/readings/1/values/x'],
    [{ segment: 's', readings: [{ ...reading, timeUs: 1.5 }] }, '/readings/0/timeUs'],
    [{ segment: 's', readings: [reading], rateHz: 0 }, '/rateHz'],
    [{ segment: 's', readings: [reading], colour: 'red' }, '/colour'],
  ];
  for (const [body, field] of bodies) {
    const answer = await call('POST', '/v1/readings', { key: tenantA.deviceKey, body });
    expect(problemOf(answer, 400)).toMatchObject({ code: 'invalid-field', field });
  }
  expect(submitted).toEqual([]);
  const queries: [string, string][] = [
    ['/v1/sessions?limit=0', '/limit'],
    ['/v1/sessions?limit=1e1', '/limit'],
    ['/v1/sessions?limit=', '/limit'],
    ['/v1/sessions?limit=5&limit=6', '/limit'],
    ['/v1/sessions?cursor=x', '/cursor'],
    ['/v1/sessions?colour=red', '/colour'],
    ['/v1/sessions/not-an-id', '/id'],
    [`/v1/streams/${stored.stream}/readings?limit=10001`, '/limit'],
    [`/v1/streams/${stored.stream}/envelope?width=15`, '/width'],
    [`/v1/streams/${stored.stream}/envelope?width=4097`, '/width'],
    [`/v1/streams/${stored.stream}/envelope?fromUs=1.5`, '/fromUs'],
    [`/v1/streams/${stored.stream}/envelope?fromUs=5&toUs=5`, '/toUs'],
    [`/v1/streams/${stored.stream}/envelope?colour=red`, '/colour'],
    [`/v1/streams/${stored.stream}/readings?fromUs=9007199254740993`, '/fromUs'],
    [`/v1/streams/${stored.stream}/readings?cursor=x`, '/cursor'],
    ['/v1/devices?cursor=x', '/cursor'],
  ];
  for (const [url, field] of queries) {
    const answer = await call('GET', url, { key: tenantA.adminKey });
    expect({ url, ...problemOf(answer, 400) }).toMatchObject({ url, code: 'invalid-field', field });
  }
});

test('what is not JSON, too large, or nowhere, is a problem too', async () => {
  const send = (payload: string, type = 'application/json'): Promise<Answer> =>
    api.inject({
      method: 'POST',
      url: '/v1/readings',
      headers: { authorization: `Bearer ${tenantA.deviceKey}`, 'content-type': type },
      payload,
    });
  expect(problemOf(await send('{'), 400).code).toBe('malformed-message');
  expect(problemOf(await send(''), 400).code).toBe('malformed-message');
  expect(problemOf(await send('{"__proto__": {"x": 1}}'), 400).code).toBe('malformed-message');
  expect(problemOf(await send('a=1', 'application/x-www-form-urlencoded'), 415).code).toBe(
    'malformed-message',
  );
  expect(problemOf(await send('hello', 'text/plain'), 415).code).toBe('malformed-message');
  const large = JSON.stringify({ segment: 'x'.repeat(apiLimits.readingsBodyBytes) });
  expect(problemOf(await send(large), 413).code).toBe('message-too-large');
  expect(problemOf(await call('GET', '/v1/nothing'), 404).code).toBe('not-found');
  expect(problemOf(await call('DELETE', '/v1/sessions'), 404).code).toBe('not-found');
});

test('temporary failures say when to come back; unforeseen ones say nothing of themselves', async () => {
  const failures: [Error, number, string | undefined][] = [
    [new AppError('store-unavailable', 'x', { temporary: true }), 503, '2'],
    [new AppError('overloaded', 'x', { temporary: true }), 503, '2'],
    [new AppError('limit-exceeded', 'x', { temporary: true }), 429, '5'],
    [new AppError('stream-mismatch', 'x', { field: '/definition/axes' }), 409, undefined],
    [new AppError('limit-exceeded', 'x'), 400, undefined],
    [new TypeError('the secret of the house'), 500, undefined],
  ];
  for (const [failure, status, retryAfter] of failures) {
    const failing = await makeApi({ submitReadings: () => Promise.reject(failure) });
    const answer = await failing.inject({
      method: 'POST',
      url: '/v1/readings',
      headers: { authorization: `Bearer ${tenantA.deviceKey}` },
      payload: { segment: 's', readings: [{ values: { x: 1 } }] },
    });
    const problem = problemOf(answer, status);
    expect(answer.headers['retry-after']).toBe(retryAfter);
    expect(problem.field).toBe(failure instanceof AppError ? failure.field : undefined);
    expect(answer.body).not.toContain('secret');
    expect(logged.join().includes('the secret of the house')).toBe(status === 500);
    await failing.close();
  }
});

test('a database that went away is 503, not a hang', async () => {
  const gone = { run: () => Promise.reject(new AppError('store-unavailable', 'x', { temporary: true })) };
  const broken = await makeApi({ sessions: createSessionQueries({ ...gone, stats: pools.app.stats }) });
  const answer = await broken.inject({
    url: `/v1/sessions/${uuidv7(systemClock)}`,
    headers: { authorization: `Bearer ${tenantA.readKey}` },
  });
  expect(problemOf(answer, 503).code).toBe('store-unavailable');
  await broken.close();
});

test('a device is made, shows its key once, is listed, revoked, and then refused', async () => {
  const key = tenantA.adminKey;
  const made = bodyOf<DeviceCreated>(
    await call('POST', '/v1/devices', { key, body: { name: 'left foot' } }),
    201,
    DeviceCreated,
  );
  const body = { segment: 's', readings: [{ values: { x: 1 } }] };
  expect((await call('POST', '/v1/readings', { key: made.key, body })).statusCode).toBe(201);
  const list = bodyOf<DevicePage>(await call('GET', '/v1/devices?limit=1', { key }), 200, DevicePage);
  expect(list.devices).toMatchObject([{ id: made.id, name: 'left foot', revokedAt: null }]);
  expect(JSON.stringify(list)).not.toContain(made.key.slice(3));
  const more = bodyOf<DevicePage>(
    await call('GET', `/v1/devices?cursor=${list.next}`, { key }),
    200,
    DevicePage,
  );
  expect(more.devices.map((device) => device.id)).toContain(tenantA.device.deviceId);
  expect((await call('DELETE', `/v1/devices/${made.id}`, { key })).statusCode).toBe(204);
  expect((await call('DELETE', `/v1/devices/${made.id}`, { key })).statusCode).toBe(204);
  expect(revoked).toEqual([made.id, made.id]);
  expect((await call('POST', '/v1/readings', { key: made.key, body })).statusCode).toBe(401);
});

test('a name that no one could read is refused', async () => {
  for (const name of ['', '   ', 'a\u0000b', 'x'.repeat(65)]) {
    const answer = await call('POST', '/v1/devices', { key: tenantA.adminKey, body: { name } });
    expect(problemOf(answer, 400)).toMatchObject({ code: 'invalid-field', field: '/name' });
  }
});

test('a ticket stands for its key, once', async () => {
  const take = async (key: string): Promise<Ticket> =>
    bodyOf<Ticket>(await call('POST', '/v1/tickets', { key }), 201, Ticket);
  const device = await take(tenantA.deviceKey);
  expect(Date.parse(device.expiresAt)).toBeGreaterThan(Date.now() + 25_000);
  expect(await identity.redeemDeviceTicket(device.ticket)).toEqual(tenantA.device);
  expect(await identity.redeemDeviceTicket(device.ticket)).toBeNull();
  const live = await take(tenantB.readKey);
  expect(await identity.redeemLiveTicket(live.ticket)).toMatchObject({
    orgId: tenantB.orgId,
    kind: 'access',
  });
});

test('the demo signs in a browser beside the server, and nobody else', async () => {
  const signIn = (options: { headers?: Record<string, string>; remoteAddress?: string }): Promise<Answer> =>
    api.inject({ method: 'POST', url: '/v1/demo/sign-in', ...options });
  const host = 'localhost:7900';
  expect(bodyOf<SignedIn>(await signIn({ headers: { host } }), 200, SignedIn).key).toBe(tenantA.readKey);
  for (const headers of [
    { host, origin: `http://${host}` },
    { host: '127.0.0.1' },
    { host: '[::1]:80', origin: 'http://[::1]:80' },
  ] as Record<string, string>[])
    expect((await signIn({ headers })).statusCode).toBe(200);
  for (const headers of [
    { host: 'evil.example' },
    { host: 'localhost.evil.example:7900' },
    { host: '127.0.0.1.evil.example' },
    { host, origin: 'http://evil.example' },
    { host, origin: 'http://localhost:3000' },
    { host, origin: 'null' },
    { host, 'x-forwarded-for': '203.0.113.5' },
  ] as Record<string, string>[])
    expect(problemOf(await signIn({ headers }), 403).code).toBe('forbidden');
  expect((await signIn({ headers: { host }, remoteAddress: '192.0.2.1' })).statusCode).toBe(403);
  const plain = await makeApi({ demoKey: null });
  expect(
    (await plain.inject({ method: 'POST', url: '/v1/demo/sign-in', headers: { host } })).statusCode,
  ).toBe(403);
  await plain.close();
});

test('the server says who, how well and how busy it is, without naming anyone', async () => {
  expect(bodyOf(await call('GET', '/v1/about'), 200, About)).toEqual({
    name: 'Kymo',
    version: '1.2.3',
    demo: true,
  });
  expect(bodyOf(await call('GET', '/healthz'), 200, Health)).toEqual({ ok: true, checks: {} });
  expect(bodyOf(await call('GET', '/readyz'), 200, Health)).toEqual({ ok: true, checks: { database: 'ok' } });
  readiness = async () => ({ database: 'cannot be reached', draining: 'ok' });
  expect(bodyOf(await call('GET', '/readyz'), 503, Health)).toMatchObject({ ok: false });
  readiness = () => Promise.reject(new Error('at db.internal'));
  expect((await call('GET', '/readyz')).body).toBe('{"ok":false,"checks":{"server":"the checks failed"}}');
  await call('GET', `/v1/sessions/${stored.session}`, { key: tenantA.readKey });
  const metrics = await call('GET', '/metrics');
  expect(metrics.headers['content-type']).toContain('text/plain');
  expect(metrics.body).toMatch(
    /kymo_http_request_seconds_count\{method="GET",route="\/v1\/sessions\/:id",status="200"\} 1/,
  );
  expect(metrics.body).not.toContain(stored.session);
});

test('neither keys nor tickets nor ids of sessions reach the log', async () => {
  await call('GET', `/v1/sessions/${stored.session}?ticket=secret-ticket`, { key: tenantA.readKey });
  await call('GET', '/v1/nothing?ticket=secret-ticket', { key: tenantA.readKey });
  expect(logged).not.toEqual([]);
  for (const secret of [tenantA.readKey.slice(3), 'secret-ticket', stored.session])
    expect(logged.join('\n')).not.toContain(secret);
});

test('the page, its files and its views are served with their caching and policy', async () => {
  const html = { accept: 'text/html,*/*' };
  for (const url of ['/', '/sessions/123', '/index.html']) {
    const answer = await call('GET', url, { headers: { ...html, host: 'localhost:7900' } });
    expect(answer.statusCode).toBe(200);
    expect(answer.body).toContain('<title>Kymo</title>');
    expect(answer.headers['cache-control']).toBe('no-cache');
    const policy = String(answer.headers['content-security-policy']);
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("connect-src 'self' ws://localhost:7900 wss://localhost:7900;");
  }
  const script = await call('GET', '/assets/app-1a2b3c.js');
  // A script may be a worker, which is bound by the policy it came with.
  expect(String(script.headers['content-security-policy'])).toContain("connect-src 'self' ws:");
  expect(script.headers).toMatchObject({
    'cache-control': 'public, max-age=31536000, immutable',
    'content-type': 'application/javascript; charset=utf-8',
  });
  for (const url of ['/assets/gone.js', '/v1/nothing', '/../package.json', '/%2e%2e/package.json', '/assets'])
    expect(`${url} ${(await call('GET', url)).statusCode}`).toBe(`${url} 404`);
  expect((await call('GET', '/v1/nothing', { headers: html })).statusCode).toBe(404);
  const odd = await call('GET', '/', { headers: { host: "x; script-src 'unsafe-inline'" } });
  expect(odd.headers['content-security-policy']).not.toContain('unsafe-inline; script');
  expect(String(odd.headers['content-security-policy'])).toContain("connect-src 'self';");
});

test('the OpenAPI document names every route, its answers and its schemas', async () => {
  const document = (await call('GET', '/openapi.json')).json<{
    openapi: string;
    components: { schemas: Record<string, unknown> };
  }>();
  expect(document.openapi).toBe('3.1.0');
  const text = JSON.stringify(document);
  const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]!);
  expect(references).toContain('Problem');
  for (const name of references) expect(Object.keys(document.components.schemas)).toContain(name);
  expect(text).not.toContain('$id');
  for (const { operation } of await operations()) {
    expect(Object.keys(operation.responses).some((status) => /^(2|101)/.test(status))).toBe(true);
    expect(operation.responses).toHaveProperty('500');
    expect('401' in operation.responses).toBe(operation.security.length > 0);
  }
});

test('what is no address is a problem too', async () => {
  expect(problemOf(await call('GET', '/v1/%ff'), 400).code).toBe('malformed-message');
  expect(problemOf(await call('GET', `/v1/sessions/${'a'.repeat(300)}`), 404).code).toBe('not-found');
});

test('the WebSocket endpoints are in the document, and answer what is no upgrade', async () => {
  const document = (await call('GET', '/openapi.json')).json<{
    paths: Record<string, { get: { 'x-websocket': { serverMessages: unknown } } }>;
    components: { schemas: Record<string, { anyOf?: unknown[] }> };
  }>();
  for (const [url, name] of [
    ['/v1/live', 'AnyHubMessage'],
    ['/v1/device', 'AnyServerMessage'],
  ] as const) {
    expect(document.paths[url]?.get['x-websocket'].serverMessages).toEqual({
      $ref: `#/components/schemas/${name}`,
    });
    expect(document.components.schemas[name]?.anyOf?.length).toBeGreaterThan(5);
    const answer = await call('GET', url);
    expect(problemOf(answer, 426).code).toBe('malformed-message');
    expect(answer.headers['upgrade']).toBe('websocket');
  }
});

test('an administrator makes, lists and revokes access keys, and a revocation is told', async () => {
  const { adminKey, orgId } = tenantA;
  const made = await call('POST', '/v1/access-keys', {
    key: adminKey,
    body: { name: 'back end', scope: 'server' },
  });
  expect(made.statusCode).toBe(201);
  const { id, key } = made.json<{ id: string; key: string }>();
  const listed = (await call('GET', '/v1/access-keys', { key: adminKey })).body;
  expect(listed).toContain('"scope":"server"');
  expect(listed).not.toContain(key);
  expect((await call('DELETE', `/v1/access-keys/${id}`, { key: tenantB.adminKey })).statusCode).toBe(404);
  expect((await call('DELETE', `/v1/access-keys/${id}`, { key: adminKey })).statusCode).toBe(204);
  expect(revocations).toEqual([{ orgId, keyId: id }]);
  expect((await call('POST', '/v1/tickets', { key })).statusCode).toBe(401);
});

test('a server key vouches for users and reads no recordings', async () => {
  const accounts = createAccounts({ appPool: pools.app, clock: systemClock });
  const { key } = await accounts.createAccessKey(tenantA.orgId, { name: 'back end', scope: 'server' });
  expect((await call('GET', '/v1/sessions', { key })).json()).toMatchObject({
    status: 403,
    code: 'forbidden',
  });
  expect((await call('GET', '/v1/devices', { key })).statusCode).toBe(403);
  const channels = [{ channels: 'ticker/*', operations: ['subscribe'] }];
  const body = { subject: 'anna', channels, seconds: 60 };
  const limited = await call('POST', '/v1/tickets/limited', { key, body });
  expect(limited.statusCode).toBe(201);
  expect(await identity.redeemLiveTicket(limited.json<{ ticket: string }>().ticket)).toMatchObject({
    kind: 'token',
    orgId: tenantA.orgId,
    subject: 'user:anna',
    grants: channels,
  });
  expect((await call('POST', '/v1/tickets/limited', { key: tenantA.readKey, body })).statusCode).toBe(403);
});

test('a revocation names one token or one subject', async () => {
  const { adminKey, orgId } = tenantA;
  const revoke = (body: object) => call('POST', '/v1/revocations', { key: adminKey, body });
  expect((await revoke({ tokenId: 'j1' })).statusCode).toBe(204);
  expect((await revoke({ subject: 'anna' })).statusCode).toBe(204);
  expect(revocations).toEqual([
    { orgId, tokenId: 'j1' },
    { orgId, subject: 'anna' },
  ]);
  expect((await revoke({})).statusCode).toBe(400);
  expect((await revoke({ tokenId: 'j1', subject: 'anna' })).statusCode).toBe(400);
});
