import type pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { digestSchedule } from '#jobs/digest-schedule.ts';
import { mailText } from '#jobs/mail/templates.ts';
import { addDigests } from '#store/digests.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { enqueueTestJob, jobRow, startTestRunner, testTask } from '#test/support/job-runner.ts';
import { createPerson } from '#test/support/people.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
/** Another server. */
let others: Pools;
let owner: pg.Pool;
let queue: pg.Pool;
let tenant: Tenant;
let quiet: Tenant;
const told: string[] = [];

const day = (text: string): Date => new Date(`${text}T05:20:00Z`);
const wait = { timeout: 10_000, interval: 20 };

interface MailRow {
  readonly kind: 'digest' | 'job-done';
  readonly recipient: string;
  readonly fields: Record<string, string | number>;
  readonly org_id: string;
}
const mails = async (): Promise<MailRow[]> =>
  (await owner.query<MailRow>('select kind, recipient, fields, org_id from kymo.mail order by recipient'))
    .rows;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  others = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  queue = openTestPool(pools.jobsUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  quiet = await createTenant(database.ownerUrl, pools, 'B');
  for (const role of ['owner', 'clinician', 'assistant'] as const) {
    const person = await createPerson(pools, { orgId: tenant.orgId, role });
    if (role !== 'assistant') told.push(person.email);
    await createPerson(pools, { orgId: quiet.orgId, role });
  }
  told.sort();
  for (const at of ['2026-03-01T00:00:00Z', '2026-03-01T23:59:59Z', '2026-03-02T00:00:00Z'])
    await owner.query(
      `insert into kymo.session (id, org_id, started_at, ended_at) values ($1, $2, $3::timestamptz - interval '1 hour', $3)`,
      [uuidv7(systemClock), tenant.orgId, at],
    );
});

afterEach(async () => {
  await owner.query('delete from kymo.mail');
  await owner.query('delete from kymo.digest');
  await owner.query('delete from kymo.job');
});

afterAll(async () => {
  await Promise.all([pools.close(), others.close()]);
  await Promise.all([owner.end(), queue.end()]);
  await database.drop();
});

test('a day is told once to each owner and clinician, whoever else does it at the same time or again', async () => {
  const now = day('2026-03-02');
  const added = await Promise.all(
    [pools, others, pools, others].map(({ app }) => addDigests(app, tenant.orgId, now)),
  );
  expect(added.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 2]);
  expect(await mails()).toEqual(
    told.map((recipient) => ({
      kind: 'digest',
      recipient,
      org_id: tenant.orgId,
      fields: { sessions: 2, reports: 0, failed: 0, webhooks: 0, path: '' },
    })),
  );
  // Sent, so gone, it is not made anew; neither is a day before.
  await owner.query('delete from kymo.mail');
  expect(await addDigests(pools.app, tenant.orgId, new Date('2026-03-02T23:20:00Z'))).toBe(0);
  expect(await addDigests(pools.app, tenant.orgId, day('2026-03-01'))).toBe(0);
  expect(await addDigests(pools.app, tenant.orgId, day('2026-03-03'))).toBe(2);
  expect((await mails()).map(({ fields }) => fields['sessions'])).toEqual([1, 1]);
});

test('what is cut off leaves nothing behind, and is done by the next', async () => {
  await owner.query(`alter table kymo.mail add constraint cut_off check (kind <> 'digest') not valid`);
  try {
    await expect(addDigests(pools.app, tenant.orgId, day('2026-03-02'))).rejects.toThrow('cut_off');
  } finally {
    await owner.query('alter table kymo.mail drop constraint cut_off');
  }
  expect(await addDigests(pools.app, tenant.orgId, day('2026-03-02'))).toBe(2);
});

test('the schedule goes through all organisations, and tells nobody where nothing happened', async () => {
  const clock = { ...systemClock, nowUs: () => day('2026-03-02').getTime() * 1000 };
  const schedule = digestSchedule({ app: pools.app, clock });
  await schedule.run(new AbortController().signal, queue);
  await schedule.run(new AbortController().signal, queue);
  expect((await mails()).map(({ recipient }) => recipient)).toEqual(told);
  const { rows } = await owner.query<{ count: number }>('select count(*)::int as count from kymo.digest');
  expect(rows).toEqual([{ count: 2 }]);
});

test('whoever asked for a slow job is told of its end when it took long, and nobody else', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const { promise: waited, resolve: goOn } = Promise.withResolvers<void>();
  const runner = startTestRunner(pools, [testTask(async () => waited, { lane: 'slow' })], {
    mailsEnds: true,
  });
  const ask = async (orgId: string, requestedBy: string): Promise<string> =>
    enqueueTestJob(pools, orgId, { lane: 'slow', requestedBy });
  try {
    const soon = await ask(tenant.orgId, person.id);
    const late = await ask(tenant.orgId, person.id);
    const byKey = await ask(tenant.orgId, tenant.orgId);
    const elsewhere = await ask(quiet.orgId, person.id);
    await owner.query(`update kymo.job set created_at = created_at - interval '2 minutes' where id <> $1`, [
      soon,
    ]);
    goOn();
    for (const [orgId, id] of [
      [tenant.orgId, soon],
      [tenant.orgId, late],
      [tenant.orgId, byKey],
      [quiet.orgId, elsewhere],
    ] as const)
      await expect.poll(async () => (await jobRow(pools, orgId, id))?.['state'], wait).toBe('done');
  } finally {
    await runner.stop();
  }
  const found = await mails();
  expect(found).toEqual([
    {
      kind: 'job-done',
      recipient: person.email,
      org_id: tenant.orgId,
      fields: { job: 'test-task', state: 'done', files: 0, path: 'jobs' },
    },
  ]);
  const text = mailText('job-done', found[0]!.fields, 'https://kymo.example.org/jobs').text;
  expect(text).toContain('The job test-task is done.');
  expect(text).not.toContain('seven days');
});
