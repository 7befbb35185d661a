import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Annotation, AnnotationPage, AnnotationRequest } from '#contract/visit.ts';
import { visitLimits } from '#contract/visit.ts';
import { annotationChannel, annotationLimits } from '#clinic/annotations.ts';
import { createChannelLog } from '#store/channel-log.ts';
import { erase } from '#store/erasure.ts';
import { person } from '#test/support/clinic-people.ts';
import { codeOf, emptyPlan, newId, openTestClinic, type TestClinic } from '#test/support/test-clinic.ts';

let clinic: TestClinic;
beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

const note = (over: Partial<AnnotationRequest> = {}): AnnotationRequest => ({
  kind: 'note',
  fromUs: 1_000,
  toUs: null,
  text: 'he limps ☃',
  ...over,
});
const listOf = async (session: string, limit = 100): Promise<Annotation[]> => {
  const found: Annotation[] = [];
  let cursor: string | null = null;
  do {
    const text = await clinic.annotations.list(clinic.ann, session, { limit, cursor });
    const page = JSON.parse(text!) as AnnotationPage;
    found.push(...page.annotations);
    cursor = page.next;
  } while (cursor !== null);
  return found;
};

/** What the durable channel of the session holds. */
async function toldIn(session: string): Promise<unknown[]> {
  const address = `${clinic.tenant.orgId}/${annotationChannel(session)}`;
  const page = await createChannelLog(clinic.pools.app).page(address, { after: 0, limit: 100 });
  return page.publications.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()) as unknown);
}

test('an annotation is placed, changed and removed, each told in its channel as it is and kept as a revision', async () => {
  const { id: session } = await clinic.endedSession();
  clinic.told.length = 0;
  const { ann } = clinic;
  const placed = await clinic.annotations.place(ann, session, note());
  expect(placed).toMatchObject({ session, ...note(), author: `user:${ann.subject}`, revision: 1 });
  const span = { kind: 'artefact', fromUs: -5, toUs: 7, text: '' } as const;
  const changed = await clinic.annotations.change(ann, placed, { ...span, revision: 1 });
  expect(changed).toMatchObject({ id: placed.id, ...span, revision: 2, createdAt: placed.createdAt });
  expect(await listOf(session)).toEqual([changed]);
  await clinic.annotations.remove(ann, placed, { revision: 2 });
  expect(await listOf(session)).toEqual([]);
  const told = [
    { event: 'placed', data: placed, by: ann.subject },
    { event: 'changed', data: changed, by: ann.subject },
    { event: 'removed', data: { id: placed.id, revision: 3 }, by: ann.subject },
  ];
  expect(await toldIn(session)).toEqual(told);
  expect(clinic.told).toEqual(told);
  const { revisions } = await clinic.annotations.history(ann, placed);
  expect(revisions).toMatchObject([
    { revision: 1, ...note(), isRemoved: false, reason: null, madeBy: `user:${ann.subject}` },
    { revision: 2, ...span, isRemoved: false },
    { revision: 3, ...span, isRemoved: true },
  ]);
  expect(await codeOf(clinic.annotations.change(ann, placed, { ...span, revision: 3 }))).toBe('not-found');
});

test('they are listed in the order of time, page by page', async () => {
  const { id: session } = await clinic.endedSession();
  const times = [30, 10, 20, 10, 10, -40, 20];
  for (const fromUs of times) await clinic.annotations.place(clinic.ann, session, note({ fromUs }));
  const seen = await listOf(session, 2);
  expect(seen.map(({ fromUs }) => fromUs)).toEqual(times.toSorted((a, b) => a - b));
  expect(new Set(seen.map(({ id }) => id)).size).toBe(times.length);
  expect(await clinic.annotations.list(clinic.ann, session, { limit: 2, cursor: 'x' })).toBeNull();
});

