import { expect, test } from 'vitest';

import { createMemoryPresence } from '#bus/memory-presence.ts';
import { testPresenceConformance } from '#bus/presence-conformance.ts';

testPresenceConformance(async () => {
  const presence = createMemoryPresence();
  return { near: presence, far: presence };
});

test('members beyond the maximum are refused until others leave', async () => {
  const presence = createMemoryPresence({ maxMembers: 2 });
  const enter = (id: string): Promise<void> => presence.enter('room', { id, subject: 's', state: 'null' });
  await enter('a');
  await enter('b');
  await expect(enter('c')).rejects.toMatchObject({ code: 'overloaded', temporary: true });
  await enter('a');
  await presence.leave('room', 'b');
  await enter('c');
  expect((await presence.members('room', 10)).count).toBe(2);
});
