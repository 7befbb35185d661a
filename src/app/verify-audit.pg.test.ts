import { createHash } from 'node:crypto';

import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { createAuditLog } from '#clinic/audit-log.ts';
import type { AuditEntry } from '#contract/audit.ts';
import { verifyAudit } from '#app/verify-audit-command.ts';
import { openAuditStore, type AuditStore } from '#store/audit-store.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const [orgA, orgB] = ['01900000-0000-7000-8000-00000000000a', '01900000-0000-7000-8000-00000000000b'];
const patient = '01900000-0000-7000-8000-0000000000c1';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let store: AuditStore;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  store = openAuditStore(pools.auditUrl);
  const log = createAuditLog({ store, clock: systemClock });
  // Three blocks of A, the second with more entries, and one of B; what is absent, long and foreign is among them.
  for (const [i, count] of [20, 1_500, 5].entries()) {
    await Promise.all(Array.from({ length: count }, (_, n) => log.record(entry(i * 10_000 + n))));
    while ((await store.seal(10_000)).unsealed > 0);
  }
  await owner.query('alter table kymo.audit_entry disable trigger all');
  await owner.query('alter table kymo.audit_block disable trigger all');
});

afterAll(async () => {
  await store.close();
  await pools.close();
  await owner.end();
  await database.drop();
});

// Whoever can do this owns the database; each test starts from the same log.
beforeEach(async () => {
  await owner.query('create table public.entries as table kymo.audit_entry');
  await owner.query('create table public.blocks as table kymo.audit_block');
  return async () => {
    await owner.query(`delete from kymo.audit_entry; delete from kymo.audit_block;
      insert into kymo.audit_entry overriding system value select * from public.entries;
      insert into kymo.audit_block select * from public.blocks;
      drop table public.entries, public.blocks`);
  };
});

function entry(n: number): AuditEntry {
  return {
    orgId: n % 7 === 0 ? orgB : orgA,
    actor: { kind: 'token', role: 'service', subject: n % 2 === 0 ? 'Zoë, 3:x,' : String(n) },
    action: 'patient.read',
    route: 'GET /v1/patients/:id',
    requestId: n % 3 === 0 ? null : patient,
    patientId: n % 2 === 0 ? patient : null,
    resource: n % 5 === 0 ? { kind: 'notes', id: patient } : null,
    ...(n % 4 === 0 ? { patients: n % 8 === 0 ? [] : [patient, orgA] } : {}),
    status: n % 6 === 0 ? null : 200,
    address: n % 9 === 0 ? null : '2001:db8::1',
  };
}

async function findings(): Promise<string[]> {
  const { findings: found } = await verifyAudit(owner, []);
  return found.map(
    ({ orgId, block, entry: id, what }) => `${orgId === orgA ? 'A' : 'B'} ${block} ${id}: ${what}`,
  );
}

/** The nth entry of A; `where`: of those. In which order they were recorded is not said. */
async function idOf(n: number, where = 'true'): Promise<string> {
  const { rows } = await owner.query<{ id: string }>(
    `select id::text as id from kymo.audit_entry e where org_id = $1 and ${where} order by e.id offset $2 limit 1`,
    [orgA, n],
  );
  return rows[0]!.id;
}

test('what nobody touched is as it was sealed: two programs compute the same', async () => {
  const verified = await verifyAudit(owner, []);
  expect(verified).toMatchObject({ entries: 1_525, count: 0, findings: [] });
  expect(verified.heads.map(({ orgId }) => orgId)).toEqual([orgA, orgB]);
  expect(verified.blocks).toBeGreaterThanOrEqual(6);
});

test.each([
  `actor = 'nobody'`,
  `patient_id = null`,
  `status = 403`,
  `patients = array[org_id]`,
  `at = at + interval '1 microsecond'`,
  `address = '10.0.0.1'`,
])('one entry with %s is found, and named', async (change) => {
  // One that each of these changes.
  const id = await idOf(100, 'patient_id is not null and status = 200 and patients is null');
  await owner.query(`update kymo.audit_entry set ${change} where id = $1`, [id]);
  expect(await findings()).toEqual([expect.stringMatching(new RegExp(`^A [23] ${id}: entry changed$`))]);
});

test('an entry that was removed, and one that was added, are found', async () => {
  const [gone, next] = [await idOf(3), await idOf(5)];
  await owner.query('delete from kymo.audit_entry where id = $1', [gone]);
  await owner.query(
    `insert into kymo.audit_entry (id, org_id, at, actor_kind, actor_role, actor, action, route) overriding system value
     values ($1, $2, now(), 'user', 'owner', 'x', 'patient.read', 'x')`,
    [gone, orgB],
  );
  expect(await findings()).toEqual([`A 1 ${gone}: entry missing`, `B 1 ${gone}: entry added`]);
  expect(Number(next)).toBeGreaterThan(Number(gone));
});

