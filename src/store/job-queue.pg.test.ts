import { readFileSync } from 'node:fs';

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { enqueueStatements, queueLimits, type NewJob } from '#store/job-queue.ts';
import { QUEUE_SCHEMA_VERSION } from '#store/job-schema.ts';
import { openPools, runAsOrg, type OrgScope, type Pools, type Statement } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let runner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  runner = openTestPool(pools.jobsUrl);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
});

afterAll(async () => {
  await runner.end();
  await pools.close();
  await owner.end();
  await database.drop();
});

function newJob(overrides: Partial<NewJob> = {}): NewJob {
  return {
    id: uuidv7(systemClock),
    kind: 'session-summary',
    input: {},
    lane: 'quick',
    maxAttempts: 3,
    ...overrides,
  };
}

async function enqueue(
  scope: string | OrgScope,
  job: NewJob,
  others: readonly Statement[] = [],
): Promise<{ id: string; is_new: boolean }> {
  const statements = [...enqueueStatements(job), ...others];
  const [result] = await runAsOrg(pools.app, scope, { statements, mode: 'change' });
  return result!.rows[0] as { id: string; is_new: boolean };
}

async function tickets(id: string): Promise<{ payload: unknown; queue: string; flags: object }[]> {
  const { rows } = await owner.query<{ payload: unknown; queue: string; flags: object }>(
    `select t.payload, q.queue_name as queue, t.flags from graphile_worker._private_jobs t
       left join graphile_worker._private_job_queues q on q.id = t.job_queue_id where t.key = $1`,
    [id],
  );
  return rows;
}

async function makeSession(orgId: string): Promise<string> {
  const id = uuidv7(systemClock);
  await owner.query('insert into kymo.session (id, org_id) values ($1, $2)', [id, orgId]);
  return id;
}

test('a job and its ticket exist together, with the caller’s organisation', async () => {
  const job = newJob({ requestedBy: 'someone' });
  expect(await enqueue(tenantA.orgId, job)).toEqual({ id: job.id, is_new: true });
  const { rows } = await owner.query(
    'select org_id, state, shard, requested_by from kymo.job where id = $1',
    [job.id],
  );
  expect(rows).toMatchObject([{ org_id: tenantA.orgId, state: 'queued', requested_by: 'someone' }]);
  const { shard } = rows[0] as { shard: number };
  expect(shard).toBeGreaterThanOrEqual(0);
  expect(shard).toBeLessThan(queueLimits.shards);
  expect(await tickets(job.id)).toEqual([
    {
      payload: { org: tenantA.orgId, job: job.id },
      queue: `quick-${shard}`,
      flags: { quick: true, [`shard-${shard}`]: true },
    },
  ]);
});

test('neither exists when the transaction that caused it fails', async () => {
  const job = newJob();
  await expect(enqueue(tenantA.orgId, job, [{ text: 'select 1 / 0' }])).rejects.toThrow('division by zero');
  expect((await owner.query('select from kymo.job where id = $1', [job.id])).rowCount).toBe(0);
  expect(await tickets(job.id)).toEqual([]);
});

test('without an organisation nothing can be asked for', async () => {
  await expect(pools.app.run(enqueueStatements(newJob()))).rejects.toMatchObject({ code: '42501' });
});

test('the same key is the same job, and refuses another', async () => {
  const job = newJob({ idempotencyKey: 'once', input: { a: 1 } });
  expect(await enqueue(tenantA.orgId, job)).toEqual({ id: job.id, is_new: true });
  expect(await enqueue(tenantA.orgId, { ...job, id: uuidv7(systemClock) })).toEqual({
    id: job.id,
    is_new: false,
  });
  await expect(
    enqueue(tenantA.orgId, { ...job, id: uuidv7(systemClock), input: { a: 2 } }),
  ).rejects.toMatchObject({ code: 'conflict' });
  // Another organisation's keys are its own.
  expect(await enqueue(tenantB.orgId, { ...job, id: uuidv7(systemClock) })).toMatchObject({ is_new: true });
});

test('two that ask at once under one key get one job', async () => {
  const job = newJob({ idempotencyKey: 'at once' });
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => enqueue(tenantA.orgId, { ...job, id: uuidv7(systemClock) })),
  );
  expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
  expect(answers.filter((answer) => answer.is_new)).toHaveLength(1);
});

test('a job that waits already stands for another of its key', async () => {
  const first = newJob({ coalesceKey: 'summary' });
  await enqueue(tenantA.orgId, first);
  expect(await enqueue(tenantA.orgId, newJob({ coalesceKey: 'summary' }))).toEqual({
    id: first.id,
    is_new: false,
  });
});

test('a job about a foreign session or patient is refused', async () => {
  const sessionId = await makeSession(tenantB.orgId);
  await expect(enqueue(tenantA.orgId, newJob({ sessionId }))).rejects.toMatchObject({ code: 'not-found' });
  await expect(enqueue(tenantA.orgId, newJob({ patientId: uuidv7(systemClock) }))).rejects.toMatchObject({
    code: 'not-found',
  });
  expect(await enqueue(tenantB.orgId, newJob({ sessionId }))).toMatchObject({ is_new: true });
});

