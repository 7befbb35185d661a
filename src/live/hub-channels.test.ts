/** What viewers can do on channels of class event, state and live, one behaviour a test. */

import { Type } from 'typebox';
import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import { defineChannel } from '#contract/channel-definition.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import { encodeCursor } from '#protocol/channel-cursor.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import { createHub, type HubOptions } from '#live/hub.ts';
import type { ConnectOptions, Outgoing, Transport } from '#live/transport.ts';
import { createFaultyBroker } from '#test/support/faulty-broker.ts';
import { createManualClock } from '#test/support/manual-clock.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { createTestChannels, testDefinitions, type TestRule } from '#test/support/test-channels.ts';

interface Setup {
  readonly limits?: Partial<HubLimits>;
  readonly rule?: TestRule;
  readonly authenticate?: HubOptions['authenticate'];
  readonly channelToken?: NonNullable<HubOptions['channelToken']>;
}

function setUp({ limits = {}, rule = () => true, ...rest }: Setup = {}) {
  const clock = createManualClock();
  const bus = createMemoryBus();
  const broker = createFaultyBroker(createMemoryBroker({ clock }), () => 1);
  const presence = createMemoryPresence();
  const slow: (() => void)[] = [];
  const slowChannel = defineChannel({
    name: 'slow',
    summary: 'Answers when the test says so',
    params: {},
    lossClass: 'event',
    history: { messages: 10, seconds: 60 },
    out: { message: Type.Object({ text: Type.String() }) },
    in: { message: Type.Object({ text: Type.String() }) },
    message: {
      message: async ({ publish }, data) => {
        await new Promise<void>((resolve) => slow.push(resolve));
        await publish('message', data);
      },
    },
    requests: {
      wait: {
        summary: 'Waits',
        input: Type.Unknown(),
        output: Type.Unknown(),
        handle: () => new Promise((resolve) => slow.push(() => resolve('done'))),
      },
    },
    allow: () => true,
  });
  const channels = createTestChannels({
    clock,
    bus,
    broker,
    presence,
    definitions: [...testDefinitions(rule), slowChannel],
  });
  const failures: unknown[] = [];
  const turn: (() => void)[] = [];
  const hub = createHub({
    channels,
    clock,
    authenticate: async () => null,
    limits,
    random: { next: () => 0.5 },
    onFailure: (cause) => failures.push(cause),
    endOfTurn: (callback) => void turn.push(callback),
    ...rest,
  });
  /** Promises run and turns end until nothing more happens. */
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 200; round++) {
      for (let i = 0; i < 50; i++) await Promise.resolve();
      if (turn.length === 0) return;
      for (const callback of turn.splice(0)) callback();
    }
  };
  const connect = (principal: ReturnType<typeof testPrincipal> | null, connection?: ConnectOptions) => {
    const items: Outgoing[] = [];
    /** Types of what each write carried. */
    const writes: string[][] = [];
    const unsent: (() => void)[] = [];
    const caughtUp: string[] = [];
    let isStuck = false;
    let closed: CloseReason | null = null;
    const transport: Transport = {
      write(written, sent) {
        items.push(...written);
        writes.push(written.map(({ type }) => type));
        if (isStuck) unsent.push(sent);
        else sent();
      },
      close: (reason) => void (closed = reason),
      caughtUp: (channel) => caughtUp.push(channel),
    };
    const port = hub.connect(transport, principal, connection);
    const heard = (): HubMessage[] =>
      items.map(({ message }) => JSON.parse(Buffer.from(message).toString()) as HubMessage);
    return {
      port,
      items,
      writes,
      caughtUp,
      heard,
      closedWith: () => closed,
      stick: () => void (isStuck = true),
      unstick() {
        isStuck = false;
        for (const sent of unsent.splice(0)) sent();
      },
      /** Says something and gives what was heard since. */
      async say(...messages: readonly ViewerMessage[]): Promise<HubMessage[]> {
        const before = items.length;
        for (const message of messages) port.receiveText(JSON.stringify(message));
        await settle();
        return heard().slice(before);
      },
      texts: (): string[] =>
        heard().flatMap((one) => (one.type === 'message' ? [(one.data as { text: string }).text] : [])),
    };
  };
  const join = async (channel: string, more: object = {}, who = testPrincipal()) => {
    const viewer = connect(who);
    await viewer.say({ type: 'subscribe', id: 1, channel, ...more });
    return viewer;
  };
  const publish = async (channel: string, ...texts: string[]): Promise<void> => {
    const { definition, params } = channels.find(channel)!;
    for (const text of texts)
      await channels.publishAs(
        definition,
        { orgId: 'o1', params: params as never },
        {
          event: 'message',
          data: { text },
        },
      );
    await settle();
  };
  return { hub, clock, bus, broker, presence, slow, failures, settle, connect, join, publish };
}

const types = (messages: readonly HubMessage[]): string[] => messages.map(({ type }) => type);
const say = (id: number, channel: string, text: string, more: object = {}): ViewerMessage => ({
  type: 'publish',
  id,
  channel,
  event: 'message',
  data: { text },
  ...more,
});

