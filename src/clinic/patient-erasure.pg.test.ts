import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Actor } from '#contract/permissions.ts';
import { erasePatient } from '#clinic/patient-erasure.ts';
import { exportPatient } from '#clinic/patient-export.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { createLegalHolds } from '#store/legal-holds.ts';
import type { Pools, RolePool } from '#store/pools.ts';
import { insertSession, insertSummary } from '#test/support/clinic-rows.ts';
import { clinician, openTestClinic, type TestClinic } from '#test/support/clinic.ts';
import { streamDefinition } from '#test/support/tenants.ts';

let clinic: TestClinic;
let chief: Actor;

beforeAll(async () => {
  clinic = await openTestClinic();
  chief = clinician(clinic.tenant.orgId, { role: 'owner' });
});
afterAll(() => clinic.close());

const figures = [
  { metric: 'speed', side: null, value: 1.1, sd: 0.1, n: 9 },
  { metric: '=cmd()', side: 'left', value: null, sd: null, n: 0 },
];

/** A patient with something in every table, and two recordings, one of them from a device. */
async function fullPatient(): Promise<{ id: string; sessions: string[] }> {
  const { records, staff, make, owner, tenant, pools } = clinic;
  const { id } = await make({ identifiers: { name: 'Erika "E" Muster, Dr.' }, consents: ['care'] });
  const startedAt = '2026-06-01T10:00:00Z';
  const whose = { orgId: tenant.orgId, patientId: id, startedAt };
  const session = await insertSession(owner, { ...whose, label: 'Walk, "first"' });
  await insertSummary(owner, { ...whose, session, figures });
  const definition = streamDefinition();
  await createCatalogue(pools).openStream(tenant.device, { definition, epoch: '00000000000000aa' });
  await owner.query('update kymo.session set patient_id = $2 where id = $1', [definition.session, id]);
  const note = JSON.parse(await records.notes.add(staff, id, { text: 'Walks well', session })) as {
    id: string;
  };
  await records.notes.replace(staff, { patientId: id, id: note.id }, { text: 'Walks better', revision: 1 });
  await records.history.add(staff, id, { kind: 'surgery', text: 'Hip', begunOn: '2020-01-01' });
  await records.goals.add(staff, id, { text: 'Walk faster' });
  const programme = JSON.parse(
    await records.programmes.add(staff, id, {
      title: 'Home',
      beginsOn: '2026-01-01',
      exercises: [{ id: 'a', name: 'Squat', sets: 1, repetitions: 1, durationS: null, timesPerWeek: 1 }],
    }),
  ) as { id: string };
  await records.entries.put(
    staff,
    { patientId: id, programmeId: programme.id, day: '2026-01-02', exercise: 'a' },
    { times: 1 },
  );
  return { id, sessions: [session, definition.session] };
}

