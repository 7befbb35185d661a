import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Api } from '#api/api-options.ts';
import { createApi } from '#api/api.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { Problem, Retention, SessionDetail } from '#contract/rest.ts';
import { createAuditRecords } from '#clinic/audit-records.ts';
import { createAccounts } from '#identity/accounts.ts';
import { createIdentity } from '#identity/identity.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { createExportQueries } from '#store/export-queries.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';
import { jobApi } from '#test/support/job-api.ts';
import { motionApi } from '#test/support/motion-api.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';
import { ownPrincipals } from '#test/support/principals.ts';
import { recordsApi } from '#test/support/records-api.ts';
import { createTestVisits } from '#test/support/visit-services.ts';

let database: TestDatabase;
let pools: Pools;
let tenant: Tenant;
let other: Tenant;
let api: Api;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  other = await createTenant(database.ownerUrl, pools, 'B');
  const identity = createIdentity({ authPool: pools.auth, clock: systemClock });
  api = await createApi({
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
    exports: createExportQueries(pools.app),
    ...motionApi(pools.app),
    ...jobApi(pools.app),
    submitReadings: () => Promise.reject(new Error('nothing is sent here')),
    onDeviceRevoked: () => undefined,
    live: null,
    demoKey: null,
    checkReadiness: async () => ({}),
    metrics: new Registry(),
    webDirectory: null,
    tls: null,
    trustedProxy: null,
    origins: { allowed: new Set(), isSecure: false },
    log: silentLog,
    clock: systemClock,
  });
});

afterAll(async () => {
  await api.close();
  await pools.close();
  await database.drop();
});

async function call(method: 'GET' | 'PUT' | 'DELETE', url: string, key = tenant.adminKey, body?: object) {
  const answer = await api.inject({
    method,
    url,
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { payload: body }),
  });
  const code = answer.statusCode >= 400 ? answer.json<Problem>().code : null;
  return { status: answer.statusCode, code, body: answer.body };
}

async function open(): Promise<StreamDefinition> {
  const definition = streamDefinition();
  const opened = await createCatalogue(pools).openStream(tenant.device, { definition, epoch: randomEpoch() });
  expect(opened.ok).toBe(true);
  return definition;
}

test('a session is erased by an admin of its organisation, once and again', async () => {
  const { session } = await open();
  const url = `/v1/sessions/${session}`;
  expect(await call('DELETE', url, tenant.readKey)).toMatchObject({ status: 403 });
  expect(await call('DELETE', url, other.adminKey)).toMatchObject({ status: 404, code: 'not-found' });
  expect(await call('GET', url)).toMatchObject({ status: 200 });
  expect(await call('DELETE', url)).toMatchObject({ status: 204, body: '' });
  expect(await call('GET', url)).toMatchObject({ status: 404 });
  expect(await call('DELETE', url)).toMatchObject({ status: 204 });
  expect(await call('DELETE', '/v1/sessions/nothing')).toMatchObject({ status: 400, code: 'invalid-field' });
});

test('a stream is erased by itself', async () => {
  const { session, stream } = await open();
  expect(await call('DELETE', `/v1/streams/${stream}`, other.adminKey)).toMatchObject({ status: 404 });
  expect(await call('DELETE', `/v1/streams/${stream}`)).toMatchObject({ status: 204 });
  const detail = JSON.parse((await call('GET', `/v1/sessions/${session}`)).body) as SessionDetail;
  expect(detail.streams).toEqual([]);
});

test('a legal hold is shown with the session and keeps it from being erased', async () => {
  const { session } = await open();
  const [url, hold] = [`/v1/sessions/${session}`, `/v1/sessions/${session}/hold`];
  const holdOf = async (): Promise<SessionDetail['hold']> =>
    (JSON.parse((await call('GET', url)).body) as SessionDetail).hold;
  expect(await holdOf()).toBeNull();
  expect(await call('PUT', hold, other.adminKey, { reason: 'mine' })).toMatchObject({ status: 404 });
  expect(await call('PUT', hold, tenant.adminKey, { reason: ' ' })).toMatchObject({ code: 'invalid-field' });
  expect(await call('PUT', hold, tenant.adminKey, { reason: 'court file 7' })).toMatchObject({ status: 204 });
  expect(await holdOf()).toMatchObject({ reason: 'court file 7' });
  expect(await call('DELETE', url)).toMatchObject({ status: 409, code: 'conflict' });
  expect(await call('PUT', hold, tenant.adminKey, { reason: 'court file 8' })).toMatchObject({ status: 204 });
  expect(await holdOf()).toMatchObject({ reason: 'court file 8' });
  expect(await call('DELETE', hold, other.adminKey)).toMatchObject({ status: 404 });
  expect(await call('DELETE', hold)).toMatchObject({ status: 204 });
  expect(await call('DELETE', hold)).toMatchObject({ status: 404 });
  expect(await call('DELETE', url)).toMatchObject({ status: 204 });
});

test('an organisation chooses among the classes that there are', async () => {
  const keptForEver = { retentionClass: 0, name: 'for ever', rawDays: null, rollupDays: null };
  expect(JSON.parse((await call('GET', '/v1/retention')).body)).toEqual({
    classes: [keptForEver],
    defaultClass: 0,
  });
  expect(await call('PUT', '/v1/retention', tenant.adminKey, { defaultClass: 0 })).toMatchObject({
    status: 204,
  });
  for (const defaultClass of [5, 8, 'x'])
    expect(await call('PUT', '/v1/retention', tenant.adminKey, { defaultClass })).toMatchObject({
      status: 400,
      code: 'invalid-field',
    });
  expect(await call('PUT', '/v1/retention', tenant.readKey, { defaultClass: 0 })).toMatchObject({
    status: 403,
  });
});

test("the choice of one organisation is no other organisation's", async () => {
  const owner = openTestPool(database.ownerUrl);
  await owner.query("insert into kymo.retention_class (class, name, raw_days) values (2, 'a month', 30)");
  await owner.end();
  expect(await call('PUT', '/v1/retention', tenant.adminKey, { defaultClass: 2 })).toMatchObject({
    status: 204,
  });
  const chosenBy = async (key: string): Promise<number> =>
    (JSON.parse((await call('GET', '/v1/retention', key)).body) as Retention).defaultClass;
  expect(await chosenBy(tenant.adminKey)).toBe(2);
  expect(await chosenBy(other.adminKey)).toBe(0);
  const [changed] = await runAsOrg(pools.app, tenant.orgId, {
    statements: [{ text: 'update kymo.organisation set retention_class = 2' }],
    mode: 'change',
  });
  expect(changed?.rowCount).toBe(1);
  expect(await chosenBy(other.adminKey)).toBe(0);
  for (const text of [
    "update kymo.organisation set name = 'x'",
    'update kymo.retention_class set raw_days = 1',
  ])
    await expect(
      runAsOrg(pools.app, tenant.orgId, { statements: [{ text }], mode: 'change' }),
    ).rejects.toThrow('permission denied');
});
