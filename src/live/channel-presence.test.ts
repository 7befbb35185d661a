import { expect, test } from 'vitest';

import { createMemoryPresence } from '#bus/memory-presence.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import { createChannelPresence } from '#live/channel-presence.ts';
import type { Batch, Pulled } from '#live/channel.ts';
import { createHubCounters } from '#live/counters.ts';
import { defaultHubLimits, type HubLimits } from '#live/hub-limits.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { createTestChannels } from '#test/support/test-channels.ts';

type Told = Extract<HubMessage, { readonly type: 'presence' }>;

async function setUp(limits: Partial<HubLimits> = {}) {
  const clock = createManualClock();
  const members = createMemoryPresence();
  const counters = createHubCounters();
  const presence = createChannelPresence(
    { name: 'room/a', address: 'o1/room/a', number: 1, changed: () => undefined },
    {
      channels: createTestChannels({ clock, presence: members }),
      clock,
      limits: { ...defaultHubLimits, ...limits },
      counters,
      onFailure: (cause) => expect.unreachable(String(cause)),
    },
    'members',
  );
  const cursor = { presenceRevision: 0 };
  const pull = (): [Pulled, Told | null] => {
    const batch: Batch = {
      items: [],
      bytes: 0,
      maxBytes: 1e6,
      puller: { wake: () => undefined },
      caughtUp: null,
    };
    const pulled = presence.pull(cursor, batch);
    const item = batch.items[0];
    return [pulled, item === undefined ? null : (JSON.parse(Buffer.from(item.message).toString()) as Told)];
  };
  const settle = async (ms: number): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
    clock.advance(ms);
    presence.look(clock.monotonicMs());
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  const enter = (id: string): Promise<void> =>
    members.enter('o1/room/a', { id, subject: `user-${id}`, state: 'null' });
  const leave = (id: string): Promise<void> => members.leave('o1/room/a', id);
  await settle(0);
  return { presence, counters, cursor, pull, settle, enter, leave, clock };
}

test('who was slow is told the difference since it was told last, however often it changed meanwhile', async () => {
  const { pull, settle, enter, leave } = await setUp();
  expect(pull()).toMatchObject(['all', { count: 0, entered: [], left: [] }]);
  await enter('a');
  await settle(300);
  await enter('b');
  await settle(300);
  await leave('a');
  await settle(300);
  expect(pull()).toMatchObject(['all', { count: 1, entered: [{ id: 'b' }], left: ['a'] }]);
  expect(pull()).toEqual(['all', null]);
});

test('who is so far behind that leavings are forgotten is behind', async () => {
  const { pull, settle, enter, leave } = await setUp({ presenceLeft: 2 });
  pull();
  for (const id of ['a', 'b', 'c', 'd']) {
    await enter(id);
    await settle(300);
    await leave(id);
    await settle(300);
  }
  expect(pull()).toEqual(['behind', null]);
});

test('a channel of more than five hundred only counts, at most once a second, and names people again when it shrinks', async () => {
  const { pull, settle, enter, leave, counters } = await setUp();
  pull();
  for (let i = 0; i < 501; i++) await enter(`m${i}`);
  await settle(1_000);
  expect(pull()).toMatchObject(['all', { count: 501, entered: [], left: [] }]);
  const before = counters.presenceChanges;
  for (let i = 501; i < 600; i++) await enter(`m${i}`);
  await settle(0);
  await settle(1_000);
  expect(pull()).toMatchObject(['all', { count: 600, entered: [] }]);
  expect(counters.presenceChanges - before).toBeLessThanOrEqual(2);
  for (let i = 3; i < 600; i++) await leave(`m${i}`);
  await settle(0);
  await settle(1_000);
  const [, told] = pull();
  expect(told).toMatchObject({ count: 3 });
  expect(told!.entered.map(({ id }) => id)).toEqual(['m0', 'm1', 'm2']);
});
