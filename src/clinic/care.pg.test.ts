import fc from 'fast-check';
import { Compile } from 'typebox/compile';
import type { TSchema } from 'typebox';
import { afterAll, beforeAll, expect, test } from 'vitest';

import {
  EntryPage,
  GoalPage,
  HistoryPage,
  Note,
  NotePage,
  NoteRevisions,
  Programme,
  ProgrammeEntry,
  ProgrammePage,
  type NoteRequest,
} from '#contract/care.ts';
import { ConsentRecord, Patient, SearchFindings } from '#contract/clinic.ts';
import { consentLimits } from '#clinic/consents.ts';
import { noteLimits } from '#clinic/notes.ts';
import { insertSession, insertSummary } from '#test/support/clinic-rows.ts';
import { clinician, openTestClinic, type TestClinic } from '#test/support/clinic.ts';

let clinic: TestClinic;

beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

const first = { limit: 20, cursor: null };

function parsed<T>(text: string, schema: TSchema): T {
  const value: unknown = JSON.parse(text);
  expect(Compile(schema).Errors(value)).toEqual([]);
  return value as T;
}

test('the newest decision for a purpose counts, whichever order they were put down in', async () => {
  const { records, staff, make } = clinic;
  const { id } = await make({ consents: ['care'] });
  const decide = async (
    purpose: 'care' | 'research',
    decision: 'granted' | 'withdrawn',
    decidedAt?: string,
  ) =>
    parsed<ConsentRecord>(
      await records.consents.decide(staff, id, {
        purpose,
        decision,
        ...(decidedAt === undefined ? {} : { decidedAt, reference: 'form 7' }),
      }),
      ConsentRecord,
    );
  expect((await decide('research', 'granted')).granted).toEqual(['care', 'research']);
  // An older decision that is put down later changes nothing.
  expect((await decide('research', 'withdrawn', '2020-01-01T00:00:00Z')).granted).toEqual([
    'care',
    'research',
  ]);
  const record = await decide('care', 'withdrawn');
  expect(record.granted).toEqual(['research']);
  expect(record.history.map(({ purpose, decision }) => `${purpose} ${decision}`)).toEqual([
    'care withdrawn',
    'research granted',
    'care granted',
    'research withdrawn',
  ]);
  expect(record.history[3]).toMatchObject({ reference: 'form 7', recordedBy: 'user:person-1' });
  expect(parsed<ConsentRecord>(await records.consents.read(staff, id), ConsentRecord)).toEqual(record);
  const overview = JSON.parse(await records.patients.overview(staff, id)) as { patient: Patient };
  expect(overview.patient.consents).toEqual(['research']);
  await expect(decide('care', 'granted', '2200-01-01T00:00:00Z')).rejects.toMatchObject({
    code: 'invalid-field',
    field: '/decidedAt',
  });
});

test('decisions are bounded, and those at once are all counted', async () => {
  const { records, staff, make, owner } = clinic;
  const { id } = await make();
  await Promise.all(
    (['care', 'recording', 'research', 'teaching', 'sharing'] as const).map((purpose) =>
      records.consents.decide(staff, id, { purpose, decision: 'granted' }),
    ),
  );
  const { rows } = await owner.query<{ consents: string[] }>(
    'select consents from kymo.patient where id = $1',
    [id],
  );
  expect(rows[0]!.consents).toHaveLength(5);
  await owner.query(
    `insert into kymo.patient_consent (id, patient_id, org_id, purpose, decision, decided_at)
     select gen_random_uuid(), id, org_id, 'care', 'granted', '2020-01-01' from kymo.patient,
       generate_series(1, $2) where id = $1`,
    [id, consentLimits.decisions - 5],
  );
  await expect(
    records.consents.decide(staff, id, { purpose: 'care', decision: 'withdrawn' }),
  ).rejects.toMatchObject({ code: 'limit-exceeded' });
});

