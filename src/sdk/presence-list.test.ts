import { expect, test } from 'vitest';

import { createPresenceList } from '#sdk/presence-list.ts';

const member = (id: string, state: unknown = null) => ({ id, subject: id, state });

test('changes are made to the list, and a member that changes keeps its place', () => {
  const list = createPresenceList();
  list.asked();
  list.listed({ count: 2, members: [member('a'), member('b')] });
  list.told({ count: 2, entered: [member('c'), member('a', 'new')], left: ['b'] });
  expect(list.current).toEqual({ count: 2, members: [member('a', 'new'), member('c')] });
});

test('what was told while the list was on its way is newer than the list', () => {
  const list = createPresenceList();
  list.asked();
  list.told({ count: 2, entered: [member('c')], left: ['a'] });
  list.listed({ count: 3, members: [member('a'), member('b')] });
  expect(list.current).toEqual({ count: 2, members: [member('b'), member('c')] });
  list.asked();
  list.listed({ count: 1, members: [member('b')] });
  expect(list.current, 'a new list is the truth').toEqual({ count: 1, members: [member('b')] });
});

test('a channel that only counts has no members, and a crowd is cut', () => {
  const list = createPresenceList();
  list.told({ count: 9_000, entered: [], left: [] });
  expect(list.current).toEqual({ count: 9_000, members: [] });
  list.told({ count: 9_000, entered: Array.from({ length: 700 }, (_, i) => member(`m${i}`)), left: [] });
  expect(list.current.members).toHaveLength(500);
});
