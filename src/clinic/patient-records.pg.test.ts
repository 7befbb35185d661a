import type pg from 'pg';
import fc from 'fast-check';
import { Compile } from 'typebox/compile';
import type { TSchema } from 'typebox';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import {
  headlineMetrics,
  Patient,
  PatientOverview,
  PatientPage,
  ProgressPage,
  type PatientRequest,
} from '#contract/clinic.ts';
import type { Principal } from '#contract/principal.ts';
import type { PatientFilter } from '#clinic/patient-records.ts';
import { createRecords, type Records } from '#clinic/records.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { clinician } from '#test/support/clinic.ts';
import { testCache, testMasterKeys } from '#test/support/records-api.ts';
import { insertSession, insertSummary } from '#test/support/clinic-rows.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenantA: Tenant;
let tenantB: Tenant;
let records: Records;
let staff: Principal;
let foreign: Principal;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenantA = await createTenant(database.ownerUrl, pools, 'A');
  tenantB = await createTenant(database.ownerUrl, pools, 'B');
  records = createRecords({
    app: pools.app,
    clock: systemClock,
    cache: testCache(),
    masters: testMasterKeys(),
  });
  staff = clinician(tenantA.orgId);
  foreign = clinician(tenantB.orgId);
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

function parsed<T>(text: string, schema: TSchema): T {
  const value: unknown = JSON.parse(text);
  expect(Compile(schema).Errors(value)).toEqual([]);
  return value as T;
}

async function make(request: PatientRequest = {}, who = staff): Promise<Patient> {
  return parsed<Patient>(await records.patients.create(who, request), Patient);
}

const everyone: PatientFilter = { state: 'all', code: null, consent: null, affectedSide: null };

async function listAll(who: Principal, filter: PatientFilter, limit = 100): Promise<PatientPage['patients']> {
  const found: PatientPage['patients'] = [];
  let cursor: string | null = null;
  do {
    const text: string = await records.patients.list(who, filter, { limit, cursor });
    const page: PatientPage = parsed(text, PatientPage);
    expect(page.patients.length).toBeLessThanOrEqual(limit);
    found.push(...page.patients);
    cursor = page.next;
  } while (cursor !== null);
  return found;
}

test('a patient is made, read, changed by revision and archived', async () => {
  const made = await make({
    code: 'Abc-1',
    birthYear: 1950,
    sex: 'female',
    heightM: 1.72,
    massKg: 68.5,
    affectedSide: 'left',
    diagnosis: 'Hemiparesis, Größe 你好 𝒳',
    consents: ['recording', 'care'],
  });
  expect(made).toMatchObject({
    code: 'Abc-1',
    heightM: 1.72,
    massKg: 68.5,
    consents: ['care', 'recording'],
    revision: 1,
    archivedAt: null,
  });
  const overview = parsed<PatientOverview>(await records.patients.overview(staff, made.id), PatientOverview);
  expect(overview).toEqual({
    patient: made,
    sessions: [],
    sessionCount: 0,
    progress: { first: null, latest: null },
  });
  const change = { revision: 1, massKg: null, diagnosis: '', archived: true };
  const changed = parsed<Patient>(await records.patients.change(staff, made.id, change), Patient);
  expect(changed).toMatchObject({ revision: 2, massKg: null, heightM: 1.72, diagnosis: '', code: 'Abc-1' });
  expect(changed.archivedAt).not.toBe(null);
  await expect(records.patients.change(staff, made.id, { revision: 1, heightM: 2 })).rejects.toMatchObject({
    code: 'outdated',
  });
  const back = await records.patients.change(staff, made.id, { revision: 2, archived: false });
  expect(parsed<Patient>(back, Patient)).toMatchObject({ revision: 3, heightM: 1.72, archivedAt: null });
  // Not what was read before the change.
  const again = parsed<PatientOverview>(await records.patients.overview(staff, made.id), PatientOverview);
  expect(again.patient.revision).toBe(3);
});