test('an entry of the history is added, replaced by its revision, listed by page and removed', async () => {
  const { records, staff, make } = clinic;
  const { id: patientId } = await make();
  for (let i = 0; i < 7; i++)
    await records.history.add(staff, patientId, { kind: 'fall', text: `fall ${i}`, begunOn: '2024-02-29' });
  const texts: string[] = [];
  let cursor: string | null = null;
  do {
    const text: string = await records.history.list(staff, patientId, { limit: 3, cursor });
    const page: HistoryPage = parsed(text, HistoryPage);
    texts.push(...page.entries.map((entry) => entry.text));
    cursor = page.next;
  } while (cursor !== null);
  expect(texts).toHaveLength(7);
  expect(new Set(texts).size).toBe(7);
  const page = parsed<HistoryPage>(await records.history.list(staff, patientId, first), HistoryPage);
  const place = { patientId, id: page.entries[0]!.id };
  const request = { kind: 'injury' as const, text: 'sprain', begunOn: '2024-03-01', endedOn: null };
  const replaced = JSON.parse(
    await records.history.replace(staff, place, { ...request, revision: 1 }),
  ) as object;
  expect(replaced).toMatchObject({ kind: 'injury', text: 'sprain', begunOn: '2024-03-01', revision: 2 });
  const after = parsed<HistoryPage>(await records.history.list(staff, patientId, first), HistoryPage);
  expect(after.entries[0]).toEqual(replaced);
  await expect(records.history.replace(staff, place, { ...request, revision: 1 })).rejects.toMatchObject({
    code: 'outdated',
  });
  await expect(records.history.replace(staff, place, request)).rejects.toMatchObject({ field: '/revision' });
  await expect(records.history.add(staff, patientId, { ...request, revision: 1 })).rejects.toMatchObject({
    field: '/revision',
  });
  for (const wrong of [
    { begunOn: '2025-02-29' },
    { begunOn: '2024-03-02', endedOn: '2024-03-01' },
    { text: 'a\u0000b' },
  ])
    await expect(records.history.add(staff, patientId, { ...request, ...wrong })).rejects.toMatchObject({
      code: 'invalid-field',
    });
  await records.history.remove(staff, place);
  await expect(records.history.remove(staff, place)).rejects.toMatchObject({ code: 'not-found' });
});

test('a record is reached by its own patient’s address only', async () => {
  const { records, staff, make } = clinic;
  const [one, two] = [await make(), await make()];
  const goal = JSON.parse(await records.goals.add(staff, one.id, { text: 'walk' })) as { id: string };
  const note = JSON.parse(await records.notes.add(staff, one.id, { text: 'hello' })) as Note;
  const place = { patientId: two.id, id: goal.id };
  await expect(records.goals.replace(staff, place, { text: 'x', revision: 1 })).rejects.toMatchObject({
    code: 'not-found',
  });
  await expect(records.goals.remove(staff, place)).rejects.toMatchObject({ code: 'not-found' });
  await expect(records.notes.revisions(staff, { ...place, id: note.id })).rejects.toMatchObject({
    code: 'not-found',
  });
  await expect(
    records.notes.replace(staff, { ...place, id: note.id }, { text: 'x', revision: 1 }),
  ).rejects.toMatchObject({ code: 'not-found' });
});

async function addNote(patientId: string, request: NoteRequest): Promise<Note> {
  return parsed<Note>(await clinic.records.notes.add(clinic.staff, patientId, request), Note);
}

test('a note keeps every text that it has had; a withdrawn one is empty', async () => {
  const { records, staff, make } = clinic;
  const { id: patientId } = await make();
  const note = await addNote(patientId, { text: 'First words', shared: true });
  const place = { patientId, id: note.id };
  const second = parsed<Note>(
    await records.notes.replace(staff, place, { text: 'Second words', revision: 1 }),
    Note,
  );
  expect(second).toMatchObject({ text: 'Second words', shared: true, revision: 2 });
  await expect(records.notes.replace(staff, place, { text: 'x', revision: 1 })).rejects.toMatchObject({
    code: 'outdated',
  });
  const gone = parsed<Note>(await records.notes.withdraw(staff, place, 2), Note);
  expect(gone).toMatchObject({ text: '', shared: false, revision: 3 });
  expect(gone.withdrawnAt).not.toBe(null);
  await expect(records.notes.replace(staff, place, { text: 'x', revision: 3 })).rejects.toMatchObject({
    code: 'conflict',
  });
  const { revisions } = parsed<NoteRevisions>(await records.notes.revisions(staff, place), NoteRevisions);
  expect(revisions.map(({ text, withdrawn }) => [text, withdrawn])).toEqual([
    ['', true],
    ['Second words', false],
    ['First words', false],
  ]);
  expect(parsed<NotePage>(await records.notes.list(staff, patientId, first), NotePage).notes).toEqual([gone]);
});

