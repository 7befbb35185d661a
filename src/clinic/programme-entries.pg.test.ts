import { afterAll, beforeAll, expect, test } from 'vitest';

import type { EntryPage, Programme } from '#contract/care.ts';
import type { Principal } from '#contract/principal.ts';
import type { ProgrammePlace } from '#clinic/programme-entries.ts';
import { openTestClinic, type TestClinic } from '#test/support/clinic.ts';
import { testPrincipal } from '#test/support/principals.ts';

let clinic: TestClinic;
const DAY_MS = 86_400_000;
const exercise = {
  id: 'squat',
  name: 'Squat',
  sets: 3,
  repetitions: 10,
  durationS: null,
  timesPerWeek: 7,
};

beforeAll(async () => {
  clinic = await openTestClinic();
});

afterAll(() => clinic.close());

/** `days` from now, as the database counts them. */
function day(days: number): string {
  return new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
}

async function openProgramme(): Promise<{ place: ProgrammePlace; patient: Principal }> {
  const { records, staff, make, tenant } = clinic;
  const { id: patientId } = await make();
  const request = { title: 'At home', beginsOn: day(-7), exercises: [exercise] };
  const { id } = JSON.parse(await records.programmes.add(staff, patientId, request)) as Programme;
  const patient = testPrincipal({
    kind: 'user',
    orgId: tenant.orgId,
    role: 'patient',
    subject: 'person-of-patient',
    patientId,
    permissions: null,
  });
  return { place: { patientId, programmeId: id }, patient };
}

test('a patient writes down what it did, changes that and takes it back', async () => {
  const { records, staff } = clinic;
  const { place, patient } = await openProgramme();
  const today = { ...place, day: day(0), exercise: 'squat' };
  const put = async (times: number): Promise<unknown> =>
    JSON.parse(await records.entries.put(patient, today, { times, pain: 3 }));
  expect(await put(1)).toMatchObject({ times: 1, pain: 3, recordedBy: 'user:person-of-patient' });
  expect(await put(2)).toMatchObject({ times: 2 });
  const seen = await records.entries.list(staff, place, { limit: 10, cursor: null });
  expect((JSON.parse(seen) as EntryPage).entries).toMatchObject([{ day: day(0), times: 2 }]);
  await records.entries.remove(patient, today);
  await expect(records.entries.remove(patient, today)).rejects.toMatchObject({ code: 'not-found' });
});

test('what the clinic put down stays as it is, and the clinic may correct a patient', async () => {
  const { records, staff } = clinic;
  const { place, patient } = await openProgramme();
  const [first, second] = [-1, -2].map((days) => ({ ...place, day: day(days), exercise: 'squat' }));
  await records.entries.put(staff, first!, { times: 1 });
  await expect(records.entries.put(patient, first!, { times: 5 })).rejects.toMatchObject({
    code: 'conflict',
  });
  await expect(records.entries.remove(patient, first!)).rejects.toMatchObject({ code: 'not-found' });
  await records.entries.put(patient, second!, { times: 1 });
  await records.entries.put(staff, second!, { times: 4 });
  const page = await records.entries.list(patient, place, { limit: 10, cursor: null });
  expect((JSON.parse(page) as EntryPage).entries.map(({ times }) => times)).toEqual([1, 4]);
});

test('nothing was done on a day that is yet to come, or in the programme of somebody else', async () => {
  const { records } = clinic;
  const { place, patient } = await openProgramme();
  const { place: other } = await openProgramme();
  const at = (days: number) => ({ ...place, day: day(days), exercise: 'squat' });
  for (const days of [-8, 2])
    await expect(records.entries.put(patient, at(days), { times: 1 })).rejects.toMatchObject({
      code: 'invalid-field',
      field: '/day',
    });
  for (const wrong of [
    { ...other, day: day(0), exercise: 'squat' },
    { ...place, programmeId: other.programmeId, day: day(0), exercise: 'squat' },
  ])
    await expect(records.entries.put(patient, wrong, { times: 1 })).rejects.toMatchObject({
      code: 'not-found',
    });
  const request = { title: 'Mine', beginsOn: day(0), exercises: [exercise] };
  await expect(records.programmes.add(patient, place.patientId, request)).rejects.toMatchObject({
    code: 'forbidden',
  });
});
