import type pg from 'pg';
import { expect, test } from 'vitest';

import { createReadCache } from '#clinic/read-cache.ts';
import { createSessionLists, sessionListLimits } from '#clinic/session-lists.ts';
import { createMemoryTagVersions } from '#clinic/tag-versions.ts';
import type { RolePool } from '#store/pools.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';

const first = { limit: 20, cursor: null, filter: {} };

function createLists() {
  const clock = createManualClock();
  const cache = createReadCache({ versions: createMemoryTagVersions(), clock });
  const nothing = { rows: [], rowCount: 0 } as unknown as pg.QueryResult;
  let reads = 0;
  const app = {
    run: (statements) => {
      reads++;
      return Promise.resolve(statements.map(() => nothing));
    },
  } as Pick<RolePool, 'run'> as RolePool;
  return { clock, cache, lists: createSessionLists({ app, cache }), reads: () => reads };
}

test('a list is kept for a moment, since readings that are stored tell nobody', async () => {
  const { clock, lists, reads } = createLists();
  expect(await lists.list(testPrincipal(), first)).toBe('{"sessions":[],"next":null}');
  clock.advance(sessionListLimits.ageMs - 1);
  await lists.list(testPrincipal(), first);
  expect(reads()).toBe(1);
  clock.advance(1);
  await lists.list(testPrincipal(), first);
  expect(reads()).toBe(2);
});

test('what is done to a session ends the lists of its organisation at once', async () => {
  const { cache, lists, reads } = createLists();
  const other = testPrincipal({ orgId: 'o2' });
  await lists.list(testPrincipal(), first);
  await lists.list(other, first);
  await cache.change('o1', ['sessions'], () => Promise.resolve());
  await lists.list(testPrincipal(), first);
  await lists.list(other, first);
  expect(reads()).toBe(3);
});

test('each filter and page is a list of its own, and so is what a patient sees', async () => {
  const { lists, reads } = createLists();
  const from = new Date('2026-01-01');
  const asked = [
    first,
    { ...first, limit: 21 },
    { ...first, filter: { state: 'live' as const } },
    { ...first, filter: { from } },
    { ...first, filter: { to: from } },
    { ...first, filter: { patientId: 'p1' } },
  ];
  for (const page of [...asked, ...asked]) await lists.list(testPrincipal(), page);
  expect(reads()).toBe(asked.length);
  await lists.list(testPrincipal({ kind: 'user', role: 'patient', patientId: 'p1' }), first);
  expect(reads()).toBe(asked.length + 1);
});

test('a cursor of another list is refused and nothing is kept', async () => {
  const { lists } = createLists();
  await expect(lists.list(testPrincipal(), { ...first, cursor: 'x' })).rejects.toMatchObject({
    code: 'invalid-field',
    field: '/cursor',
  });
});
