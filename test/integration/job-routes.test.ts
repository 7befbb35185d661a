import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Api } from '#api/api-options.ts';
import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Job, JobPage } from '#contract/jobs.ts';
import { createAccounts } from '#identity/accounts.ts';
import { createIdentity } from '#identity/identity.ts';
import { createJobService } from '#jobs/job-service.ts';
import type { JobChange } from '#jobs/job-rows.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { defineTask } from '#jobs/task.ts';
import { createDescribedApi } from '../../scripts/generate.ts';
import { queueLimits } from '#store/job-queue.ts';
import { openPools, type Pools, type RolePool } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { startTestRunner } from '#test/support/job-runner.ts';
import { ownPrincipals } from '#test/support/principals.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let other: Tenant;
let api: Api;
let session: string;
let foreignSession: string;
const changes: JobChange[] = [];
/** Transactions of the role of the application. */
let trips = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  other = await createTenant(database.ownerUrl, pools, 'B');
  session = await makeSession(tenant.orgId);
  foreignSession = await makeSession(other.orgId);
  const counted: RolePool = {
    run(statements, mode) {
      trips++;
      return pools.app.run(statements, mode);
    },
    stats: pools.app.stats,
  };
  const identity = createIdentity({ authPool: pools.auth, clock: systemClock });
  api = await createDescribedApi('1.2.3', {
    identity,
    principals: ownPrincipals(identity),
    accounts: createAccounts({ appPool: pools.app, clock: systemClock }),
    jobs: createJobService({
      app: counted,
      clock: systemClock,
      onChange: (change) => changes.push(change),
    }),
  });
});

afterAll(async () => {
  await api.close();
  await pools.close();
  await owner.end();
  await database.drop();
});

async function makeSession(orgId: string): Promise<string> {
  const id = uuidv7(systemClock);
  await owner.query('insert into kymo.session (id, org_id) values ($1, $2)', [id, orgId]);
  return id;
}

const wait = { timeout: 10_000, interval: 20 };

async function call<T>(
  method: 'GET' | 'POST',
  url: string,
  { key = tenant.adminKey, body }: { key?: string; body?: object } = {},
): Promise<{ status: number; body: T; raw: Buffer; headers: Record<string, unknown> }> {
  const response = await api.inject({
    method,
    url,
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { payload: body }),
  });
  const isJson = /json/.test(String(response.headers['content-type']));
  return {
    status: response.statusCode,
    body: (isJson ? response.json() : null) as T,
    raw: response.rawPayload,
    headers: response.headers,
  };
}

const report = (of = session): object => ({ kind: 'session-report', input: { session: of } });

test('asking for a job answers at once with it, in one round trip, and tells of it', async () => {
  trips = 0;
  const { status, body } = await call<Job>('POST', '/v1/jobs', { body: report() });
  expect(status).toBe(202);
  expect(body).toMatchObject({
    kind: 'session-report',
    state: 'queued',
    session,
    progress: 0,
    attempts: 0,
    requestedBy: tenant.adminKeyId,
    file: null,
    error: null,
  });
  expect(trips).toBe(1);
  expect(changes.at(-1)).toMatchObject({ orgId: tenant.orgId, news: { id: body.id, state: 'queued' } });
  trips = 0;
  expect((await call<Job>('GET', `/v1/jobs/${body.id}`)).body).toEqual(body);
  expect(trips).toBe(1);
});

test('the same key asked for twice is one job', async () => {
  const body = { ...report(), idempotencyKey: 'twice' };
  const first = await call<Job>('POST', '/v1/jobs', { body });
  const second = await call<Job>('POST', '/v1/jobs', { body });
  expect(second.body).toEqual(first.body);
  const otherInput = { kind: 'session-export', input: { session, format: 'csv' }, idempotencyKey: 'twice' };
  expect(await call('POST', '/v1/jobs', { body: otherInput })).toMatchObject({
    status: 409,
    body: { code: 'conflict' },
  });
});

test('what is no job, or about somebody else’s, is refused', async () => {
  expect(await call('POST', '/v1/jobs', { body: { kind: 'send-mail', input: {} } })).toMatchObject({
    status: 400,
  });
  expect(await call('POST', '/v1/jobs', { body: { kind: 'session-report', input: {} } })).toMatchObject({
    status: 400,
  });
  expect(await call('POST', '/v1/jobs', { body: report(foreignSession) })).toMatchObject({
    status: 404,
    body: { code: 'not-found' },
  });
  // A key that reads does not ask for jobs.
  expect(await call('POST', '/v1/jobs', { key: tenant.readKey, body: report() })).toMatchObject({
    status: 403,
  });
});