test('what is published reaches every viewer once, encoded once, with its offset, author and time', async () => {
  const { join } = setUp();
  const ada = await join('room/a');
  const ben = await join('room/a', {}, testPrincipal({ subject: 'ben' }));
  const answers = await ben.say(say(2, 'room/a', 'hello'));
  const epoch = expect.stringMatching(/^[a-z0-9]{1,16}$/) as string;
  expect(answers.find(({ type }) => type === 'published')).toEqual({
    type: 'published',
    id: 2,
    position: { epoch, offset: 1 },
  });
  expect(ada.heard().at(-1)).toEqual({
    v: 1,
    type: 'message',
    channel: 'room/a',
    offset: 1,
    timeUs: 1_700_000_000_000_000,
    event: 'message',
    data: { text: 'hello' },
    by: 'ben',
  });
  const [a, b] = [ada, ben].map(({ items }) => items.findLast(({ type }) => type === 'message'));
  expect(a!.framed).toBe(b!.framed);
  expect(a).toMatchObject({ channel: 'room/a', position: { epoch, offset: 1 } });
});

test('the answer to an author leaves in the write of its own message, and to one that does not follow in its own', async () => {
  const { join, connect } = setUp();
  const ada = await join('room/a');
  await ada.say(say(2, 'room/a', 'hello'));
  expect(ada.writes.at(-1)).toEqual(['published', 'message']);
  const ben = connect(testPrincipal({ subject: 'ben' }));
  await ben.say(say(2, 'room/a', 'hello'));
  expect(ben.writes).toEqual([['welcome'], ['published']]);
  expect(ada.writes.at(-1)).toEqual(['message']);
});

test('an answer that waits for the tick goes before what is said at once', async () => {
  const { join, hub, settle } = setUp();
  const ada = await join('room/a');
  ada.port.receiveText(JSON.stringify(say(2, 'room/a', 'hello')));
  // The answer is there, the turn has not ended.
  for (let i = 0; i < 50; i++) await Promise.resolve();
  ada.port.receiveText('{"type":"probe","id":3,"t0Us":1}');
  expect(ada.writes.at(-1)).toEqual(['published', 'probe']);
  ada.port.receiveText(JSON.stringify(say(4, 'room/a', 'again')));
  for (let i = 0; i < 50; i++) await Promise.resolve();
  hub.disconnect(() => true);
  await settle();
  expect(types(ada.heard()).slice(-2)).toEqual(['published', 'error']);
});

test('a viewer that says its position hears what it missed, and only that', async () => {
  const { join, publish } = setUp();
  const first = await join('room/a');
  await publish('room/a', '1', '2', '3', '4');
  const { position } = first.items.filter(({ type }) => type === 'message')[1]!;
  first.port.ended();
  await publish('room/a', '5');
  const again = await join('room/a', { position });
  expect(again.heard()[1]).toMatchObject({ type: 'subscribed', position, recovered: true });
  expect(again.texts()).toEqual(['3', '4', '5']);
  const byCursor = await join('room/a', { cursor: encodeCursor([['room/a', position!]]) });
  expect(byCursor.texts()).toEqual(['3', '4', '5']);
  expect(byCursor.caughtUp).toEqual(['room/a']);
});

test('without a position the newest so many come first, none where none are asked for', async () => {
  const { join, publish } = setUp();
  await publish('room/a', '1', '2', '3');
  expect((await join('room/a', { last: 2 })).texts()).toEqual(['2', '3']);
  expect((await join('room/a', { last: 9 })).texts()).toEqual(['1', '2', '3']);
  const none = await join('room/a');
  expect(none.texts()).toEqual([]);
  expect(none.heard()[1]).toMatchObject({ position: { offset: 3 } });
  expect(none.heard()[1]).not.toHaveProperty('recovered');
});

test('where the history reaches not far enough, recovered is false and what is kept follows', async () => {
  const { join, publish } = setUp();
  await publish('room/a', ...Array.from({ length: 210 }, (_, i) => `${i + 1}`));
  const epoch = (await join('room/a')).items[1]!.position!.epoch;
  const late = await join('room/a', { position: { epoch, offset: 5 } });
  expect(late.heard()[1]).toMatchObject({ recovered: false, position: { epoch, offset: 10 } });
  expect(late.texts()).toEqual(Array.from({ length: 200 }, (_, i) => `${i + 11}`));
  const other = await join('room/a', { position: { epoch: 'other', offset: 5 } });
  expect(other.heard()[1]).toMatchObject({ recovered: false, position: { epoch, offset: 10 } });
});

test('a message that was lost on the way is read from the history before the next is given', async () => {
  const { join, publish, broker, hub } = setUp();
  const viewer = await join('room/a');
  broker.lossChance = 2;
  await publish('room/a', '1', '2');
  expect(viewer.texts()).toEqual([]);
  broker.lossChance = 0;
  await publish('room/a', '3');
  expect(viewer.texts()).toEqual(['1', '2', '3']);
  expect(hub.counters).toMatchObject({ gapsFound: 1, resets: 0 });
});