test('two entries that changed places are found', async () => {
  const [a, b] = [await idOf(2), await idOf(4)];
  await owner.query(
    `update kymo.audit_entry e set actor = o.actor, at = o.at, request_id = o.request_id, patient_id = o.patient_id,
            resource_kind = o.resource_kind, resource_id = o.resource_id, patients = o.patients, status = o.status,
            address = o.address
       from public.entries o where e.id in ($1, $2) and o.id in ($1, $2) and o.id <> e.id`,
    [a, b],
  );
  expect(await findings()).toEqual([`A 1 ${a}: entry changed`, `A 1 ${b}: entry changed`]);
});

test('an entry that was changed together with its block breaks the chain, or shows in a kept head', async () => {
  const id = await idOf(0);
  await owner.query(`update kymo.audit_entry set actor = 'nobody' where id = $1`, [id]);
  const { heads } = await verifyAudit(owner, []);
  await owner.query(`
    update kymo.audit_block set digests = (
      select string_agg(kymo.audit_digest(e), '' order by e.id) from kymo.audit_entry e where e.id = any (ids)) where number = 1;
    update kymo.audit_block set content = sha256(digests) where number = 1;
    update kymo.audit_block set hash = sha256(convert_to(kymo.audit_field('kymo audit 1') || kymo.audit_field(org_id::text)
      || kymo.audit_field(number::text) || kymo.audit_field(first_id::text) || kymo.audit_field(last_id::text)
      || kymo.audit_field(row_count::text) || kymo.audit_field(kymo.audit_us(sealed_at))
      || kymo.audit_field(encode(previous, 'hex')) || kymo.audit_field(encode(content, 'hex')), 'UTF8')) where number = 1`);
  expect(await findings()).toEqual(['A 2 null: chain broken']);
  const kept = { orgId: orgA, block: 1, hash: createHash('sha256').update('another').digest('hex') };
  const { findings: found } = await verifyAudit(owner, [kept, ...heads]);
  expect(found.map(({ what }) => what)).toEqual(['head changed', 'chain broken']);
});

test('a block that was removed, and two that changed places, are found', async () => {
  await owner.query('delete from kymo.audit_block where org_id = $1 and number = 2', [orgA]);
  const found = await findings();
  expect(found[0]).toBe('A 2 null: block missing');
  await owner.query(
    `insert into kymo.audit_block select * from public.blocks where number = 2 and org_id = '${orgA}'`,
  );
  await owner.query(`
    update kymo.audit_block set number = 100 where org_id = '${orgA}' and number = 2;
    update kymo.audit_block set number = 2 where org_id = '${orgA}' and number = 3;
    update kymo.audit_block set number = 3 where org_id = '${orgA}' and number = 100`);
  const swapped = await findings();
  expect(swapped).toContain('A 2 null: block changed');
  expect(swapped).toContain('A 2 null: chain broken');
});

test('an end that was cut off shows by its entries, or, where they are gone too, by a kept head', async () => {
  const { heads } = await verifyAudit(owner, []);
  const last = heads.find(({ orgId }) => orgId === orgA)!;
  const [block] = (
    await owner.query<{ ids: string[] }>(
      'delete from kymo.audit_block where org_id = $1 and number = $2 returning ids::text[] as ids',
      [orgA, last.block],
    )
  ).rows;
  expect(await findings()).toEqual(block!.ids.map((id) => `A null ${id}: block missing`));
  await owner.query('delete from kymo.audit_entry where id = any ($1)', [block!.ids]);
  expect(await findings()).toEqual([]);
  const { findings: found } = await verifyAudit(owner, heads);
  expect(found).toEqual([{ orgId: orgA, block: last.block, entry: null, what: 'head missing' }]);
});

test('what retention took leaves a chain that still holds', async () => {
  await owner.query(`update kymo.audit_block set ids = null, digests = null where number = 1`);
  await owner.query(
    `delete from kymo.audit_entry e using public.blocks b where b.number = 1 and e.id = any (b.ids)`,
  );
  expect(await findings()).toEqual([]);
  await owner.query(
    `insert into kymo.audit_entry overriding system value select * from public.entries where id = (select min(id) from public.entries)`,
  );
  expect(await findings()).toEqual([expect.stringMatching(/entry added/)]);
});