test('a code is unique whatever its case, and made when none is given', async () => {
  await make({ code: 'Twice' });
  await expect(make({ code: 'tWICE' })).rejects.toMatchObject({ code: 'conflict', field: '/code' });
  expect((await make()).code).toMatch(/^P-[0-9A-HJKMNP-TV-Z]{6}$/);
  const other = await make({ code: 'Thrice' });
  await expect(
    records.patients.change(staff, other.id, { revision: 1, code: 'TWICE' }),
  ).rejects.toMatchObject({ code: 'conflict', field: '/code' });
  // Another organisation has codes of its own.
  expect((await make({ code: 'Twice' }, foreign)).code).toBe('Twice');
});

test('asking again with the same id makes no second patient', async () => {
  const id = uuidv7(systemClock);
  const first = await make({ id, code: 'again', identifiers: { name: 'Ada Example' } });
  const second = await make({ id, code: 'again', identifiers: { name: 'Ada Example' } });
  expect(second).toEqual(first);
  expect(await records.identifiers.read(staff, id)).toEqual({ name: 'Ada Example' });
  await expect(make({ id, code: 'else' })).rejects.toMatchObject({ code: 'conflict', field: '/id' });
  // Ids of another organisation are taken, and nothing of theirs is shown.
  await expect(make({ id, code: 'again' }, foreign)).rejects.toMatchObject({ code: 'conflict' });
});

test('nobody of another organisation reads, lists or changes a patient', async () => {
  const { id } = await make({ code: 'only-a' });
  const calls = [
    () => records.patients.overview(foreign, id),
    () => records.patients.progress(foreign, id, { limit: 10, cursor: null, metrics: null }),
    () => records.patients.change(foreign, id, { revision: 1, heightM: 1 }),
    () => records.identifiers.read(foreign, id),
    () => records.identifiers.change(foreign, id, { name: 'x' }),
    () => records.consents.read(foreign, id),
    () => records.consents.decide(foreign, id, { purpose: 'care', decision: 'granted' }),
    () => records.notes.list(foreign, id, { limit: 10, cursor: null }),
    () => records.notes.add(foreign, id, { text: 'x' }),
    () => records.goals.add(foreign, id, { text: 'x' }),
    () => records.history.list(foreign, id, { limit: 10, cursor: null }),
    () =>
      records.programmes.add(foreign, id, {
        title: 'x',
        beginsOn: '2026-01-01',
        exercises: [{ id: 'a', name: 'a', sets: null, repetitions: null, durationS: null, timesPerWeek: 1 }],
      }),
  ];
  for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'not-found' });
  expect((await listAll(foreign, everyone)).map((patient) => patient.id)).not.toContain(id);
  const { rows } = await owner.query(
    `select (select count(*) from kymo.note) + (select count(*) from kymo.goal) + (select count(*) from kymo.programme)
       + (select count(*) from kymo.patient_consent where patient_id = $1) as n`,
    [id],
  );
  expect(Number((rows[0] as { n: string }).n)).toBe(0);
});

test('a patient’s account reads its own record alone, behind both walls', async () => {
  const [own, other] = [await make({ code: 'own-1' }), await make({ code: 'own-2' })];
  const account = clinician(tenantA.orgId, { role: 'patient', patientId: own.id, subject: 'person-2' });
  expect(JSON.parse(await records.patients.overview(account, own.id))).toMatchObject({ patient: own });
  await expect(records.patients.overview(account, other.id)).rejects.toMatchObject({ code: 'not-found' });
  await expect(records.identifiers.read(account, other.id)).rejects.toMatchObject({ code: 'not-found' });
  await expect(records.patients.change(account, own.id, { revision: 1, heightM: 1 })).rejects.toMatchObject({
    code: 'forbidden',
  });
  await expect(records.search.find(account, 'own')).rejects.toMatchObject({ code: 'forbidden' });
  expect((await listAll(account, everyone)).map((patient) => patient.id)).toEqual([own.id]);
  // The second wall alone: a service that forgot to ask finds nothing of anybody else.
  const { runAsOrg } = await import('#store/pools.ts');
  const [rows] = await runAsOrg(pools.app, account, {
    statements: [{ text: 'select id from kymo.patient' }],
    mode: 'snapshot',
  });
  expect(rows!.rows).toEqual([{ id: own.id }]);
  for (const table of ['note_revision', 'note_word', 'organisation_key', 'erased_patient']) {
    const [hidden] = await runAsOrg(pools.app, account, {
      statements: [{ text: `select * from kymo.${table}` }],
      mode: 'snapshot',
    });
    expect(hidden!.rows).toEqual([]);
  }
});