test('a last message that was lost is found after ten seconds of silence, or when the broker says it resumed', async () => {
  const { join, publish, broker, clock, settle } = setUp();
  const viewer = await join('room/a');
  broker.lossChance = 2;
  await publish('room/a', '1');
  for (let second = 0; second < 11; second++) {
    clock.advance(1000);
    await viewer.say({ type: 'heartbeat' });
  }
  expect(viewer.texts()).toEqual(['1']);
  await publish('room/a', '2');
  broker.resume();
  await settle();
  expect(viewer.texts()).toEqual(['1', '2']);
});

test('a history that began anew is told by reset, and what it has follows', async () => {
  const { join, publish, broker, settle } = setUp();
  const viewer = await join('room/a');
  await publish('room/a', '1', '2');
  broker.forget();
  await publish('room/a', '3');
  broker.resume();
  await settle();
  expect(viewer.texts()).toEqual(['1', '2', '3']);
  const reset = viewer.items.find(({ type }) => type === 'reset')!;
  expect(reset).toMatchObject({ channel: 'room/a', position: { offset: 0 } });
  expect(viewer.items.at(-1)!.position).toEqual({ epoch: reset.position!.epoch, offset: 1 });
});

test('a history that cannot be read fails the subscription only; a running one goes on when it can', async () => {
  const { join, publish, broker, clock, settle, hub } = setUp();
  const viewer = await join('room/a');
  broker.isUnreadable = true;
  const refused = await join('room/b');
  expect(refused.heard().at(-1)).toMatchObject({ type: 'error', code: 'store-unavailable', id: 1 });
  broker.lossChance = 2;
  await publish('room/a', '1');
  broker.lossChance = 0;
  await publish('room/a', '2');
  expect(viewer.texts()).toEqual([]);
  broker.isUnreadable = false;
  clock.advance(hub.counters.historyFailures > 0 ? 200 : 0);
  await settle();
  expect(viewer.texts()).toEqual(['1', '2']);
  expect(await refused.say({ type: 'subscribe', id: 2, channel: 'room/b' })).toMatchObject([
    { type: 'subscribed', id: 2 },
  ]);
});

test('a viewer too far behind is closed as slow and recovers; the tail never exceeds its bounds', async () => {
  const limits = { highWaterBytes: 100, tailMessages: 5, tailBytes: 1_000, restingMessages: 2 };
  const { join, publish, hub } = setUp({ limits });
  const viewer = await join('room/a');
  viewer.stick();
  await publish('room/a', '1');
  const { position } = viewer.items.at(-1)!;
  for (let i = 2; i <= 6; i++) await publish('room/a', `${i}`);
  expect(viewer.closedWith()).toBeNull();
  expect(hub.counters).toMatchObject({ laggingViewers: 1, tailEvicted: 1 });
  await publish('room/a', '7');
  expect(viewer.closedWith()).toBe('slowConsumer');
  await publish('room/a', '8');
  expect(hub.counters.tailBytes).toBeLessThanOrEqual(1_000);
  viewer.port.ended();
  const again = await join('room/a', { position });
  expect(again.texts()).toEqual(['2', '3', '4', '5', '6', '7', '8']);
  expect(hub.counters.tailEvicted).toBeGreaterThan(0);
});

test('a viewer that catches up takes what is missed write by write, however much it is', async () => {
  const limits = { highWaterBytes: 1_000, batchBytes: 500, recoveryMessages: 10, recoveryBytes: 1_000 };
  const { join, publish, hub } = setUp({ limits });
  const first = await join('room/a');
  await publish('room/a', ...Array.from({ length: 150 }, (_, i) => `${i + 1}`));
  first.port.ended();
  const viewer = await join('room/a', { last: 150 });
  expect(viewer.texts()).toHaveLength(150);
  expect(viewer.texts().at(-1)).toBe('150');
  expect(hub.counters.messagesRecovered).toBeGreaterThan(80);
});

test('viewers of class state get the last value at once, and slow ones only the newest', async () => {
  const { join, publish, hub } = setUp({ limits: { highWaterBytes: 100 } });
  await publish('board/a', '1', '2');
  const viewer = await join('board/a');
  expect(viewer.texts()).toEqual(['2']);
  viewer.stick();
  await publish('board/a', '3');
  await publish('board/a', '4');
  await publish('board/a', '5');
  viewer.unstick();
  await publish('board/a', '6');
  expect(viewer.texts()).toEqual(['2', '3', '6']);
  expect(hub.counters.statesSkipped).toBe(2);
  const { position } = viewer.items.at(-1)!;
  const again = await join('board/a', { position });
  expect(again.heard()[1]).toMatchObject({ recovered: true });
  expect(again.texts()).toEqual([]);
});

test('class live tells a slow viewer how many messages it did not get', async () => {
  const { join, publish, hub } = setUp({ limits: { highWaterBytes: 100, ringBytes: 300 } });
  const viewer = await join('pointer/a');
  expect(viewer.heard()[1]).toEqual({
    type: 'subscribed',
    id: 1,
    channel: 'pointer/a',
    number: 1,
    lossClass: 'live',
  });
  viewer.stick();
  for (let i = 1; i <= 9; i++) await publish('pointer/a', `${i}`);
  viewer.unstick();
  await publish('pointer/a', '10');
  expect(viewer.texts()[0]).toBe('1');
  expect(viewer.texts().at(-1)).toBe('10');
  const told = viewer.heard().find((one) => one.type === 'message' && one.skipped !== undefined);
  expect(told).toMatchObject({ v: 1, skipped: hub.counters.ticksSkipped });
  expect(viewer.texts()).toHaveLength(10 - hub.counters.ticksSkipped);
});

