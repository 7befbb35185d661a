/** What is left of a job whose process dies in the middle of it, on a real PostgreSQL and with real signals. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { jobLimits } from '#jobs/job-limits.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { enqueueTestJob, jobRow, startTestRunner, testTask } from '#test/support/job-runner.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const entry = fileURLToPath(new URL('../support/job-process.ts', import.meta.url));
/** Lease, the look after it, and some for a busy machine. */
const takenOver = { timeout: jobLimits.leaseMs + jobLimits.mendMs + 20_000, interval: 200 };

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let victim: ChildProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
});

afterAll(async () => {
  victim.kill('SIGKILL');
  await pools.close();
  await owner.end();
  await database.drop();
});

async function beginInVictim(): Promise<string> {
  victim = spawn(process.execPath, [entry, database.ownerUrl], { stdio: ['ignore', 'pipe', 'inherit'] });
  const id = await enqueueTestJob(pools, tenant.orgId, { maxAttempts: 2 });
  const [said] = (await once(victim.stdout!, 'data')) as [Buffer];
  expect(String(said)).toBe('half\n');
  return id;
}

const insert = {
  text: `insert into kymo.session (id, org_id, label) values (gen_random_uuid(), kymo.current_org(), 'effect')`,
};

test('a job survives the kill -9 of its process, is done by another, and its effect is there once', async () => {
  const id = await beginInVictim();
  victim.kill('SIGKILL');
  await once(victim, 'exit');
  const attempts: number[] = [];
  const runner = startTestRunner(pools, [
    testTask(async ({ job, store }) => {
      attempts.push(job.attempt);
      await store({ name: 'whole.bin', type: 'application/octet-stream' }, [Buffer.from('whole')]);
      return { statements: [insert] };
    }),
  ]);
  await expect.poll(async () => (await jobRow(pools, tenant.orgId, id))?.['state'], takenOver).toBe('done');
  await runner.stop();
  expect(attempts).toEqual([2]);
  expect(await jobRow(pools, tenant.orgId, id)).toMatchObject({ file_name: 'whole.bin', file_bytes: 5 });
  // What the dead one had stored is gone.
  expect((await owner.query('select part from kymo.job_file_part')).rows).toEqual([{ part: 0 }]);
  expect((await owner.query(`select from kymo.session where label = 'effect'`)).rowCount).toBe(1);
  expect((await owner.query('select from graphile_worker._private_jobs')).rowCount).toBe(0);
  expect(
    (await owner.query('select from graphile_worker._private_job_queues where locked_at is not null'))
      .rowCount,
  ).toBe(0);
});

test('a process that was only stopped finds on waking that its job is another’s, and changes nothing', async () => {
  const id = await beginInVictim();
  victim.kill('SIGSTOP');
  const runner = startTestRunner(pools, [testTask(async () => ({ statements: [insert] }))]);
  await expect.poll(async () => (await jobRow(pools, tenant.orgId, id))?.['state'], takenOver).toBe('done');
  const before = await jobRow(pools, tenant.orgId, id);
  victim.kill('SIGCONT');
  // Long enough for its next renewal.
  const next = await enqueueTestJob(pools, tenant.orgId, { delayMs: 2 * jobLimits.renewMs });
  await expect
    .poll(async () => (await jobRow(pools, tenant.orgId, next))?.['state'], takenOver)
    .toMatch(/done|running/);
  expect(await jobRow(pools, tenant.orgId, id)).toEqual(before);
  await runner.stop();
});
