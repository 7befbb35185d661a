/**
 * Owns what every presence must do, wherever it is kept: one suite of tests, run by each implementation's own test file.
 * What happens when an instance dies is tested where there is more than one instance.
 */

import { afterEach, expect, test } from 'vitest';

import type { Member, Presence, PresenceChange } from '#bus/presence.ts';

/** Two ends of one presence; the same object twice where there is one process. */
export interface PresenceUnderTest {
  readonly near: Presence;
  readonly far: Presence;
}

const laterTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
const member = (id: string, state = 'null'): Member => ({ id, subject: `subject of ${id}`, state });

/** Registers the tests. `create` makes an empty presence that no other test sees. */
export function testPresenceConformance(create: () => Promise<PresenceUnderTest>): void {
  let open: PresenceUnderTest[] = [];
  afterEach(async () => {
    for (const { near, far } of open) {
      await near.close();
      if (far !== near) await far.close();
    }
    open = [];
  });
  const start = async (): Promise<PresenceUnderTest> => {
    const presence = await create();
    open.push(presence);
    return presence;
  };
  testMembers(start);
  testChanges(start);
}

type Start = () => Promise<PresenceUnderTest>;

/** Listens and returns when changes arrive; what was sent to find that out is left out. */
async function hear({ near, far }: PresenceUnderTest, address: string): Promise<PresenceChange[]> {
  const changes: PresenceChange[] = [];
  let isReady = false;
  let hasLeft = false;
  far.listen(address, (change) => {
    const id = change.type === 'left' ? change.id : change.member.id;
    if (id !== 'ready?') changes.push(change);
    else if (change.type === 'left') hasLeft = true;
    else isReady = true;
  });
  while (!isReady) {
    await near.enter(address, member('ready?'));
    await laterTurn();
  }
  await near.leave(address, 'ready?');
  while (!hasLeft) await laterTurn();
  return changes;
}

function testMembers(start: Start): void {
  test('who entered is seen from everywhere with what it says of itself, until it leaves', async () => {
    const { near, far } = await start();
    expect(await far.members('room', 10)).toEqual({ count: 0, members: [] });
    await near.enter('room', member('a', '{"hand":"raised","name":"Ü"}'));
    await far.enter('room', member('b'));
    for (const end of [near, far]) {
      const { count, members } = await end.members('room', 10);
      expect(count).toBe(2);
      expect(members.toSorted((x, y) => x.id.localeCompare(y.id))).toEqual([
        member('a', '{"hand":"raised","name":"Ü"}'),
        member('b'),
      ]);
    }
    await near.leave('room', 'a');
    expect(await far.members('room', 10)).toEqual({ count: 1, members: [member('b')] });
    await far.leave('room', 'b');
    expect(await near.members('room', 10)).toEqual({ count: 0, members: [] });
  });

  test('who enters again replaces what it said and is there once', async () => {
    const { near, far } = await start();
    await near.enter('room', member('a', '1'));
    await near.enter('room', member('a', '2'));
    expect(await far.members('room', 10)).toEqual({ count: 1, members: [member('a', '2')] });
    await near.leave('room', 'a');
    expect((await far.members('room', 10)).count).toBe(0);
  });

  test('all are counted, and as many listed as asked for', async () => {
    const { near, far } = await start();
    const ids = Array.from({ length: 120 }, (_, i) => `m${i}`);
    await Promise.all(ids.map((id, i) => (i % 2 === 0 ? near : far).enter('crowd', member(id))));
    for (const limit of [0, 1, 50, 119, 120, 500]) {
      const { count, members } = await near.members('crowd', limit);
      expect(count).toBe(120);
      expect(members).toHaveLength(Math.min(limit, 120));
      expect(new Set(members.map(({ id }) => id)).size).toBe(members.length);
    }
  });

  test('channels are apart, whatever their addresses look like', async () => {
    const { near, far } = await start();
    for (const address of ['a', 'a/b', 'a/*', 'a:b', 'A']) await near.enter(address, member(address));
    for (const address of ['a', 'a/b', 'a/*', 'a:b', 'A'])
      expect(await far.members(address, 10), address).toEqual({ count: 1, members: [member(address)] });
    await near.leave('a', 'a');
    expect((await far.members('a/b', 10)).count).toBe(1);
  });

  test('leaving where one is not changes nothing', async () => {
    const { near, far } = await start();
    await near.leave('room', 'nobody');
    await near.enter('room', member('a'));
    await near.leave('room', 'nobody');
    expect(await far.members('room', 10)).toEqual({ count: 1, members: [member('a')] });
  });
}

function testChanges(start: Start): void {
  test('listeners are told of those who enter and leave, in order', async () => {
    const presence = await start();
    const changes = await hear(presence, 'room');
    await presence.near.enter('room', member('a', '1'));
    await presence.near.enter('room', member('a', '2'));
    await presence.near.enter('room', member('b'));
    await presence.near.leave('room', 'a');
    while (changes.length < 4) await laterTurn();
    expect(changes).toEqual([
      { type: 'entered', member: member('a', '1') },
      { type: 'entered', member: member('a', '2') },
      { type: 'entered', member: member('b') },
      { type: 'left', id: 'a' },
    ]);
  });

  test('nobody is told of other channels, nor of one who was not there', async () => {
    const presence = await start();
    const changes = await hear(presence, 'room');
    await presence.near.enter('room/1', member('x'));
    await presence.near.leave('room', 'x');
    await presence.near.enter('room', member('last'));
    while (changes.length < 1) await laterTurn();
    expect(changes).toEqual([{ type: 'entered', member: member('last') }]);
  });

  test('who stopped listening is told nothing more, and the others are', async () => {
    const presence = await start();
    const stopped: PresenceChange[] = [];
    const stop = presence.far.listen('room', (change) => stopped.push(change));
    const changes = await hear(presence, 'room');
    stop();
    stop();
    const before = stopped.length;
    await presence.near.enter('room', member('a'));
    while (changes.length < 1) await laterTurn();
    expect(stopped.length).toBe(before);
  });

  test('after close nothing is told, and everything asked for is refused', async () => {
    const presence = await start();
    const changes = await hear(presence, 'room');
    await presence.far.close();
    const unavailable = { code: 'store-unavailable', temporary: true };
    if (presence.near !== presence.far) await presence.near.enter('room', member('a'));
    await laterTurn();
    expect(changes).toEqual([]);
    await expect(presence.far.enter('room', member('b'))).rejects.toMatchObject(unavailable);
    await expect(presence.far.leave('room', 'b')).rejects.toMatchObject(unavailable);
    await expect(presence.far.members('room', 1)).rejects.toMatchObject(unavailable);
  });
}