test('a pattern becomes one subscription for each channel it stands for, each answered', async () => {
  const { connect } = setUp();
  const viewer = connect(testPrincipal());
  const answers = await viewer.say({ type: 'subscribe', id: 4, channel: 'room/*' });
  expect(answers).toMatchObject(
    ['a', 'b', 'c'].map((room) => ({ type: 'subscribed', id: 4, channel: `room/${room}`, of: 3 })),
  );
  expect(await viewer.say({ type: 'subscribe', id: 5, channel: 'session/*/readings' })).toMatchObject([
    { type: 'error', code: 'invalid-field', field: '/channel', id: 5 },
  ]);
  const position = { epoch: 'e', offset: 1 };
  expect(await viewer.say({ type: 'subscribe', id: 6, channel: 'room/*', position })).toMatchObject([
    { type: 'error', code: 'invalid-field', field: '/position', id: 6 },
  ]);
});

test('what is wrong with a request is answered with the field, and the connection lives', async () => {
  const { join } = setUp();
  const viewer = await join('room/a');
  const wrong: [ViewerMessage, object][] = [
    [say(2, 'room/A!', 'x'), { code: 'invalid-field', field: '/channel' }],
    [say(3, 'nowhere/a', 'x'), { code: 'not-found', field: '/channel', id: 3 }],
    [
      { ...say(4, 'room/a', 'x'), data: { text: 7 } } as never,
      { code: 'invalid-field', field: '/data/text' },
    ],
    [
      { type: 'request', id: 5, channel: 'room/a', name: 'nothing', data: 1 },
      { code: 'not-found', field: '/name' },
    ],
    [
      { type: 'history', id: 6, channel: 'pointer/a' },
      { code: 'not-found', id: 6 },
    ],
    [
      { type: 'history', id: 7, channel: 'room/a', after: 1, before: 2 },
      { code: 'invalid-field', field: '/after' },
    ],
    [
      { type: 'subscribe', id: 8, channel: 'room/b', cursor: '!' },
      { code: 'invalid-field', field: '/cursor' },
    ],
    [
      { type: 'subscribe', id: 9, channel: 'room/b', state: 'x'.repeat(1100) },
      { code: 'invalid-field', field: '/state' },
    ],
    [
      { type: 'state', id: 10, channel: 'room/b', state: 1 },
      { code: 'conflict', field: '/channel' },
    ],
  ];
  for (const [message, error] of wrong)
    expect(await viewer.say(message)).toMatchObject([{ type: 'error', ...error }]);
  expect(viewer.closedWith()).toBeNull();
});

test('published again under the same key, it is published once', async () => {
  const { join } = setUp();
  const viewer = await join('room/a');
  const first = await viewer.say(say(2, 'room/a', 'x', { key: 'k' }));
  const again = await viewer.say(say(3, 'room/a', 'x', { key: 'k' }));
  const position = (first.find(({ type }) => type === 'published') as { position?: unknown }).position;
  expect(again).toEqual([{ type: 'published', id: 3, position, isDuplicate: true }]);
  expect(viewer.texts()).toEqual(['x']);
});

test('what one connection publishes in one channel keeps its order', async () => {
  const { join, slow, settle } = setUp();
  const viewer = await join('slow');
  await viewer.say(say(2, 'slow', 'first'), say(3, 'slow', 'second'));
  expect(slow).toHaveLength(1);
  slow.shift()!();
  await settle();
  slow.shift()!();
  await settle();
  expect(viewer.texts()).toEqual(['first', 'second']);
});

test('a request is answered, with its time-out when it takes too long', async () => {
  const { join, clock, settle } = setUp({ limits: { requestMs: 3_000 } });
  const viewer = await join('room/a');
  const echo = { type: 'request', id: 2, channel: 'room/a', name: 'echo', data: { text: 'hi' } } as const;
  expect(await viewer.say(echo)).toEqual([{ type: 'response', id: 2, data: { text: 'hi' } }]);
  await viewer.say({ type: 'request', id: 3, channel: 'slow', name: 'wait', data: null });
  clock.advance(3_000);
  await settle();
  expect(viewer.heard().at(-1)).toMatchObject({ type: 'error', code: 'timed-out', id: 3 });
});

test('history is read from either side, and cut where it is too long', async () => {
  const { join, publish } = setUp({ limits: { historyBytes: 150 } });
  const viewer = await join('room/a');
  await publish('room/a', '1', '2', '3', '4', '5', '6', '7', '8');
  const offsets = async (query: object): Promise<number[]> => {
    const [answer] = await viewer.say({ type: 'history', id: 2, channel: 'room/a', ...query });
    expect(answer).toMatchObject({ type: 'history', position: { offset: 8 }, oldest: 1 });
    return answer!.type === 'history' ? answer.messages.map(({ offset }) => offset) : [];
  };
  expect(await offsets({ limit: 2 })).toEqual([7, 8]);
  expect(await offsets({ before: 4, limit: 2 })).toEqual([2, 3]);
  expect(await offsets({ after: 2, limit: 2 })).toEqual([3, 4]);
  // 39 bytes each.
  expect(await offsets({})).toEqual([6, 7, 8]);
  expect(await offsets({ after: 0 })).toEqual([1, 2, 3]);
});