test('a patient’s scope cannot ask for what is not its own', async () => {
  const sessionId = await makeSession(tenantA.orgId);
  const scope = { orgId: tenantA.orgId, patientId: uuidv7(systemClock) };
  await expect(enqueue(scope, newJob({ sessionId }))).rejects.toMatchObject({ code: 'not-found' });
  await expect(enqueue(scope, newJob())).rejects.toMatchObject({ code: 'not-found' });
});

test('beyond the named maximum of open jobs the next is refused, and whoever has few waiting goes first', async () => {
  const { orgId } = await createTenant(database.ownerUrl, pools, 'C');
  for (let i = 0; i < 5; i++) await enqueue(orgId, newJob({ most: 5 }));
  await expect(enqueue(orgId, newJob({ most: 5 }))).rejects.toMatchObject({
    code: 'rate-limited',
    temporary: true,
  });
  const { rows } = await owner.query<{ priority: number }>(
    'select priority from kymo.job where org_id = $1 order by created_at',
    [orgId],
  );
  expect(rows.map((row) => row.priority)).toEqual([0, 1, 2, 3, 4]);
});

test('the queue is closed to the application, and the tables to the runner', async () => {
  for (const table of ['_private_jobs', '_private_job_queues', 'jobs'])
    await expect(pools.app.run([{ text: `select from graphile_worker.${table}` }])).rejects.toMatchObject({
      code: '42501',
    });
  for (const call of [
    'kymo.mend_jobs(1)',
    'kymo.job_backlog()',
    'kymo.expire_jobs(1, 1)',
    'kymo.job_organisations()',
  ])
    await expect(pools.app.run([{ text: `select ${call}` }])).rejects.toMatchObject({ code: '42501' });
  for (const table of ['job', 'job_file_part', 'session', 'patient', 'organisation'])
    await expect(runner.query(`select from kymo.${table}`)).rejects.toMatchObject({ code: '42501' });
  const { rows } = await runner.query<{ bypass: boolean }>(
    `select rolsuper or rolbypassrls or rolcreaterole as bypass from pg_roles where rolname = current_user`,
  );
  expect(rows).toEqual([{ bypass: false }]);
  await expect(
    runner.query(`select * from kymo.enqueue(gen_random_uuid(), 'x', '{}', '{}')`),
  ).rejects.toMatchObject({
    code: '42501',
  });
});

test('an organisation neither sees, changes nor removes a job of another', async () => {
  const job = newJob();
  await enqueue(tenantA.orgId, job);
  for (const text of [
    'select from kymo.job where id = $1',
    `update kymo.job set state = 'cancelled' where id = $1`,
    'delete from kymo.job where id = $1',
  ]) {
    const [result] = await runAsOrg(pools.app, tenantB.orgId, {
      statements: [{ text, values: [job.id] }],
      mode: 'change',
    });
    expect(result!.rowCount).toBe(0);
  }
  await runAsOrg(pools.app, tenantB.orgId, {
    statements: [{ text: 'select kymo.requeue($1)', values: [job.id] }],
    mode: 'change',
  });
  expect(await tickets(job.id)).toHaveLength(1);
});

test('a ticket that is missing is made again, and what a lost runner held is free', async () => {
  const missing = newJob();
  const held = newJob();
  await enqueue(tenantA.orgId, missing);
  await enqueue(tenantA.orgId, held);
  await owner.query('delete from graphile_worker._private_jobs where key = $1', [missing.id]);
  await owner.query(
    `update graphile_worker._private_jobs set locked_at = now() - interval '1 minute', locked_by = 'gone' where key = $1`,
    [held.id],
  );
  await owner.query(
    `update kymo.job set state = 'running', runner = 'gone', run_id = gen_random_uuid(),
       lease_until = now() - interval '1 s' where id = $1`,
    [held.id],
  );
  await runner.query('select kymo.mend_jobs(30000)');
  expect(await tickets(missing.id)).toHaveLength(1);
  const { rows } = await owner.query(
    `select j.state, t.locked_by from kymo.job j join graphile_worker._private_jobs t on t.key = j.id::text where j.id = $1`,
    [held.id],
  );
  expect(rows).toEqual([{ state: 'queued', locked_by: null }]);
});

test('the lease of a runner that lives protects what it holds', async () => {
  const held = newJob();
  await enqueue(tenantA.orgId, held);
  await owner.query(
    `update graphile_worker._private_jobs set locked_at = now() - interval '1 minute', locked_by = 'alive' where key = $1`,
    [held.id],
  );
  await owner.query(
    `update kymo.job set state = 'running', runner = 'alive', run_id = gen_random_uuid(),
       lease_until = now() + interval '10 s' where id = $1`,
    [held.id],
  );
  await runner.query('select kymo.mend_jobs(30000)');
  const { rows } = await owner.query('select locked_by from graphile_worker._private_jobs where key = $1', [
    held.id,
  ]);
  expect(rows).toEqual([{ locked_by: 'alive' }]);
});

test('the schema of the queue is that of the installed graphile-worker', async () => {
  const { rows } = await owner.query<{ id: number }>('select max(id) as id from graphile_worker.migrations');
  expect(rows[0]!.id).toBe(QUEUE_SCHEMA_VERSION);
  const module = new URL('../../node_modules/graphile-worker/dist/generated/sql.js', import.meta.url);
  const newest = [...readFileSync(module, 'utf8').matchAll(/"(\d{6})\.sql"/g)].map((match) =>
    Number(match[1]),
  );
  expect(Math.max(...newest)).toBe(QUEUE_SCHEMA_VERSION);
});