test('a note of a sealed session changes no more, and a sealed session gets none', async () => {
  const { records, staff, make, owner, tenant } = clinic;
  const { id: patientId } = await make();
  const startedAt = '2026-05-01T10:00:00Z';
  const session = await insertSession(owner, { orgId: tenant.orgId, patientId, label: 'x', startedAt });
  const elsewhere = await insertSession(owner, {
    orgId: tenant.orgId,
    patientId: null,
    label: 'y',
    startedAt,
  });
  const note = await addNote(patientId, { text: 'During the walk', session });
  expect(note.session).toBe(session);
  await expect(addNote(patientId, { text: 'x', session: elsewhere })).rejects.toMatchObject({
    code: 'not-found',
    field: '/session',
  });
  await owner.query(
    `update kymo.session set sealed_at = now(), sealed_streams = 0, sealed_readings = 0 where id = $1`,
    [session],
  );
  await expect(
    records.notes.replace(staff, { patientId, id: note.id }, { text: 'x', revision: 1 }),
  ).rejects.toMatchObject({ code: 'conflict' });
  await expect(addNote(patientId, { text: 'x', session })).rejects.toMatchObject({ code: 'conflict' });
});

test('a note that is written while its session is being signed off comes before it or not at all', async () => {
  const { records, staff, make, owner, tenant } = clinic;
  const { id: patientId } = await make();
  const startedAt = '2026-05-01T10:00:00Z';
  const session = await insertSession(owner, { orgId: tenant.orgId, patientId, label: 'x', startedAt });
  const note = await addNote(patientId, { text: 'During the walk', session });
  const sealing = await owner.connect();
  await sealing.query('begin');
  await sealing.query(
    `update kymo.session set sealed_at = now(), sealed_streams = 0, sealed_readings = 0 where id = $1`,
    [session],
  );
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error: { code?: string }) => error.code,
    );
  const writing = [
    codeOf(addNote(patientId, { text: 'x', session })),
    codeOf(records.notes.replace(staff, { patientId, id: note.id }, { text: 'x', revision: 1 })),
    codeOf(records.notes.withdraw(staff, { patientId, id: note.id }, 1)),
  ];
  await expect
    .poll(
      async () => (await owner.query("select from pg_stat_activity where wait_event_type = 'Lock'")).rowCount,
    )
    .toBe(3);
  await sealing.query('commit');
  sealing.release();
  expect(await Promise.all(writing)).toEqual(['conflict', 'conflict', 'conflict']);
});

test('a patient’s account reads shared notes only', async () => {
  const { records, make, tenant } = clinic;
  const { id: patientId } = await make();
  await addNote(patientId, { text: 'For us' });
  const shared = await addNote(patientId, { text: 'For you', shared: true });
  const account = clinician(tenant.orgId, { role: 'patient', patientId });
  const page = parsed<NotePage>(await records.notes.list(account, patientId, first), NotePage);
  expect(page.notes.map(({ id }) => id)).toEqual([shared.id]);
  await expect(records.notes.revisions(account, { patientId, id: shared.id })).rejects.toMatchObject({
    code: 'forbidden',
  });
});

test('notes are bounded, and so are their revisions', async () => {
  const { records, staff, make, owner } = clinic;
  const { id: patientId } = await make();
  const note = await addNote(patientId, { text: 'x' });
  await owner.query('update kymo.note set revision = $2 where id = $1', [note.id, noteLimits.revisions]);
  await expect(
    records.notes.replace(staff, { patientId, id: note.id }, { text: 'y', revision: noteLimits.revisions }),
  ).rejects.toMatchObject({ code: 'limit-exceeded' });
  await owner.query(
    `insert into kymo.note (id, patient_id, org_id, text) select gen_random_uuid(), id, org_id, 'z'
       from kymo.patient, generate_series(2, $2) where id = $1`,
    [patientId, noteLimits.notes],
  );
  await expect(addNote(patientId, { text: 'one more' })).rejects.toMatchObject({ code: 'limit-exceeded' });
});

test('a goal shows the newest figure that it is about', async () => {
  const { records, staff, make, owner, tenant } = clinic;
  const { id: patientId } = await make();
  const target = { metric: 'speed', side: null, direction: 'at-least' as const, value: 1.2 };
  await records.goals.add(staff, patientId, { text: 'Walk faster', target, dueOn: '2026-12-31' });
  const read = async (): Promise<GoalPage['goals'][number]> =>
    parsed<GoalPage>(await records.goals.list(staff, patientId, first), GoalPage).goals[0]!;
  expect(await read()).toMatchObject({ target, dueOn: '2026-12-31', state: 'open', current: null });
  for (const [day, value] of [
    ['01', 0.8],
    ['02', 0.9],
  ] as const) {
    const startedAt = `2026-05-${day}T10:00:00.000Z`;
    const whose = { orgId: tenant.orgId, patientId, startedAt };
    const session = await insertSession(owner, { ...whose, label: '' });
    await insertSummary(owner, {
      ...whose,
      session,
      figures: [{ metric: 'speed', side: null, value, sd: 0, n: 9 }],
    });
  }
  // Whoever writes a summary says so to the cache.
  await clinic.cache.invalidate(tenant.orgId, [`patient:${patientId}`]);
  expect((await read()).current).toEqual({ value: 0.9, startedAt: '2026-05-02T10:00:00.000Z' });
});