test('a rule is asked at every subscription and every publication', async () => {
  const rule: TestRule = (_channel, { subject }, operation) => subject === 'k1' || operation === 'subscribe';
  const { join, connect } = setUp({ rule });
  const guest = await join('room/a', {}, testPrincipal({ subject: 'guest' }));
  expect(guest.heard()[1]).toMatchObject({ type: 'subscribed' });
  expect(await guest.say(say(2, 'room/a', 'x'))).toMatchObject([{ code: 'forbidden', id: 2 }]);
  expect(await guest.say({ type: 'members', id: 3, channel: 'room/a' })).toMatchObject([
    { code: 'forbidden', id: 3 },
  ]);
  const limited = connect(testPrincipal({ grants: [{ channels: 'room/b', operations: ['subscribe'] }] }));
  expect(await limited.say({ type: 'subscribe', id: 1, channel: 'room/a' })).toMatchObject([
    { type: 'error', code: 'forbidden', field: '/channel' },
  ]);
});

test('one organisation never hears another in a channel of the same name', async () => {
  const { join } = setUp();
  const ours = await join('room/a');
  const theirs = await join('room/a', {}, testPrincipal({ orgId: 'o2' }));
  await theirs.say(say(2, 'room/a', 'secret'));
  expect(ours.texts()).toEqual([]);
  expect(theirs.texts()).toEqual(['secret']);
});

test('comings and goings of a moment are one message, and the first tells everybody', async () => {
  const { join, clock, settle, hub } = setUp();
  const ada = await join(
    'room/a',
    { presence: true, state: { name: 'Ada' } },
    testPrincipal({ subject: 'ada' }),
  );
  clock.advance(300);
  await settle();
  const firsts = ada.heard().filter(({ type }) => type === 'presence');
  expect(firsts.at(-1)).toMatchObject({
    count: 1,
    entered: [{ subject: 'ada', state: { name: 'Ada' } }],
    left: [],
  });
  const before = ada.heard().length;
  const ben = await join('room/a', {}, testPrincipal({ subject: 'ben' }));
  const cleo = await join('room/a', {}, testPrincipal({ subject: 'cleo' }));
  ben.port.ended();
  await settle();
  expect(ada.heard().length).toBe(before);
  clock.advance(250);
  await settle();
  expect(ada.heard().slice(before)).toMatchObject([
    { type: 'presence', count: 2, entered: [{ subject: 'cleo', state: null }] },
  ]);
  await cleo.say({ type: 'state', id: 2, channel: 'room/a', state: 'typing' });
  expect(cleo.heard().at(-1)).toEqual({ type: 'stated', id: 2 });
  clock.advance(250);
  await settle();
  expect(ada.heard().at(-1)).toMatchObject({
    count: 2,
    entered: [{ subject: 'cleo', state: 'typing' }],
    left: [],
  });
  expect(await ada.say({ type: 'members', id: 3, channel: 'room/a' })).toMatchObject([
    { type: 'members', count: 2 },
  ]);
  cleo.port.ended();
  clock.advance(250);
  await settle();
  expect(ada.heard().at(-1)).toMatchObject({ count: 1, entered: [], left: [expect.any(String)] });
  expect(hub.counters.presenceFailures).toBe(0);
});

test('a member whose going was not heard is missed at the latest after a lease', async () => {
  const { join, clock, settle, presence } = setUp();
  const ada = await join('room/a', { presence: true });
  clock.advance(300);
  await settle();
  // Its leaving is told to nobody, as when another instance dies: only reading everybody shows it.
  await presence.enter('o1/room/a', { id: 'x.1', subject: 'ghost', state: 'null' });
  clock.advance(300);
  await settle();
  expect(ada.heard().at(-1)).toMatchObject({ count: 2 });
  const members = presence.members;
  presence.members = async () => ({ count: 1, members: (await members('o1/room/a', 9)).members.slice(0, 1) });
  for (let second = 0; second < 11; second++) {
    await ada.say({ type: 'heartbeat' });
    clock.advance(1000);
    await settle();
  }
  expect(
    ada
      .heard()
      .filter(({ type }) => type === 'presence')
      .at(-1),
  ).toMatchObject({ count: 1, left: ['x.1'] });
});

test('where only numbers are told, presence counts', async () => {
  const { join, clock, settle } = setUp();
  const viewer = await join('board/a', { presence: true });
  await join('board/a');
  for (let second = 0; second < 3; second++) {
    clock.advance(1000);
    await settle();
  }
  expect(viewer.heard().at(-1)).toMatchObject({ type: 'presence', count: 2, entered: [], left: [] });
});

test('who only looks in is no member', async () => {
  const { connect, presence } = setUp();
  const viewer = connect(testPrincipal(), { isVisitor: true, isOneWay: true });
  await viewer.say({ type: 'subscribe', id: 1, channel: 'room/a' });
  expect(await presence.members('o1/room/a', 9)).toEqual({ count: 0, members: [] });
});

