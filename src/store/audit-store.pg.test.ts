import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openAuditStore, type AuditStore } from '#store/audit-store.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const orgA = '01900000-0000-7000-8000-00000000000a';
const orgB = '01900000-0000-7000-8000-00000000000b';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let store: AuditStore;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  store = openAuditStore(pools.auditUrl);
});

afterAll(async () => {
  await store.close();
  await pools.close();
  await owner.end();
  await database.drop();
});

function entry(org: string, more: object = {}): object {
  const who = {
    org,
    at: Date.now() * 1000,
    kind: 'user',
    role: 'clinician',
    actor: 'someone',
    address: '::1',
  };
  const what = { request: null, action: 'session.read', route: 'GET /v1/sessions', status: 200 };
  return { ...who, ...what, patient: null, of: null, id: null, patients: null, ...more };
}

test('nobody but the owner changes, removes or reads past its own what was recorded', async () => {
  await store.append(JSON.stringify([entry(orgA), entry(orgB)]));
  const audit = openTestPool(pools.auditUrl);
  const app = openTestPool(pools.appUrl);
  for (const attempt of [
    'update kymo.audit_entry set actor = $$nobody$$',
    'delete from kymo.audit_entry',
    'truncate kymo.audit_entry',
    'delete from kymo.audit_block',
    'update kymo.audit_block set hash = previous',
    'update kymo.audit_standing set sealed_to = 0',
    'insert into kymo.audit_entry (org_id) values (gen_random_uuid())',
  ])
    for (const role of [audit, app])
      await expect(role.query(attempt), attempt).rejects.toThrow('permission denied');
  await expect(audit.query('select from kymo.audit_entry')).rejects.toThrow('permission denied');
  await expect(app.query(`select kymo.audit_append('[]')`)).rejects.toThrow('permission denied');
  await expect(app.query('select kymo.audit_expire(1, 1)')).rejects.toThrow('permission denied');
  const { rows } = await app.query(
    `select org_id from kymo.audit_entry, set_config('kymo.org', $1, false) where kymo.current_org() is not null`,
    [orgA],
  );
  expect(rows.every((row: { org_id: string }) => row.org_id === orgA)).toBe(true);
  await Promise.all([audit.end(), app.end()]);
});

test('a mistake of the owner is refused too', async () => {
  await store.seal(100);
  for (const attempt of [
    'delete from kymo.audit_entry',
    'update kymo.audit_block set row_count = 1',
    'truncate kymo.audit_entry',
  ])
    await expect(owner.query(attempt), attempt).rejects.toThrow('only added to');
});

test('blocks hold every row once, are chained, and none waits', async () => {
  const many = Array.from({ length: 2_500 }, (_, i) => entry(i % 5 === 0 ? orgB : orgA));
  await store.append(JSON.stringify(many));
  const first = await store.seal(1_000);
  expect(first).toMatchObject({ sealed: 1_000 });
  expect(first.unsealed).toBeGreaterThan(1_400);
  while ((await store.seal(1_000)).unsealed > 0);
  const { rows } = await owner.query<{ isWhole: boolean; isChained: boolean; n: string }>(`
    select (select array_agg(id order by id) from kymo.audit_entry)
             = (select array_agg(id order by id) from kymo.audit_block, unnest(ids) id) as "isWhole",
           (select bool_and(previous = coalesce(before, decode(repeat('00', 32), 'hex'))) from (
              select previous, lag(hash) over (partition by org_id order by number) as before from kymo.audit_block) b)
             as "isChained",
           (select max(row_count) from kymo.audit_block)::text as n`);
  expect(rows).toEqual([{ isWhole: true, isChained: true, n: expect.any(String) }]);
  expect(Number(rows[0]!.n)).toBeLessThanOrEqual(1_024);
});

test('what is committed late with a low id is not left out of its block', async () => {
  const slow = openTestPool(pools.auditUrl);
  const client = await slow.connect();
  await client.query('begin');
  await client.query('select kymo.audit_append($1::json)', [
    JSON.stringify([entry(orgA, { actor: 'late' })]),
  ]);
  await store.append(JSON.stringify([entry(orgA, { actor: 'soon' })]));
  // The one under way holds the horizon back.
  expect((await store.seal(100)).sealed).toBe(0);
  await client.query('commit');
  client.release();
  await slow.end();
  expect(await store.seal(100)).toEqual({ sealed: 2, unsealed: 0 });
});

test('whose a session is, is looked up with the entry', async () => {
  const [patient, session] = ['01900000-0000-7000-8000-0000000000c1', '01900000-0000-7000-8000-0000000000c2'];
  await owner.query(`insert into kymo.organisation (id, name) values ($1, 'A')`, [orgA]);
  await owner.query(`insert into kymo.patient (id, org_id, code) values ($1, $2, 'P1')`, [patient, orgA]);
  await owner.query(`insert into kymo.session (id, org_id, patient_id) values ($1, $2, $3)`, [
    session,
    orgA,
    patient,
  ]);
  const about = { of: 'session', id: session, actor: 'asker' };
  await store.append(JSON.stringify([entry(orgA, about), entry(orgB, about)]));
  const { rows } = await owner.query(
    `select org_id as org, patient_id as patient from kymo.audit_entry where actor = 'asker' order by id`,
  );
  expect(rows).toEqual([
    { org: orgA, patient },
    { org: orgB, patient: null },
  ]);
});

test('retention takes the rows of old blocks and leaves the chain; a year is kept whatever is asked', async () => {
  while ((await store.seal(10_000)).unsealed > 0);
  expect(await store.expire(0, 100)).toBe(0);
  await owner.query('alter table kymo.audit_block disable trigger only_added_to');
  await owner.query(
    `update kymo.audit_block set sealed_at = now() - interval '400 days' where number = 1 and org_id = $1`,
    [orgA],
  );
  await owner.query('alter table kymo.audit_block enable trigger only_added_to');
  expect(await store.expire(500, 100)).toBe(0);
  expect(await store.expire(365, 100)).toBe(1);
  const { rows } = await owner.query(
    `select ids, digests, (select count(*)::int from kymo.audit_entry e where e.org_id = b.org_id and e.id <= b.last_id) as left
       from kymo.audit_block b where number = 1 and org_id = $1`,
    [orgA],
  );
  expect(rows).toEqual([{ ids: null, digests: null, left: 0 }]);
});

test('whose a job is, is that of its session where it has no patient of its own', async () => {
  const [session, job] = ['01900000-0000-7000-8000-0000000000c2', '01900000-0000-7000-8000-0000000000d1'];
  await owner.query(
    `insert into kymo.job (id, org_id, kind, input, lane, shard, priority, session_id, max_attempts)
     values ($1, $2, 'session-report', '{}', 'slow', 0, 0, $3, 1)`,
    [job, orgA, session],
  );
  await store.append(JSON.stringify([entry(orgA, { of: 'job', id: job, actor: 'a job' })]));
  const { rows } = await owner.query(
    `select patient_id as patient from kymo.audit_entry where actor = 'a job'`,
  );
  expect(rows).toEqual([{ patient: '01900000-0000-7000-8000-0000000000c1' }]);
});

test('what is said of a patient stays when everything of the patient is removed', async () => {
  const about = `select count(*)::int as n from kymo.audit_entry where patient_id = '01900000-0000-7000-8000-0000000000c1'`;
  const before = await owner.query<{ n: number }>(about);
  expect(before.rows[0]!.n).toBeGreaterThan(0);
  await owner.query('delete from kymo.job; delete from kymo.session; delete from kymo.patient');
  expect((await owner.query(about)).rows).toEqual(before.rows);
});