test('the same again under its id is one, and its id is nobody else’s', async () => {
  const { id: session } = await clinic.endedSession();
  const id = newId();
  const first = await clinic.annotations.place(clinic.ann, session, note({ id }));
  expect(await clinic.annotations.place(clinic.ann, session, note({ id }))).toEqual(first);
  expect(await codeOf(clinic.annotations.place(clinic.ben, session, note({ id })))).toBe('conflict');
  expect(await codeOf(clinic.annotations.place(clinic.ann, session, note({ id, text: 'x' })))).toBe(
    'conflict',
  );
  const { id: elsewhere } = await clinic.endedSession();
  expect(await codeOf(clinic.annotations.place(clinic.ann, elsewhere, note({ id })))).toBe('conflict');
  expect(await toldIn(session)).toHaveLength(1);
  expect(await toldIn(elsewhere)).toHaveLength(0);
});

test('its author and owners change it, others and those who came second do not', async () => {
  const { id: session } = await clinic.endedSession();
  const placed = await clinic.annotations.place(clinic.ann, session, note());
  const change = (text: string, revision = 1) =>
    ({ kind: 'note', fromUs: 1, toUs: null, text, revision }) as const;
  expect(await codeOf(clinic.annotations.change(clinic.ben, placed, change('x')))).toBe('forbidden');
  expect(await codeOf(clinic.annotations.remove(clinic.ben, placed, { revision: 1 }))).toBe('forbidden');
  const owner = person(clinic.tenant.orgId, { role: 'owner' });
  const outcomes = await Promise.all(
    [clinic.ann, owner].map((who) => codeOf(clinic.annotations.change(who, placed, change('y')))),
  );
  expect(outcomes.toSorted()).toEqual(['done', 'outdated']);
  expect(await listOf(session)).toMatchObject([{ revision: 2, author: `user:${clinic.ann.subject}` }]);
  const foreigner = person(clinic.other.orgId, { role: 'owner' });
  for (const tried of [
    () => clinic.annotations.place(foreigner, session, note()),
    () => clinic.annotations.change(foreigner, placed, change('z', 2)),
    () => clinic.annotations.remove(foreigner, placed, { revision: 2 }),
    () => clinic.annotations.history(foreigner, placed),
  ])
    expect(await codeOf(tried())).toBe('not-found');
  const patient = person(clinic.tenant.orgId, { role: 'patient', patientId: newId() });
  expect(await codeOf(clinic.annotations.place(patient, session, note()))).toBe('forbidden');
  expect(await toldIn(session)).toHaveLength(2);
});

test('what is sealed is changed with a reason only, which amends it', async () => {
  const { id: session } = await clinic.endedSession();
  const placed = await clinic.annotations.place(clinic.ann, session, note());
  await clinic.progress.seal(clinic.ann, session, 2);
  const change = { kind: 'note', fromUs: 1, toUs: null, text: 'the other leg', revision: 1 } as const;
  await expect(clinic.annotations.place(clinic.ann, session, note())).rejects.toMatchObject({
    code: 'conflict',
    field: '/reason',
  });
  expect(await codeOf(clinic.annotations.change(clinic.ann, placed, change))).toBe('conflict');
  expect(await codeOf(clinic.annotations.remove(clinic.ann, placed, { revision: 1 }))).toBe('conflict');
  expect((await clinic.visits.read(clinic.ann, session)).session.amended).toBe(false);
  await clinic.annotations.change(clinic.ann, placed, { ...change, reason: 'a slip' });
  expect((await clinic.visits.read(clinic.ann, session)).session).toMatchObject({
    state: 'sealed',
    amended: true,
  });
  const { revisions } = await clinic.annotations.history(clinic.ann, placed);
  expect(revisions).toMatchObject([{ text: note().text }, { text: change.text, reason: 'a slip' }]);
});