test('too much publishing is answered rate-limited, for a connection and for a subject; the connection lives', async () => {
  const limits = {
    publishBurst: 3,
    publishesPerSecond: 1,
    subjectPublishBurst: 5,
    subjectPublishesPerSecond: 1,
  };
  const { join, clock } = setUp({ limits });
  const one = await join('room/a');
  const other = await join('room/a');
  const codes = (messages: HubMessage[]): (string | undefined)[] =>
    messages
      .filter(({ type }) => type === 'error' || type === 'published')
      .map((m) => (m.type === 'error' ? m.code : 'ok'));
  const four = [2, 3, 4, 5].map((id) => say(id, 'room/a', 'x'));
  expect(codes(await one.say(...four)).filter((code) => code === 'ok')).toHaveLength(3);
  expect(codes(await other.say(...four)).filter((code) => code === 'ok')).toHaveLength(2);
  expect(codes(other.heard())).toContain('rate-limited');
  expect(one.closedWith()).toBeNull();
  clock.advance(1_000);
  expect(codes(await one.say(say(9, 'room/a', 'x')))).toEqual(['ok']);
});

test('subscriptions that are given up and made anew while rules are asked are bounded', async () => {
  const asked: (() => void)[] = [];
  const { connect, hub } = setUp({
    limits: { subscribesUnderWay: 3 },
    rule: async () => new Promise((resolve) => asked.push(() => resolve(true))),
  });
  const viewer = connect(testPrincipal());
  const follow = (id: number): ViewerMessage => ({ type: 'subscribe', id, channel: 'room/a' });
  const leave = (id: number): ViewerMessage => ({ type: 'unsubscribe', id, channel: 'room/a' });
  await viewer.say(follow(1), leave(2), follow(3), leave(4), follow(5), leave(6));
  expect(asked).toHaveLength(3);
  expect(await viewer.say(follow(7), { type: 'subscribe', id: 8, channel: 'room/*' })).toMatchObject([
    { code: 'overloaded', id: 7 },
    { code: 'overloaded', id: 8 },
  ]);
  expect(asked).toHaveLength(3);
  expect(hub.counters.overloads).toBe(2);
  for (const answer of asked.splice(0)) answer();
  expect(await viewer.say()).toMatchObject([{ id: 1 }, { id: 3 }, { id: 5 }]);
  await viewer.say(follow(9));
  for (const answer of asked.splice(0)) answer();
  expect(await viewer.say()).toMatchObject([{ type: 'subscribed', id: 9 }]);
});

test('more under way than is allowed is overloaded, and what was answered makes room', async () => {
  const { join, slow, hub } = setUp({ limits: { underWayPerViewer: 2 } });
  const viewer = await join('room/a');
  const wait = (id: number): ViewerMessage => ({
    type: 'request',
    id,
    channel: 'slow',
    name: 'wait',
    data: 0,
  });
  expect(await viewer.say(wait(2), wait(3), wait(4))).toMatchObject([{ code: 'overloaded', id: 4 }]);
  expect(hub.counters).toMatchObject({ underWay: 2, overloads: 1 });
  slow.shift()!();
  await viewer.say({ type: 'heartbeat' });
  expect(await viewer.say(wait(5))).toEqual([]);
  for (const answer of slow.splice(0)) answer();
  await viewer.say({ type: 'heartbeat' });
  expect(hub.counters.underWay).toBe(0);
});

test('hello as the first message says who it is; anything else waits for it', async () => {
  const greeted: string[] = [];
  const asked: unknown[] = [];
  const { connect } = setUp({
    authenticate: async (...said) => {
      asked.push(said);
      return said[0] === 'good' ? testPrincipal() : null;
    },
  });
  const viewer = connect(null, { address: '192.0.2.1', greeted: () => greeted.push('yes') });
  expect(viewer.heard()).toEqual([]);
  expect(await viewer.say({ type: 'subscribe', id: 1, channel: 'room/a' })).toMatchObject([
    { type: 'error', code: 'hello-required', id: 1 },
  ]);
  expect(types(await viewer.say({ type: 'hello', key: 'good' }))).toEqual(['welcome']);
  expect(greeted).toEqual(['yes']);
  expect(asked).toEqual([['good', '192.0.2.1']]);
  expect(types(await viewer.say({ type: 'subscribe', id: 2, channel: 'room/a' }))).toEqual(['subscribed']);
  const stranger = connect(null);
  expect(await stranger.say({ type: 'hello', key: 'bad' })).toMatchObject([
    { code: 'unauthenticated', field: '/key' },
  ]);
  expect(stranger.closedWith()).toBe('unauthenticated');
});

test('a connection that does not say who it is in time is closed', () => {
  const { connect, clock } = setUp();
  const viewer = connect(null);
  clock.advance(4_000);
  expect(viewer.closedWith()).toBeNull();
  clock.advance(1_000);
  expect(viewer.closedWith()).toBe('helloTimeout');
});