test('another organisation sees, fetches, cancels and retries nothing of it', async () => {
  const { body } = await call<Job>('POST', '/v1/jobs', { body: report() });
  const key = other.adminKey;
  expect((await call<JobPage>('GET', '/v1/jobs', { key })).body.jobs).toEqual([]);
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/file'],
    ['POST', '/cancel'],
    ['POST', '/retry'],
  ] as const)
    expect(await call(method, `/v1/jobs/${body.id}${path}`, { key })).toMatchObject({ status: 404 });
  expect((await call<Job>('GET', `/v1/jobs/${body.id}`)).body.state).toBe('queued');
});

test('the list is paged newest first, and narrowed to a state or session', async () => {
  const mine = await makeSession(tenant.orgId);
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) {
    const { body } = await call<Job>('POST', '/v1/jobs', { body: report(mine) });
    ids.unshift(body.id);
  }
  const first = (await call<JobPage>('GET', `/v1/jobs?session=${mine}&limit=3`)).body;
  expect(first.jobs.map(({ id }) => id)).toEqual(ids.slice(0, 3));
  const rest = (await call<JobPage>('GET', `/v1/jobs?session=${mine}&limit=3&cursor=${first.next}`)).body;
  expect(rest.jobs.map(({ id }) => id)).toEqual(ids.slice(3));
  expect(rest.next).toBeNull();
  expect((await call<JobPage>('GET', `/v1/jobs?session=${mine}&state=failed`)).body.jobs).toEqual([]);
  expect((await call<JobPage>('GET', `/v1/jobs?state=queued&limit=1`)).body.jobs[0]?.id).toBe(ids[0]);
  expect(await call('GET', '/v1/jobs?cursor=nonsense')).toMatchObject({ status: 400 });
});

test('a job that waits is cancelled at once, may be asked for again, and ends only once', async () => {
  const { body } = await call<Job>('POST', '/v1/jobs', { body: report() });
  expect((await call<Job>('POST', `/v1/jobs/${body.id}/cancel`)).body).toMatchObject({ state: 'cancelled' });
  // Again is the same.
  expect((await call<Job>('POST', `/v1/jobs/${body.id}/cancel`)).status).toBe(200);
  expect((await call<Job>('POST', `/v1/jobs/${body.id}/retry`)).body).toMatchObject({
    state: 'queued',
    finishedAt: null,
    attempts: 0,
  });
  await owner.query(`update kymo.job set state = 'done', finished_at = now() where id = $1`, [body.id]);
  for (const action of ['cancel', 'retry'])
    expect(await call('POST', `/v1/jobs/${body.id}/${action}`)).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
});

test('the file of a job comes byte for byte, and is gone after its time', async () => {
  const content = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => i % 251));
  const task = defineTask({
    ...jobKinds['session-report'],
    async run({ store }) {
      await store({ name: 'report "1".pdf', type: 'application/pdf' }, [content]);
    },
  });
  const { body } = await call<Job>('POST', '/v1/jobs', { body: report() });
  expect(await call('GET', `/v1/jobs/${body.id}/file`)).toMatchObject({ status: 404 });
  const runner = startTestRunner(pools, [task]);
  await expect
    .poll(async () => (await call<Job>('GET', `/v1/jobs/${body.id}`)).body.state, wait)
    .toBe('done');
  await runner.stop();
  const done = (await call<Job>('GET', `/v1/jobs/${body.id}`)).body;
  expect(done).toMatchObject({ progress: 1, file: { type: 'application/pdf', bytes: content.length } });
  const file = await call('GET', `/v1/jobs/${body.id}/file`);
  expect(file.status).toBe(200);
  expect(file.raw.equals(content)).toBe(true);
  expect(file.headers).toMatchObject({
    'content-type': 'application/pdf',
    'content-length': String(content.length),
    'content-disposition': 'attachment; filename="report-1-.pdf"',
  });
  await owner.query(`update kymo.job set file_expires_at = now() - interval '1 s' where id = $1`, [body.id]);
  const { rows } = await owner.query('select kymo.expire_jobs(30, 100) as removed');
  expect(rows[0]).toMatchObject({ removed: 1 });
  expect(await call('GET', `/v1/jobs/${body.id}/file`)).toMatchObject({
    status: 410,
    body: { code: 'erased' },
  });
  expect((await call<Job>('GET', `/v1/jobs/${body.id}`)).body.file).toBeNull();
  expect((await owner.query('select from kymo.job_file_part where job_id = $1', [body.id])).rowCount).toBe(0);
});

test('the next beyond the named maximum is refused with 429, and others are not', async () => {
  const { orgId, adminKey } = await createTenant(database.ownerUrl, pools, 'C');
  const body = report(await makeSession(orgId));
  for (let i = 0; i < queueLimits.mostAsked; i++)
    expect((await call('POST', '/v1/jobs', { key: adminKey, body })).status).toBe(202);
  const refused = await call('POST', '/v1/jobs', { key: adminKey, body });
  expect(refused).toMatchObject({ status: 429, body: { code: 'rate-limited' } });
  expect(refused.headers['retry-after']).toBeDefined();
  expect((await call('POST', '/v1/jobs', { body: report() })).status).toBe(202);
});