test('a role without the permission is refused before anything is read', async () => {
  const { id } = await make();
  const assistant = clinician(tenantA.orgId, { role: 'assistant' });
  expect(JSON.parse(await records.patients.overview(assistant, id))).toMatchObject({ patient: { id } });
  await expect(records.notes.add(assistant, id, { text: 'x' })).rejects.toMatchObject({ code: 'forbidden' });
  const device = clinician(tenantA.orgId, { role: 'device', kind: 'device' });
  await expect(records.patients.overview(device, id)).rejects.toMatchObject({ code: 'forbidden' });
  const narrow = clinician(tenantA.orgId, { role: 'service', kind: 'access', permissions: ['session.read'] });
  await expect(records.patients.list(narrow, everyone, { limit: 1, cursor: null })).rejects.toMatchObject({
    code: 'forbidden',
  });
});

test('pages have every patient once, also while others are made', async () => {
  const tenant = await createTenant(database.ownerUrl, pools, 'pages');
  const who = clinician(tenant.orgId);
  const before: string[] = [];
  for (let i = 0; i < 23; i++) before.push((await make({ code: `page-${i}` }, who)).id);
  // Equal times are told apart by the id.
  await owner.query(`update kymo.patient set created_at = '2026-01-01' where org_id = $1`, [tenant.orgId]);
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const text: string = await records.patients.list(who, everyone, { limit: 5, cursor });
    const page: PatientPage = parsed(text, PatientPage);
    seen.push(...page.patients.map((patient) => patient.id));
    await make({}, who);
    cursor = page.next;
  } while (cursor !== null);
  expect(seen.toSorted()).toEqual(before.toSorted());
  expect(new Set(seen).size).toBe(23);
});

test('filters: state, beginning of the code in its order, consent, side', async () => {
  const tenant = await createTenant(database.ownerUrl, pools, 'filters');
  const who = clinician(tenant.orgId);
  const one = await make({ code: 'B-10', consents: ['research'], affectedSide: 'right' }, who);
  const two = await make({ code: 'b-2' }, who);
  const three = await make({ code: 'A-1' }, who);
  await records.patients.change(who, three.id, { revision: 1, archived: true });
  const ids = async (filter: Partial<PatientFilter>, limit = 1): Promise<string[]> =>
    (await listAll(who, { ...everyone, ...filter }, limit)).map((patient) => patient.id);
  expect(await ids({})).toEqual([three.id, two.id, one.id]);
  expect(await ids({ state: 'active' })).toEqual([two.id, one.id]);
  expect(await ids({ state: 'archived' })).toEqual([three.id]);
  expect(await ids({ code: 'B-' })).toEqual([one.id, two.id]);
  expect(await ids({ code: 'b-1' })).toEqual([one.id]);
  expect(await ids({ code: '_' })).toEqual([]);
  expect(await ids({ consent: 'research' })).toEqual([one.id]);
  expect(await ids({ affectedSide: 'right', code: 'b' })).toEqual([one.id]);
});

