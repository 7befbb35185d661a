import { afterAll, beforeAll, expect, test } from 'vitest';

import { erasePatient } from '#clinic/patient-erasure.ts';
import { erasingFrom } from '#clinic/session-tags.ts';
import type { VisitServices } from '#clinic/visit-services.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { insertSession, insertSummary } from '#test/support/clinic-rows.ts';
import { clinician, openTestClinic, type TestClinic } from '#test/support/clinic.ts';
import { createTestVisits } from '#test/support/visit-services.ts';

let clinic: TestClinic;
let visits: VisitServices;

beforeAll(async () => {
  clinic = await openTestClinic();
  visits = createTestVisits(clinic.pools.app, clinic.cache);
});
afterAll(() => clinic.close());

const page = { limit: 10, cursor: null };

/** A patient with one analysed session, and something written about it. */
async function analysed(): Promise<{ readonly patient: string; readonly session: string }> {
  const { owner, tenant, records, staff, make } = clinic;
  const { id: patient } = await make();
  const whose = { orgId: tenant.orgId, patientId: patient, startedAt: '2026-06-01T10:00:00Z' };
  const session = await insertSession(owner, { ...whose, label: 'Walk' });
  const figures = [{ metric: 'speed', side: null, value: 1.1, sd: 0.1, n: 9 }];
  await insertSummary(owner, { ...whose, session, figures });
  const target = { metric: 'speed', side: null, direction: 'at-least', value: 1.2 } as const;
  await records.goals.add(staff, patient, { text: 'Walk faster', target });
  await records.notes.add(staff, patient, { text: 'Walks well', session });
  const annotation = { kind: 'note', fromUs: 1, toUs: null, text: 'stumbles' } as const;
  await visits.annotations.place(staff, session, annotation);
  return { patient, session };
}

/** Everything that is kept of it: what is said of the session, or why nothing is. */
async function shown({ patient, session }: { patient: string; session: string }): Promise<string[]> {
  const { records, staff } = clinic;
  const filter = { state: 'all', code: null, consent: null, affectedSide: null } as const;
  const texts = [
    records.patients.overview(staff, patient),
    records.patients.progress(staff, patient, { ...page, metrics: null }),
    records.patients.list(staff, filter, page),
    records.goals.list(staff, patient, page),
    records.notes.list(staff, patient, page),
    visits.summaries.read(staff, session),
    visits.annotations.list(staff, session, page),
  ].map((answer) => answer.catch((error: { code: string }) => error.code));
  return (await Promise.all(texts)).map((text) => text ?? '');
}

const isAbout = (session: string) => (text: string) =>
  /2026-06-01|stumbles/.test(text) || text.includes(session);

test('nothing that was read of a session is given after its erasure was acknowledged', async () => {
  const { pools, tenant, cache } = clinic;
  const one = await analysed();
  expect((await shown(one)).map(isAbout(one.session))).toEqual(Array(7).fill(true));
  const { erase } = createRetentionControls(pools, erasingFrom(cache));
  expect(await erase(tenant.orgId, { kind: 'session', id: one.session })).toBe('erased');
  const after = await shown(one);
  expect(after.map(isAbout(one.session))).toEqual(Array(7).fill(false));
  expect(after.slice(-2)).toEqual(['not-found', 'not-found']);
});

test('nothing that was read of the recordings of a patient is given after the erasure of the patient', async () => {
  const { pools, tenant, cache } = clinic;
  const one = await analysed();
  expect((await shown(one)).map(isAbout(one.session))).toEqual(Array(7).fill(true));
  const owner = clinician(tenant.orgId, { role: 'owner' });
  expect(await erasePatient({ pools, cache }, owner, one.patient)).toBe('erased');
  expect((await shown(one)).map(isAbout(one.session))).toEqual(Array(7).fill(false));
});

test('the list of patients says when each was recorded last, as soon as somebody has said whose a recording is', async () => {
  const { owner, tenant, records, staff, make } = clinic;
  const [before, after] = [await make(), await make()];
  const whose = { orgId: tenant.orgId, patientId: before.id, startedAt: '2026-06-01T10:00:00Z' };
  const session = await insertSession(owner, { ...whose, label: 'Walk' });
  const filter = { state: 'all', code: null, consent: null, affectedSide: null } as const;
  const recorded = async (): Promise<(string | null)[]> => {
    const text = await records.patients.list(staff, filter, page);
    const { patients } = JSON.parse(text) as { patients: { id: string; lastSessionAt: string | null }[] };
    return [before, after].map(({ id }) => patients.find((one) => one.id === id)!.lastSessionAt);
  };
  expect(await recorded()).toEqual(['2026-06-01T10:00:00.000Z', null]);
  await visits.visits.bind(staff, session, { patientId: after.id, revision: 1 });
  expect(await recorded()).toEqual([null, '2026-06-01T10:00:00.000Z']);
});