/** Rows of any table that speak of one of these ids, by table. */
async function rowsAbout(ids: readonly string[]): Promise<string[]> {
  const { rows: tables } = await clinic.owner.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'kymo'::regnamespace and relkind = 'r' order by 1`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const { rowCount } = await clinic.owner.query(
      `select from kymo.${name} t where exists (select from unnest($1::text[]) i where t::text like '%' || i || '%')`,
      [ids],
    );
    if (rowCount !== 0) found.push(name);
  }
  return found;
}

const erase = (id: string, pools: Pick<Pools, 'app' | 'writer'> = clinic.pools) =>
  erasePatient({ pools, cache: clinic.cache }, chief, id);

test('of an erased patient nothing is left but tombstones, and nobody else’s rows are touched', async () => {
  const { records, staff, foreign, owner } = clinic;
  const [patient, other] = [await fullPatient(), await fullPatient()];
  const before = await rowsAbout([other.id, ...other.sessions]);
  expect(before.length).toBeGreaterThan(12);
  // Read once, so that it is in the cache.
  await records.patients.overview(staff, patient.id);
  await expect(
    erasePatient({ pools: clinic.pools, cache: clinic.cache }, foreign, patient.id),
  ).rejects.toMatchObject({
    code: 'forbidden',
  });
  expect(
    await erasePatient(
      { pools: clinic.pools, cache: clinic.cache },
      { ...foreign, role: 'owner' },
      patient.id,
    ),
  ).toBe('not-found');
  expect(await erase(patient.id)).toBe('erased');
  expect(await rowsAbout([patient.id, ...patient.sessions])).toEqual(['erased', 'erased_patient']);
  expect(await rowsAbout([other.id, ...other.sessions])).toEqual(before);
  await expect(records.patients.overview(staff, patient.id)).rejects.toMatchObject({ code: 'not-found' });
  await expect(records.identifiers.read(staff, patient.id)).rejects.toMatchObject({ code: 'not-found' });
  expect(await erase(patient.id)).toBe('erased');
  expect(await erase(uuidv7(systemClock))).toBe('not-found');
  // The id is nobody's again.
  await expect(clinic.make({ id: patient.id, code: 'reborn' })).rejects.toMatchObject({ code: 'erased' });
  const { rowCount } = await owner.query('select from kymo.patient_key where patient_id = $1', [patient.id]);
  expect(rowCount).toBe(0);
});

test('a legal hold of one recording keeps all of the patient', async () => {
  const { pools, tenant, records, staff } = clinic;
  const { id, sessions } = await fullPatient();
  const holds = createLegalHolds(pools.app);
  await holds.hold(tenant.orgId, sessions[0]!, 'court');
  const before = await rowsAbout([id]);
  expect(await erase(id)).toBe('held');
  expect(await rowsAbout([id])).toEqual(before);
  expect(await records.identifiers.read(staff, id)).toEqual({ name: 'Erika "E" Muster, Dr.' });
  await holds.release(tenant.orgId, sessions[0]!);
  expect(await erase(id)).toBe('erased');
});

test('an erasure that dies between any two steps is finished by the next, and the key goes first', async () => {
  let died = 0;
  for (let at = 0; ; at++) {
    const { id, sessions } = await fullPatient();
    let runs = 0;
    const mortal = (pool: RolePool): RolePool => ({
      run: (...work) => (runs++ === at ? Promise.reject(new Error('died')) : pool.run(...work)),
      stats: pool.stats,
    });
    const outcome = await erase(id, {
      app: mortal(clinic.pools.app),
      writer: mortal(clinic.pools.writer),
    }).catch((error: unknown) => error);
    if (outcome === 'erased') break;
    died++;
    expect((outcome as Error).message).toBe('died');
    // Whatever is left, who it was can be read by nobody from the first step on.
    const { rowCount } = await clinic.owner.query('select from kymo.patient_key where patient_id = $1', [id]);
    expect(rowCount).toBe(at === 0 ? 1 : 0);
    expect(await erase(id)).toBe('erased');
    expect(await rowsAbout([id, ...sessions])).toEqual(['erased', 'erased_patient']);
  }
  expect(died).toBeGreaterThan(6);
});

test('a recording that is bound while the others are erased goes as well', async () => {
  const { id } = await fullPatient();
  const { pools, owner, tenant } = clinic;
  let isBound = false;
  let late = '';
  const writer: RolePool = {
    async run(...work) {
      if (!isBound) {
        isBound = true;
        late = await insertSession(owner, {
          orgId: tenant.orgId,
          patientId: id,
          label: 'late',
          startedAt: '2026-06-02T10:00:00Z',
        });
      }
      return pools.writer.run(...work);
    },
    stats: pools.writer.stats,
  };
  expect(await erase(id, { app: pools.app, writer })).toBe('erased');
  expect(await rowsAbout([id, late])).toEqual(['erased', 'erased_patient']);
});

async function readAll(content: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

const someoneElses = () => ({
  orgId: clinic.tenant.orgId,
  patientId: null,
  label: '',
  startedAt: '2026-06-01T10:00:00Z',
});

test('an export has everything that was written down, in files that are what they say', async () => {
  const { pools, masters, staff, foreign, records } = clinic;
  const { id, sessions } = await fullPatient();
  for (let i = 0; i < 205; i++)
    await records.goals.add(staff, id, { text: `goal ${i}` }).catch(() => undefined);
  await clinic.owner.query(
    `insert into kymo.annotation (id, org_id, session_id, kind, from_us, text, author, removed_at)
     select gen_random_uuid(), $1, s, 'note', 5, 'stumbles in ' || s, 'user:x', case when i = 1 then now() end
       from unnest($2::uuid[]) s, generate_series(0, 1) i`,
    [clinic.tenant.orgId, [sessions[0], await insertSession(clinic.owner, someoneElses())]],
  );
  const parts: Record<string, string> = {};
  for await (const { name, content } of exportPatient({ app: pools.app, masters }, staff, id))
    parts[name] = await readAll(content);
  expect(Object.keys(parts)).toEqual([
    'patient.json',
    'consents.json',
    'history.json',
    'notes.json',
    'goals.json',
    'programmes.json',
    'annotations.json',
    'sessions.csv',
    'figures.csv',
  ]);
  const json = (name: string): unknown => JSON.parse(parts[name]!);
  expect(json('annotations.json')).toMatchObject([
    { session: sessions[0], text: `stumbles in ${sessions[0]}` },
  ]);
  expect(json('patient.json')).toMatchObject({
    patient: { id },
    identifiers: { name: 'Erika "E" Muster, Dr.' },
  });
  expect(json('consents.json')).toMatchObject([{ purpose: 'care', decision: 'granted' }]);
  expect(json('history.json')).toMatchObject([{ text: 'Hip', begunOn: '2020-01-01' }]);
  expect(json('notes.json')).toMatchObject([
    { session: sessions[0], revisions: [{ text: 'Walks well' }, { text: 'Walks better' }] },
  ]);
  // More than a page of them.
  expect((json('goals.json') as unknown[]).length).toBe(200);
  expect(json('programmes.json')).toMatchObject([
    { title: 'Home', entries: [{ day: '2026-01-02', times: 1 }] },
  ]);
  expect(parts['sessions.csv']!.split('\r\n')[1]).toBe(
    `${sessions[0]},"Walk, ""first""",2026-06-01T10:00:00.000Z,2026-06-01T10:10:00.000Z,`,
  );
  expect(parts['figures.csv']!.split('\r\n').slice(1)).toEqual([
    `${sessions[0]},2026-06-01T10:00:00.000Z,speed,,1.1,0.1,9,test,1`,
    `${sessions[0]},2026-06-01T10:00:00.000Z,'=cmd(),left,,,0,test,1`,
    '',
  ]);
  await expect(exportPatient({ app: pools.app, masters }, foreign, id).next()).rejects.toMatchObject({
    code: 'not-found',
  });
  const assistant = clinician(clinic.tenant.orgId, { role: 'assistant' });
  await expect(exportPatient({ app: pools.app, masters }, assistant, id).next()).rejects.toMatchObject({
    code: 'forbidden',
  });
});