test('no cursor but a page’s own is taken, whatever it is', async () => {
  const byTime = (cursor: string): Promise<string> =>
    records.patients.list(staff, everyone, { limit: 1, cursor });
  const byCode = (cursor: string): Promise<string> =>
    records.patients.list(staff, { ...everyone, code: 'p' }, { limit: 1, cursor });
  const { id } = await make();
  const progress = (cursor: string): Promise<string> =>
    records.patients.progress(staff, id, { limit: 1, cursor, metrics: null });
  const notes = (cursor: string): Promise<string> => records.notes.list(staff, id, { limit: 1, cursor });
  const forms = [
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constantFrom('', 'c.', '1.', `99999999999999999.${id}`, `-1.${id}`, `1.${id}x`, `${id}'`, 'c.a\u0000'),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(...forms),
      fc.constantFrom(byTime, byCode, progress, notes),
      async (cursor, list) => {
        const refusal = await list(cursor).then(
          (text) => void JSON.parse(text),
          (error: unknown) => error,
        );
        expect([undefined, 'invalid-field']).toContain((refusal as { code?: string } | undefined)?.code);
      },
    ),
    { numRuns: 150 },
  );
});

test('the overview has the newest sessions and the first and newest figures; progress has all, by page', async () => {
  const patient = await make();
  const org = { orgId: tenantA.orgId, patientId: patient.id };
  const sessions: string[] = [];
  for (let day = 1; day <= 12; day++) {
    const startedAt = `2026-03-${String(day).padStart(2, '0')}T10:00:00.000Z`;
    const session = await insertSession(owner, { ...org, label: `walk ${day}`, startedAt });
    sessions.push(session);
    const figures = [
      { metric: 'speed', side: null, value: 1 + day / 100, sd: 0.1, n: 20 },
      { metric: 'clearance', side: 'left', value: 3, sd: null, n: 20 },
    ];
    await insertSummary(owner, { ...org, session, startedAt, figures });
  }
  const planned = await insertSession(owner, {
    ...org,
    label: 'next',
    startedAt: '2026-04-01T10:00:00.000Z',
    isPlanned: true,
  });
  const overview = parsed<PatientOverview>(
    await records.patients.overview(staff, patient.id),
    PatientOverview,
  );
  expect(overview.sessions.map((session) => session.id)).toEqual([
    planned,
    ...sessions.toReversed().slice(0, 9),
  ]);
  expect(overview.sessions[0]).toMatchObject({ state: 'planned', figures: null });
  expect(overview.sessions[1]).toMatchObject({
    state: 'ended',
    figures: [{ metric: 'speed', side: null, value: 1.12, sd: 0.1, n: 20 }],
  });
  expect(overview.sessionCount).toBe(12);
  const [{ headline }] = (
    await owner.query<{ headline: { metric: string }[] }>(
      `update kymo.session_summary set figures = $2 where session_id = $1 returning headline`,
      [
        sessions[5],
        JSON.stringify(
          [...headlineMetrics, 'clearance'].map((metric) => ({ metric, side: null, value: 1, sd: 0, n: 1 })),
        ),
      ],
    )
  ).rows as [{ headline: { metric: string }[] }];
  expect(headline.map(({ metric }) => metric)).toEqual(headlineMetrics);
  expect(overview.progress).toMatchObject({
    first: { session: sessions[0], figures: [{ value: 1.01 }] },
    latest: { session: sessions[11], startedAt: '2026-03-12T10:00:00.000Z', figures: [{ value: 1.12 }] },
  });
  const found: ProgressPage['sessions'] = [];
  let cursor: string | null = null;
  do {
    const wanted = { limit: 5, cursor, metrics: ['clearance'] };
    const page: ProgressPage = parsed(
      await records.patients.progress(staff, patient.id, wanted),
      ProgressPage,
    );
    found.push(...page.sessions);
    cursor = page.next;
  } while (cursor !== null);
  expect(found.map(({ session }) => session)).toEqual(sessions.toReversed());
  expect(found.every(({ figures }) => figures.length === 1 && figures[0]!.metric === 'clearance')).toBe(true);
  const listed = await listAll(staff, everyone);
  expect(listed.find(({ id }) => id === patient.id)!.lastSessionAt).toBe('2026-03-12T10:00:00.000Z');
});