test('an identity that ends closes its connection, unless it was refreshed before', async () => {
  const startUs = 1_700_000_000_000_000;
  const { connect, clock } = setUp({
    authenticate: async (key) =>
      key === 'other'
        ? testPrincipal({ subject: 'somebody else' })
        : key === 'new'
          ? testPrincipal({ expiresAtUs: startUs + 60_000_000 })
          : null,
  });
  const ending = testPrincipal({ expiresAtUs: startUs + 10_000_000 });
  const viewer = connect(ending);
  const lazy = connect(ending);
  expect(viewer.heard()[0]).toMatchObject({ type: 'welcome', expiresAtUs: startUs + 10_000_000 });
  expect(await viewer.say({ type: 'refresh', id: 1, key: 'bad' })).toMatchObject([
    { code: 'unauthenticated', id: 1 },
  ]);
  expect(await viewer.say({ type: 'refresh', id: 2, key: 'other' })).toMatchObject([
    { code: 'forbidden', id: 2 },
  ]);
  expect(await viewer.say({ type: 'refresh', id: 3, key: 'new' })).toEqual([
    { type: 'refreshed', id: 3, expiresAtUs: startUs + 60_000_000 },
  ]);
  clock.advance(11_000);
  expect(lazy.closedWith()).toBe('expired');
  expect(viewer.closedWith()).toBeNull();
});

test('a refresh asks every permission again, and ends what the new identity may not have', async () => {
  const { connect } = setUp({
    authenticate: async () => testPrincipal({ grants: [{ channels: 'room/a', operations: ['subscribe'] }] }),
  });
  const viewer = connect(testPrincipal());
  await viewer.say(
    { type: 'subscribe', id: 1, channel: 'room/a' },
    { type: 'subscribe', id: 2, channel: 'room/b' },
  );
  expect(await viewer.say({ type: 'refresh', id: 3, key: 'new' })).toEqual([
    { type: 'unsubscribed', channel: 'room/b', code: 'forbidden' },
    { type: 'refreshed', id: 3 },
  ]);
});

test('a channel token gives one channel, until it ends', async () => {
  const { hub, connect, clock } = setUp({
    channelToken: async (token, channel, principal) =>
      token === 'good'
        ? {
            ok: true,
            value: {
              ...principal,
              grants: [{ channels: channel, operations: ['subscribe'] }],
              expiresAtUs: 1_700_000_000_000_000 + 2_000_000,
              revocationId: 'of the token',
            },
          }
        : { ok: false, error: { code: 'unauthenticated', message: 'no' } },
  });
  const viewer = connect(testPrincipal({ grants: [] }));
  const follow = (id: number, more: object, channel = 'room/a'): ViewerMessage => ({
    type: 'subscribe',
    id,
    channel,
    ...more,
  });
  expect(await viewer.say(follow(1, {}))).toMatchObject([{ code: 'forbidden' }]);
  expect(await viewer.say(follow(2, { token: 'bad' }))).toMatchObject([
    { code: 'unauthenticated', field: '/token' },
  ]);
  expect(await viewer.say(follow(3, { token: 'good' }))).toMatchObject([{ type: 'subscribed' }]);
  expect(await viewer.say(follow(4, { token: 'good' }, 'room/*'))).toMatchObject([
    { code: 'invalid-field', field: '/token' },
  ]);
  expect(await viewer.say(follow(5, { token: 'good' }, 'room/b'))).toMatchObject([{ type: 'subscribed' }]);
  clock.advance(3_000);
  expect(viewer.heard().at(-1)).toEqual({ type: 'unsubscribed', channel: 'room/b', code: 'unauthenticated' });
  expect(await viewer.say(follow(6, { token: 'good' }))).toMatchObject([{ type: 'subscribed' }]);
  expect(hub.disconnect(({ revocationId }) => revocationId === 'of the token')).toBe(0);
  expect(viewer.heard().at(-1)).toEqual({ type: 'unsubscribed', channel: 'room/a', code: 'unauthenticated' });
});

test('what was revoked is disconnected at once, and nobody else', async () => {
  const { hub, join } = setUp();
  const revoked = await join('room/a', {}, testPrincipal({ revocationId: 'r1' }));
  const other = await join('room/a');
  expect(hub.disconnect(({ revocationId }) => revocationId === 'r1')).toBe(1);
  expect(revoked.heard().at(-1)).toMatchObject({ type: 'error', code: 'unauthenticated' });
  expect(revoked.closedWith()).toBe('unauthenticated');
  expect(other.closedWith()).toBeNull();
});

test('draining lets what is under way finish, and spreads the viewers evenly', async () => {
  const { hub, connect, join, slow, clock, settle } = setUp({
    limits: { drainSpreadMs: 1_000, drainSpacingMs: 20 },
  });
  const busy = await join('room/a');
  await busy.say({ type: 'request', id: 2, channel: 'slow', name: 'wait', data: 0 });
  const others = Array.from({ length: 99 }, () => connect(testPrincipal()));
  void hub.drain();
  const counts: number[] = [];
  for (let i = 0; i < 10; i++) {
    clock.advance(100);
    counts.push([busy, ...others].filter((one) => one.heard().at(-1)?.type === 'bye').length);
  }
  expect(counts).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  expect(others.every((one) => one.closedWith() === 'restarting')).toBe(true);
  expect(busy.closedWith()).toBeNull();
  slow.shift()!();
  await settle();
  expect(busy.heard().at(-1)).toEqual({ type: 'response', id: 2, data: 'done' });
  expect(busy.closedWith()).toBe('restarting');
});