test('sealing and annotating at once: the annotation comes before, or is refused', async () => {
  for (let round = 0; round < 10; round++) {
    const { id: session } = await clinic.endedSession();
    const [sealed, placed] = await Promise.all([
      codeOf(clinic.progress.seal(clinic.ann, session, 2)),
      codeOf(clinic.annotations.place(clinic.ben, session, note())),
    ]);
    expect(sealed).toBe('done');
    expect(['done', 'conflict']).toContain(placed);
    expect((await clinic.visits.read(clinic.ann, session)).session.amended).toBe(false);
    expect(await listOf(session)).toHaveLength(placed === 'done' ? 1 : 0);
  }
});

test('nothing is said about what was not recorded, backwards, without words, or with half a character', async () => {
  const { session: planned } = await clinic.visits.plan(clinic.ann, emptyPlan);
  expect(await codeOf(clinic.annotations.place(clinic.ann, planned.id, note()))).toBe('conflict');
  const { id: session } = await clinic.endedSession();
  for (const over of [
    { toUs: 1_000 },
    { toUs: 999 },
    { text: ' \n' },
    { text: 'a\u0000' },
    { text: '\ud800' },
  ])
    expect(await codeOf(clinic.annotations.place(clinic.ann, session, note(over)))).toBe('invalid-field');
  expect(await listOf(session)).toEqual([]);
});

test('a session has a maximum of annotations, and what was removed makes room', async () => {
  const { id: session } = await clinic.endedSession();
  await clinic.owner.query(
    `insert into kymo.annotation (id, org_id, session_id, kind, from_us, text, author)
     select gen_random_uuid(), $1, $2, 'note', i, 'x', 'user:x' from generate_series(2, $3::integer) i`,
    [clinic.tenant.orgId, session, visitLimits.annotations],
  );
  const last = await clinic.annotations.place(clinic.ann, session, note());
  expect(await codeOf(clinic.annotations.place(clinic.ann, session, note()))).toBe('limit-exceeded');
  await clinic.annotations.remove(clinic.ann, last, { revision: 1 });
  expect(await codeOf(clinic.annotations.place(clinic.ann, session, note()))).toBe('done');
});

test('the longest text in the worst letters fits into the message that tells it', async () => {
  const { id: session } = await clinic.endedSession();
  for (const letter of ['\u0001', '☃', '"'])
    await clinic.annotations.place(
      clinic.ann,
      session,
      note({ text: letter.repeat(visitLimits.textCharacters) }),
    );
  expect(await toldIn(session)).toHaveLength(3);
});

test('annotations and the talk of them go with their session when it is erased', async () => {
  const { id: session } = await clinic.endedSession();
  await clinic.annotations.place(clinic.ann, session, note());
  expect(await erase(clinic.pools, clinic.tenant.orgId, { kind: 'session', id: session })).toBe('erased');
  const { rows } = await clinic.owner.query(
    `select (select count(*)::int from kymo.annotation where session_id = $1) as annotations,
            (select count(*)::int from kymo.placement where session_id = $1) as placements,
            (select count(*)::int from kymo.channel where session_id = $1) as channels`,
    [session],
  );
  expect(rows).toEqual([{ annotations: 0, placements: 0, channels: 0 }]);
});

test('an annotation has a bounded history, and can be removed at its end', async () => {
  const { id: session } = await clinic.endedSession();
  const placed = await clinic.annotations.place(clinic.ann, session, note());
  const last = annotationLimits.revisions;
  await clinic.owner.query('update kymo.annotation set revision = $2 where id = $1', [placed.id, last - 1]);
  const { reason: _, ...content } = note({ text: 'again' });
  const change = (revision: number) =>
    codeOf(clinic.annotations.change(clinic.ann, placed, { ...content, revision }));
  expect(await change(last - 2)).toBe('outdated');
  expect(await change(last - 1)).toBe('done');
  expect(await change(last)).toBe('limit-exceeded');
  expect(await codeOf(clinic.annotations.remove(clinic.ann, placed, { revision: last }))).toBe('done');
  expect(await listOf(session)).toEqual([]);
});