test('adherence counts each exercise up to what was asked of it, between the first and the last day', async () => {
  const { records, staff, make } = clinic;
  const { id: patientId } = await make();
  const exercise = (id: string, timesPerWeek: number) => ({
    id,
    name: id,
    sets: 3,
    repetitions: 10,
    durationS: null,
    timesPerWeek,
  });
  const request = {
    title: 'Two weeks',
    beginsOn: '2026-01-01',
    endsOn: '2026-01-14',
    exercises: [exercise('squat', 3), exercise('bridge', 7)],
  };
  const programme = parsed<Programme>(await records.programmes.add(staff, patientId, request), Programme);
  expect(programme.adherence).toEqual({ asked: 20, done: 0, share: 0, lastDoneOn: null });
  const place = { patientId, programmeId: programme.id };
  const put = async (day: string, name: string, times: number): Promise<unknown> =>
    parsed(
      await records.entries.put(staff, { ...place, day, exercise: name }, { times, pain: 2 }),
      ProgrammeEntry,
    );
  for (let day = 1; day <= 9; day++) await put(`2026-01-0${day}`, 'squat', 1);
  await put('2026-01-10', 'bridge', 1);
  // The same day again replaces it.
  expect(await put('2026-01-10', 'bridge', 2)).toMatchObject({ times: 2, pain: 2, effort: null });
  const { programmes } = parsed<ProgrammePage>(
    await records.programmes.list(staff, patientId, first),
    ProgrammePage,
  );
  expect(programmes[0]!.adherence).toEqual({ asked: 20, done: 8, share: 0.4, lastDoneOn: '2026-01-10' });
  await expect(put('2026-01-15', 'squat', 1)).rejects.toMatchObject({ code: 'invalid-field', field: '/day' });
  await expect(put('2026-02-30', 'squat', 1)).rejects.toMatchObject({ code: 'invalid-field' });
  await expect(put('2026-01-10', 'other', 1)).rejects.toMatchObject({ code: 'not-found' });
  const days: string[] = [];
  let cursor: string | null = null;
  do {
    const text: string = await records.entries.list(staff, place, { limit: 4, cursor });
    const page: EntryPage = parsed(text, EntryPage);
    days.push(...page.entries.map(({ day }) => day));
    cursor = page.next;
  } while (cursor !== null);
  expect(days).toEqual(
    ['10', '09', '08', '07', '06', '05', '04', '03', '02', '01'].map((d) => `2026-01-${d}`),
  );
  await records.entries.remove(staff, { ...place, day: '2026-01-10', exercise: 'bridge' });
  const twice = { ...request, exercises: [exercise('a', 1), exercise('a', 2)] };
  await expect(records.programmes.add(staff, patientId, twice)).rejects.toMatchObject({
    field: '/exercises',
  });
});

async function find(text: string): Promise<SearchFindings> {
  const { body } = await clinic.records.search.find(clinic.staff, text);
  return parsed<SearchFindings>(body, SearchFindings);
}