test('what never answers keeps no viewer longer than the grace', async () => {
  const { hub, join, clock } = setUp({ limits: { drainGraceMs: 500 } });
  const busy = await join('room/a');
  await busy.say({ type: 'request', id: 2, channel: 'slow', name: 'wait', data: 0 });
  void hub.drain();
  clock.advance(20);
  expect(busy.closedWith()).toBeNull();
  clock.advance(500);
  expect(busy.closedWith()).toBe('restarting');
});

test('a failure nobody expected is answered as internal and told to the log', async () => {
  const { connect, failures } = setUp({
    authenticate: () => Promise.reject(new Error('a bug')),
  });
  const viewer = connect(testPrincipal());
  expect(await viewer.say({ type: 'refresh', id: 1, key: 'x' })).toMatchObject([{ code: 'internal', id: 1 }]);
  expect(failures).toHaveLength(1);
  const temporary = setUp({
    authenticate: () => Promise.reject(new AppError('store-unavailable', 'later', { temporary: true })),
  });
  const stranger = temporary.connect(null);
  expect(await stranger.say({ type: 'hello', key: 'x' })).toMatchObject([{ code: 'store-unavailable' }]);
  expect(stranger.closedWith()).toBe('internal');
  expect(temporary.failures).toEqual([]);
});

test('a transport that carries text only is told so of binary channels', async () => {
  const { connect } = setUp();
  const viewer = connect(testPrincipal(), { isTextOnly: true });
  const channel = 'session/01890000-0000-7000-8000-00000000000a/readings';
  expect(await viewer.say({ type: 'subscribe', id: 1, channel })).toMatchObject([{ code: 'invalid-field' }]);
});

test('what comes while the history is read waits within the bounds of the tail; the rest is read', async () => {
  const { join, publish, broker, settle, hub } = setUp({ limits: { tailMessages: 5 } });
  const viewer = await join('room/a');
  broker.lossChance = 2;
  await publish('room/a', '1');
  broker.lossChance = 0;
  broker.isSlow = true;
  for (let i = 2; i <= 12; i++) await publish('room/a', `${i}`);
  expect(viewer.texts()).toEqual([]);
  expect(hub.counters.pendingDropped).toBe(6);
  broker.isSlow = false;
  broker.release();
  await settle();
  expect(viewer.texts()).toEqual(Array.from({ length: 12 }, (_, i) => `${i + 1}`));
});

test('pages that were asked for and are not read are bounded, and then the viewer is closed as slow', async () => {
  const { join, publish } = setUp({ limits: { answersUnsentBytes: 800 } });
  const viewer = await join('room/a');
  await publish('room/a', '1', '2', '3');
  viewer.stick();
  const page: ViewerMessage = { type: 'history', id: 2, channel: 'room/a' };
  await viewer.say(page);
  await viewer.say(page);
  expect(viewer.closedWith()).toBeNull();
  await viewer.say(page);
  expect(viewer.closedWith()).toBe('slowConsumer');
});

test('a viewer that a page led beyond a gap is not told of it again when the channel finds it too', async () => {
  const { join, publish, broker, clock } = setUp({ limits: { restingMessages: 2, recoveryMessages: 5 } });
  const first = await join('room/a');
  await publish('room/a', '1', '2', '3', '4', '5', '6');
  const { position } = first.items.find(({ position: at }) => at?.offset === 1)!;
  // The instance hears nothing of all that the short history forgets meanwhile.
  broker.lossChance = 2;
  await publish('room/a', ...Array.from({ length: 300 }, (_, i) => `${i + 7}`));
  const late = await join('room/a', { position });
  for (let second = 0; second < 12; second++) {
    clock.advance(1000);
    await first.say({ type: 'heartbeat' });
    await late.say({ type: 'heartbeat' });
  }
  expect(late.heard()[1]).toMatchObject({ recovered: false, position: { offset: 106 } });
  expect(late.heard().filter(({ type }) => type === 'reset')).toEqual([]);
  expect(late.texts()).toEqual(Array.from({ length: 200 }, (_, i) => `${i + 107}`));
  expect(first.heard().filter(({ type }) => type === 'reset')).toHaveLength(1);
});

test('many who come back to one place cost one read of the history', async () => {
  const { connect, join, publish, settle, hub } = setUp();
  const first = await join('room/a');
  await publish('room/a', ...Array.from({ length: 120 }, (_, i) => `${i + 1}`));
  const position = first.items.find(({ position: at }) => at?.offset === 10)!.position!;
  const before = hub.counters.historyReads;
  const crowd = Array.from({ length: 50 }, () => connect(testPrincipal()));
  for (const { port } of crowd) port.receive({ type: 'subscribe', id: 1, channel: 'room/a', position });
  await settle();
  for (const one of crowd) expect(one.texts()).toHaveLength(110);
  expect(hub.counters.historyReads - before).toBeLessThanOrEqual(2);
});
