import { setTimeout as delay } from 'node:timers/promises';

import type pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';

import { AppError } from '#base/errors.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { jobLimits } from '#jobs/job-limits.ts';
import { readFileParts } from '#jobs/result-file.ts';
import type { RunnerOptions } from '#jobs/runner.ts';
import type { Task } from '#jobs/task.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import {
  enqueueTestJob,
  jobRow,
  startTestRunner,
  testTask,
  type TestRunner,
} from '#test/support/job-runner.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let other: Tenant;
const runners: TestRunner[] = [];
const wait = { timeout: 10_000, interval: 20 };

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  other = await createTenant(database.ownerUrl, pools, 'B');
});

afterEach(async () => {
  await Promise.all(runners.splice(0).map((runner) => runner.stop()));
  await owner.query('delete from kymo.job');
  await owner.query('delete from graphile_worker._private_jobs');
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

function start(tasks: readonly Task[], overrides: Partial<RunnerOptions> = {}): TestRunner {
  const runner = startTestRunner(pools, tasks, overrides);
  runners.push(runner);
  return runner;
}

const stateOf = async (id: string): Promise<unknown> => (await jobRow(pools, tenant.orgId, id))?.['state'];
const ticketsLeft = async (): Promise<number> =>
  (await owner.query('select from graphile_worker._private_jobs')).rowCount ?? 0;

test('a job is done, told of, and leaves no ticket', async () => {
  const runner = start([
    testTask(async ({ job, input, report }) => {
      report(0.5, 'half of it');
      return { result: { saw: input['n'], attempt: job.attempt, org: job.orgId } };
    }),
  ]);
  const id = await enqueueTestJob(pools, tenant.orgId, { input: { n: 7 }, requestedBy: 'me' });
  await expect.poll(() => stateOf(id), wait).toBe('done');
  expect(await jobRow(pools, tenant.orgId, id)).toMatchObject({
    progress: 1,
    stage: '',
    attempts: 1,
    result: { saw: 7, attempt: 1, org: tenant.orgId },
    lease_until: null,
  });
  await expect.poll(ticketsLeft, wait).toBe(0);
  await expect.poll(() => runner.news.map(({ state }) => state), wait).toEqual(['running', 'done']);
  expect(runner.counters.kinds['test-task']).toMatchObject({ ends: { done: 1 } });
});

test('a failure is tried again, and what fails at every attempt is kept with its reason', async () => {
  let runs = 0;
  start([
    testTask(async () => {
      runs++;
      throw new AppError('unreachable', 'nobody answers', { temporary: true });
    }),
  ]);
  const id = await enqueueTestJob(pools, tenant.orgId, { maxAttempts: 3 });
  await expect.poll(() => stateOf(id), wait).toBe('failed');
  expect(runs).toBe(3);
  expect(await jobRow(pools, tenant.orgId, id)).toMatchObject({
    attempts: 3,
    error_code: 'unreachable',
    error_detail: 'nobody answers',
  });
  await expect.poll(ticketsLeft, wait).toBe(0);
});

test('what no other attempt would change fails at once, and a bug tells nothing of itself', async () => {
  start([
    testTask(async ({ input }) => {
      if (input['bug'] === true) throw new Error('secret text');
      throw new AppError('not-found', 'there is nothing to export');
    }),
  ]);
  const missing = await enqueueTestJob(pools, tenant.orgId);
  const bug = await enqueueTestJob(pools, tenant.orgId, { input: { bug: true }, maxAttempts: 1 });
  await expect.poll(() => stateOf(missing), wait).toBe('failed');
  expect(await jobRow(pools, tenant.orgId, missing)).toMatchObject({ attempts: 1, error_code: 'not-found' });
  await expect.poll(() => stateOf(bug), wait).toBe('failed');
  const row = await jobRow(pools, tenant.orgId, bug);
  expect(row).toMatchObject({ error_code: 'internal' });
  expect(JSON.stringify(row)).not.toContain('secret text');
});

test('what a job changes commits with its end, once', async () => {
  let runs = 0;
  const insert = (label: string) => ({
    text: 'insert into kymo.session (id, org_id, label) values (gen_random_uuid(), $1, $2)',
    values: [tenant.orgId, label],
  });
  start([
    testTask(async () => {
      runs++;
      // The second statement fails the first time, and takes the first with it.
      return { statements: [insert('once'), ...(runs === 1 ? [{ text: 'select 1 / 0' }] : [])] };
    }),
  ]);
  const id = await enqueueTestJob(pools, tenant.orgId);
  await expect.poll(() => stateOf(id), wait).toBe('done');
  expect(runs).toBe(2);
  expect((await owner.query(`select from kymo.session where label = 'once'`)).rowCount).toBe(1);
});

test('a file comes in pieces, is read back byte for byte, and those of failed attempts are gone', async () => {
  const content = Buffer.alloc(2 * jobLimits.pieceBytes + 12_345, 1);
  for (let i = 0; i < content.length; i += 1000) content.writeUInt8(i % 251, i);
  start([
    testTask(async ({ job, store }) => {
      await store({ name: 'a.bin', type: 'application/octet-stream' }, [
        content.subarray(0, 700_000),
        content.subarray(700_000, 700_001),
        content.subarray(700_001),
      ]);
      if (job.attempt === 1) throw new Error('after the file');
    }),
  ]);
  const id = await enqueueTestJob(pools, tenant.orgId);
  await expect.poll(() => stateOf(id), wait).toBe('done');
  const row = (await jobRow(pools, tenant.orgId, id))!;
  expect(row).toMatchObject({ file_name: 'a.bin', file_bytes: content.length });
  const runId = row['file_run'] as string;
  const pieces: Uint8Array[] = [];
  const scope = { orgId: tenant.orgId, patientId: null };
  for await (const piece of readFileParts(pools.app, scope, { jobId: id, runId, bytes: content.length }))
    pieces.push(piece);
  expect(Buffer.concat(pieces).equals(content)).toBe(true);
  const { rows } = await owner.query(
    'select count(distinct run_id)::integer as runs from kymo.job_file_part',
  );
  expect(rows).toEqual([{ runs: 1 }]);
  // Another organisation reads none of it.
  const foreign = { orgId: other.orgId, patientId: null };
  await expect(
    readFileParts(pools.app, foreign, { jobId: id, runId, bytes: 1 }).next(),
  ).rejects.toMatchObject({ code: 'erased' });
});

const askToCancel = (id: string): Promise<unknown> =>
  runAsOrg(pools.app, tenant.orgId, {
    statements: [{ text: `update kymo.job set cancel_asked_at = now() where id = $1`, values: [id] }],
    mode: 'change',
  });

test('a job that is cancelled while it runs stops, and stores nothing more', async () => {
  const began = Promise.withResolvers<void>();
  start([
    testTask(async ({ signal, store }) => {
      await store({ name: 'a.txt', type: 'text/plain' }, [Buffer.from('a')]);
      began.resolve();
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    }),
  ]);
  const id = await enqueueTestJob(pools, tenant.orgId);
  await began.promise;
  await askToCancel(id);
  await expect.poll(() => stateOf(id), wait).toBe('cancelled');
  expect(await jobRow(pools, tenant.orgId, id)).toMatchObject({ attempts: 1, file_run: null });
});

test('a job that is cancelled before it begins never does; one that ends at that moment changes nothing', async () => {
  const release = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  let runs = 0;
  start([
    testTask(async () => {
      runs++;
      began.resolve();
      await release.promise;
      return {
        statements: [
          {
            text: `insert into kymo.session (id, org_id, label) values (gen_random_uuid(), $1, 'too late')`,
            values: [tenant.orgId],
          },
        ],
      };
    }),
  ]);
  const running = await enqueueTestJob(pools, tenant.orgId);
  await began.promise;
  // The same queue: it waits until the first has ended.
  const waiting = await enqueueTestJob(pools, tenant.orgId);
  await askToCancel(waiting);
  await askToCancel(running);
  release.resolve();
  await expect.poll(() => stateOf(running), wait).toBe('cancelled');
  await expect.poll(() => stateOf(waiting), wait).toBe('cancelled');
  expect(runs).toBe(1);
  expect((await owner.query(`select from kymo.session where label = 'too late'`)).rowCount).toBe(0);
});

test('a run that lost its job changes nothing', async () => {
  const began = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const runner = start([
    testTask(async ({ job, store }) => {
      if (job.attempt > 1) return;
      began.resolve();
      await release.promise;
      await store({ name: 'late.txt', type: 'text/plain' }, [Buffer.from('late')]);
    }),
  ]);
  const id = await enqueueTestJob(pools, tenant.orgId);
  await began.promise;
  await owner.query(`update kymo.job set run_id = gen_random_uuid() where id = $1`, [id]);
  release.resolve();
  await expect.poll(() => runner.counters.kinds['test-task']?.ends.lost, wait).toBe(1);
  expect(await jobRow(pools, tenant.orgId, id)).toMatchObject({ state: 'running', file_run: null });
  expect((await owner.query('select from kymo.job_file_part')).rowCount).toBe(0);
});

test('a runner that stops gives its job back at once, and the attempt does not count', async () => {
  const began = Promise.withResolvers<void>();
  let isFirst = true;
  const task = testTask(async ({ signal }) => {
    if (!isFirst) return;
    isFirst = false;
    began.resolve();
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  });
  const first = start([task]);
  const id = await enqueueTestJob(pools, tenant.orgId);
  await began.promise;
  await first.stop();
  expect(await jobRow(pools, tenant.orgId, id)).toMatchObject({ state: 'queued', attempts: 0, run_id: null });
  start([task]);
  await expect.poll(() => stateOf(id), wait).toBe('done');
  expect(await jobRow(pools, tenant.orgId, id)).toMatchObject({ attempts: 1 });
});

test('a runner that is stopped while it starts, or just after, ends in order and says nothing', async () => {
  const said = vi.spyOn(console, 'trace').mockImplementation(() => undefined);
  const connections = async (): Promise<number> =>
    (
      await owner.query(
        `select from pg_stat_activity where datname = current_database() and usename = 'kymo_jobs'`,
      )
    ).rowCount ?? 0;
  try {
    for (const afterMs of [0, 0, 5, 10, 20, 40, 80]) {
      const runner = startTestRunner(pools, [testTask(async () => undefined)]);
      await delay(afterMs);
      await runner.stop();
      await expect.poll(connections, wait).toBe(0);
    }
    expect(said).not.toHaveBeenCalled();
  } finally {
    said.mockRestore();
  }
});

test('jobs of one organisation come one after the other, and what is quick does not wait for what is slow', async () => {
  let atOnce = 0;
  let most = 0;
  const release = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  start([
    testTask(async () => {
      atOnce++;
      most = Math.max(most, atOnce);
      await new Promise((resolve) => setImmediate(resolve));
      atOnce--;
    }),
    testTask(
      async () => {
        began.resolve();
        await release.promise;
      },
      { kind: 'slow-task', lane: 'slow' },
    ),
  ]);
  const slow = await enqueueTestJob(pools, tenant.orgId, { kind: 'slow-task', lane: 'slow' });
  const slowToo = await enqueueTestJob(pools, other.orgId, { kind: 'slow-task', lane: 'slow' });
  await began.promise;
  const quick = await Promise.all(Array.from({ length: 10 }, () => enqueueTestJob(pools, tenant.orgId)));
  for (const id of quick) await expect.poll(() => stateOf(id), wait).toBe('done');
  expect(most).toBe(1);
  // With two workers there is one place for slow ones.
  expect(await stateOf(slow)).toBe('running');
  expect((await jobRow(pools, other.orgId, slowToo))?.['state']).toBe('queued');
  release.resolve();
  await expect.poll(async () => (await jobRow(pools, other.orgId, slowToo))?.['state'], wait).toBe('done');
});

test('whoever has many waiting does not keep another organisation waiting', async () => {
  const order: string[] = [];
  const many: string[] = [];
  for (let i = 0; i < 20; i++) many.push(await enqueueTestJob(pools, tenant.orgId));
  const one = await enqueueTestJob(pools, other.orgId);
  // Both in one queue, so that they could get in each other's way.
  await owner.query(
    `update graphile_worker._private_jobs set job_queue_id = (select min(job_queue_id) from graphile_worker._private_jobs)`,
  );
  start([
    testTask(async ({ job }) => {
      order.push(job.id);
    }),
  ]);
  for (const id of many) await expect.poll(() => stateOf(id), wait).toBe('done');
  expect(order.indexOf(one)).toBeLessThan(3);
});

test('a queue that is served elsewhere is left alone', async () => {
  const id = await enqueueTestJob(pools, tenant.orgId);
  const shard = (await jobRow(pools, tenant.orgId, id))!['shard'] as number;
  let runs = 0;
  const task = testTask(async () => void runs++);
  const elsewhere = start([task], { otherShards: [shard] });
  await expect.poll(() => elsewhere.counters.backlog['test-task']?.ready, wait).toBe(1);
  expect(runs).toBe(0);
  start([task]);
  await expect.poll(() => stateOf(id), wait).toBe('done');
});

test('a database that ends every connection holds up jobs and loses none', async () => {
  let runs = 0;
  start([
    testTask(async ({ input }) => {
      runs++;
      if (input['cut'] !== true) return;
      await owner.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where usename in ('kymo_app', 'kymo_jobs') and datname = $1`,
        [database.name],
      );
    }),
  ]);
  const cut = await enqueueTestJob(pools, tenant.orgId, { input: { cut: true } });
  await expect
    .poll(
      () =>
        owner
          .query('select state from kymo.job where id = $1', [cut])
          .then((r) => (r.rows[0] as { state: string }).state),
      wait,
    )
    .toBe('done');
  const next = await enqueueTestJob(pools, tenant.orgId).catch(() => enqueueTestJob(pools, tenant.orgId));
  await expect.poll(() => stateOf(next).catch(() => null), { timeout: 20_000, interval: 50 }).toBe('done');
  expect(runs).toBe(2);
}, 40_000);

test('a schedule is done by the clock, and its failure ends nothing', async () => {
  const runner = start([testTask(async () => undefined)], {
    schedules: [{ name: 'often', match: '* * * * *', run: () => Promise.reject(new Error('no')) }],
  });
  await owner.query(
    `select graphile_worker.add_job('schedule-often', json_build_object('_cron', json_build_object('ts', now())))`,
  );
  await expect.poll(ticketsLeft, wait).toBe(0);
  const id = await enqueueTestJob(pools, tenant.orgId);
  await expect.poll(() => stateOf(id), wait).toBe('done');
  expect(runner.counters.kinds['test-task']).toMatchObject({ ends: { done: 1 } });
});
