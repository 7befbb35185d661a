import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { createAuditLog, type AuditLog } from '#clinic/audit-log.ts';
import { createAuditRecords, type AuditRecords } from '#clinic/audit-records.ts';
import type { AuditEntry } from '#contract/audit.ts';
import type { Principal } from '#contract/principal.ts';
import { openAuditStore, type AuditStore } from '#store/audit-store.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';

const [orgA, orgB] = ['01900000-0000-7000-8000-00000000000a', '01900000-0000-7000-8000-00000000000b'];
const [anna, ben] = ['01900000-0000-7000-8000-0000000000c1', '01900000-0000-7000-8000-0000000000c2'];

const owner: Principal = {
  kind: 'user',
  orgId: orgA,
  subject: 'the owner',
  role: 'owner',
  patientId: null,
  permissions: null,
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: null,
};

let database: TestDatabase;
let pools: Pools;
let store: AuditStore;
let log: AuditLog;
let records: AuditRecords;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  store = openAuditStore(pools.auditUrl);
  log = createAuditLog({ store, clock: systemClock });
  records = createAuditRecords(pools.app);
  // One commit each, so that each has a time of its own.
  for (let i = 0; i < 30; i++) await log.record(entry({ patientId: i % 3 === 0 ? anna : ben }));
  await log.record(
    entry({ actor: { kind: 'access', role: 'service', subject: 'a key' }, patients: [anna, ben] }),
  );
  await log.record(entry({ orgId: orgB, patientId: anna, patients: [anna] }));
});

afterAll(async () => {
  await store.close();
  await pools.close();
  await database.drop();
});

function entry(changes: Partial<AuditEntry>): AuditEntry {
  return {
    orgId: orgA,
    actor: { kind: 'user', role: 'clinician', subject: 'somebody' },
    action: 'patient.read',
    route: 'GET /v1/patients/:id',
    requestId: null,
    patientId: null,
    resource: null,
    status: 200,
    address: '127.0.0.1',
    ...changes,
  };
}

const everything = { limit: 100, cursor: null, patientId: null, actor: null, from: null, to: null };

async function count(filter: object): Promise<number> {
  return (await records.list(owner, { ...everything, ...filter }))!.entries.length;
}

test('pages follow each other, newest first, without a gap or a repeat, and end', async () => {
  for (const filter of [{}, { patientId: anna }, { actor: 'somebody' }]) {
    const whole = await records.list(owner, { ...everything, ...filter });
    const ids: number[] = [];
    let cursor: string | null = null;
    do {
      const page = await records.list(owner, { ...everything, ...filter, limit: 4, cursor });
      expect(page!.entries.length).toBeLessThanOrEqual(4);
      ids.push(...page!.entries.map(({ id }) => id));
      cursor = page!.next;
    } while (cursor !== null);
    expect(ids).toEqual(whole!.entries.map(({ id }) => id));
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
  }
});

test('a patient’s entries are those about it and the lists that showed it, of one organisation', async () => {
  expect(await count({})).toBe(31);
  expect(await count({ patientId: anna })).toBe(11);
  expect(await count({ patientId: ben })).toBe(21);
  expect(await count({ patientId: ben, actor: 'a key' })).toBe(1);
  expect(await count({ actor: 'a key' })).toBe(1);
});

test('a time is from its first moment to before its last', async () => {
  const { entries } = (await records.list(owner, everything))!;
  const [last, first] = [entries[0]!, entries.at(-1)!];
  expect(await count({ to: new Date(first.at) })).toBe(0);
  expect(await count({ from: new Date(Date.parse(last.at) + 1) })).toBe(0);
  expect(await count({ from: new Date(first.at), to: new Date(Date.parse(last.at) + 1) })).toBe(31);
});

test('a cursor that is none is told', async () => {
  expect(await records.list(owner, { ...everything, cursor: "1'; drop table" })).toBeNull();
});

test('the newest block is told with the page', async () => {
  expect((await records.list(owner, everything))!.head).toBeNull();
  await store.seal(1_000);
  const { head } = (await records.list(owner, everything))!;
  expect(head).toMatchObject({ block: 1, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
});

test('who may not read the log is refused', async () => {
  await expect(records.list({ ...owner, role: 'clinician' }, everything)).rejects.toMatchObject({
    code: 'forbidden',
  });
});

test('no page needs a sequential scan', async () => {
  // PostgreSQL prefers to scan a table of a few rows.
  const explain = async (where: string): Promise<string> => {
    const text = `explain select * from kymo.audit_entry where org_id = kymo.current_org() and ${where}
      order by at desc, id desc limit 20`;
    const results = await pools.app.run([
      { text: `select set_config('enable_seqscan', 'off', true), set_config('kymo.org', '${orgA}', true)` },
      { text },
    ]);
    return results[1]!.rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n');
  };
  expect(await explain(`(at, id) < (now(), 5)`)).toContain('audit_by_org');
  expect(await explain(`actor = 'x' and (at, id) < (now(), 5)`)).toContain('audit_by_actor');
});
