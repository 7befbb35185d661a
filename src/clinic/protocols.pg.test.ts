import { afterAll, beforeAll, expect, test } from 'vitest';

import { person } from '#test/support/clinic-people.ts';
import { codeOf, emptyPlan, openTestClinic, type TestClinic } from '#test/support/test-clinic.ts';

let clinic: TestClinic;
beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

test('a protocol has revisions, and a session keeps the one that it was planned by', async () => {
  const content = {
    name: 'Walk',
    description: '',
    tasks: [],
    segments: [{ segment: 'pelvis', isRequired: true }],
  };
  const made = await clinic.protocols.create(clinic.ann, content);
  const planned = await clinic.visits.plan(clinic.ann, { ...emptyPlan, protocolId: made.id });
  const changed = await clinic.protocols.change(clinic.ann, made.id, {
    ...content,
    name: 'Walk far',
    revision: 1,
  });
  expect(changed).toMatchObject({ revision: 2, name: 'Walk far' });
  expect(await codeOf(clinic.protocols.change(clinic.ann, made.id, { ...content, revision: 1 }))).toBe(
    'outdated',
  );
  const id = planned.session.id;
  expect((await clinic.visits.read(clinic.ann, id)).protocol).toMatchObject({ revision: 1, name: 'Walk' });
  const kept = await clinic.visits.change(clinic.ann, id, {
    ...emptyPlan,
    protocolId: made.id,
    label: 'x',
    revision: 1,
  });
  expect(kept.protocol).toMatchObject({ revision: 1 });
  const later = await clinic.visits.plan(clinic.ann, { ...emptyPlan, protocolId: made.id });
  expect(later.protocol).toMatchObject({ revision: 2 });
  await clinic.protocols.archive(clinic.ann, made.id);
  await clinic.protocols.archive(clinic.ann, made.id);
  expect((await clinic.protocols.read(clinic.ann, made.id)).archivedAt).not.toBeNull();
  expect(await codeOf(clinic.protocols.change(clinic.ann, made.id, { ...content, revision: 2 }))).toBe(
    'conflict',
  );
  expect(await codeOf(clinic.visits.plan(clinic.ann, { ...emptyPlan, protocolId: made.id }))).toBe(
    'invalid-field',
  );
  const double = { ...content, segments: [...content.segments, ...content.segments] };
  expect(await codeOf(clinic.protocols.create(clinic.ann, double))).toBe('invalid-field');
});

test('protocols are listed page by page, newest first, and a change is seen at once', async () => {
  const lister = person(clinic.other.orgId, { role: 'owner' });
  const names = ['a', 'b', 'c', 'd', 'e'];
  const made = [];
  for (const name of names)
    made.push(await clinic.protocols.create(lister, { name, description: '', tasks: [], segments: [] }));
  const seen = async (): Promise<string[]> => {
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const page = JSON.parse((await clinic.protocols.list(lister, { limit: 2, cursor }))!) as {
        protocols: { name: string }[];
        next: string | null;
      };
      found.push(...page.protocols.map(({ name }) => name));
      cursor = page.next;
    } while (cursor !== null);
    return found.filter((name) => name !== 'x');
  };
  expect(await seen()).toEqual(names.toReversed());
  await clinic.protocols.archive(lister, made[2]!.id);
  expect(await seen()).toEqual(['e', 'd', 'b', 'a']);
  expect(await clinic.protocols.list(lister, { limit: 2, cursor: 'x' })).toBeNull();
});