test('search finds by code, identifier, label and words, in the own organisation alone', async () => {
  const { records, staff, foreign, make, owner, tenant } = clinic;
  const patient = await make({
    code: 'SRCH-1',
    identifiers: {
      name: 'José Núñez García',
      birthDate: '1950-06-07',
      recordNumber: 'RN 00-77',
      phone: '+49 170 1234567',
      email: 'jose@example.org',
    },
  });
  const by = async (text: string): Promise<string | undefined> =>
    (await find(text)).patients.find(({ id }) => id === patient.id)?.by;
  expect(await by('srch')).toBe('code');
  expect(await by('nunez garcia,  JOSE')).toBe('name');
  expect(await by('1950-06-07')).toBe('birthDate');
  expect(await by('rn0077')).toBe('recordNumber');
  expect(await by('0049 (170) 123-4567')).toBe('phone');
  expect(await by(' Jose@Example.ORG ')).toBe('email');
  // An identifier is found as a whole only.
  expect(await by('José')).toBe(undefined);
  const note = await addNote(patient.id, { text: 'Größere Schritte, 歩行 improved 12%' });
  const place = { patientId: patient.id, id: note.id };
  const startedAt = '2026-06-01T10:00:00Z';
  const session = await insertSession(owner, {
    orgId: tenant.orgId,
    patientId: patient.id,
    label: 'Übung_50% done',
    startedAt,
  });
  expect((await find('grosse')).notes).toEqual([]);
  expect((await find('GRÖSSERE schritte')).notes.map(({ id }) => id)).toEqual([note.id]);
  expect((await find('größere SCHRITTE 歩行')).notes.map(({ id }) => id)).toEqual([note.id]);
  expect((await find('größere tanz')).notes).toEqual([]);
  expect((await find('Übung_5')).sessions.map(({ id }) => id)).toEqual([session]);
  expect((await find('Übung%')).sessions).toEqual([]);
  await records.notes.replace(staff, place, { text: 'Kürzere Schritte', revision: 1 });
  expect((await find('größere schritte')).notes).toEqual([]);
  expect((await find('kurzere schritte')).notes.map(({ id }) => id)).toEqual([note.id]);
  await records.notes.withdraw(staff, place, 2);
  expect((await find('kurzere schritte')).notes).toEqual([]);
  for (const text of ['srch', 'nunez garcia jose', 'Übung_5', 'schritte'])
    expect(JSON.parse((await records.search.find(foreign, text)).body)).toEqual({
      patients: [],
      sessions: [],
      notes: [],
    });
});

test('whatever is searched for is answered or refused as no text', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 120 }),
        fc.string({ unit: 'grapheme', maxLength: 40 }),
        fc.constantFrom('%', '_', '\\', "'", '\ud800', '\u0000', '\u{10ffff}', '   ', '((', 'a'.repeat(120)),
      ),
      async (text) => {
        const failure = await clinic.records.search.find(clinic.staff, text).then(
          ({ body }) => void parsed(body, SearchFindings),
          (error: unknown) => (error as { code?: string }).code ?? error,
        );
        expect([undefined, 'invalid-field']).toContain(failure);
      },
    ),
    { numRuns: 150 },
  );
});

test('a text that cannot be kept as it is, and a day that there is not, are refused by their field', async () => {
  const { records, staff, make } = clinic;
  const { id } = await make();
  const exercises = [{ id: 'a', name: 'Squat', sets: 1, repetitions: 1, durationS: null, timesPerWeek: 1 }];
  const programme = { title: 'Home', beginsOn: '2026-01-01', exercises };
  const fieldOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      (error: { code?: string; field?: string }) => `${error.code} ${error.field}`,
    );
  // Half a character, and the one that PostgreSQL has not.
  for (const text of ['\uD83D', 'a\u0000']) {
    const asked = [
      records.notes.add(staff, id, { text }),
      records.history.add(staff, id, { kind: 'fall', text }),
      records.programmes.add(staff, id, { ...programme, exercises: [{ ...exercises[0]!, name: text }] }),
      records.patients.create(staff, { diagnosis: text }),
      records.patients.create(staff, { identifiers: { name: text } }),
      records.patients.change(staff, id, { revision: 1, diagnosis: text }),
      records.identifiers.change(staff, id, { name: text }),
      records.consents.decide(staff, id, { purpose: 'care', decision: 'granted', reference: text }),
      records.search.find(staff, text),
    ];
    expect(await Promise.all(asked.map(fieldOf))).toEqual(
      [
        '/text',
        '/text',
        '/exercises/0/name',
        '/diagnosis',
        '/identifiers/name',
        '/diagnosis',
        '/name',
        '/reference',
        '/text',
      ].map((field) => `invalid-field ${field}`),
    );
  }
  const made = JSON.parse(await records.programmes.add(staff, id, programme)) as { id: string };
  const place = { patientId: id, programmeId: made.id };
  const days = [
    records.history.add(staff, id, { kind: 'fall', text: 'x', begunOn: '2026-02-30' }),
    records.history.add(staff, id, { kind: 'fall', text: 'x', begunOn: '2026-02-03', endedOn: '2026-02-01' }),
    records.goals.add(staff, id, { text: 'x', dueOn: '2025-02-29' }),
    records.programmes.add(staff, id, { ...programme, endsOn: '2025-12-31' }),
    records.entries.put(staff, { ...place, day: '2026-02-30', exercise: 'a' }, { times: 1 }),
    records.entries.list(staff, place, { limit: 1, cursor: '2026-02-30.a' }),
  ];
  expect(await Promise.all(days.map(fieldOf))).toEqual(
    ['/begunOn', '/endedOn', '/dueOn', '/endsOn', '/day', '/cursor'].map((field) => `invalid-field ${field}`),
  );
});
