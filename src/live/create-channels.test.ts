import fc from 'fast-check';
import { Type } from 'typebox';
import { expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import { defineChannel, type AnyChannel } from '#contract/channel-definition.ts';
import type { Principal } from '#contract/principal.ts';
import { createChannelCounters } from '#live/channel-counters.ts';
import type { Channels, FoundChannel } from '#live/channels.ts';
import { createChannels, type ChannelsOptions } from '#live/create-channels.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const TickerSymbol = Type.String({ pattern: '^[a-z]{1,8}$' });
const Price = Type.Object({ price: Type.Number() }, { additionalProperties: false });

const prices = defineChannel({
  name: 'ticker/{symbol}',
  summary: 'prices',
  params: { symbol: TickerSymbol },
  lossClass: 'event',
  history: { messages: 10, seconds: 60 },
  presence: 'members',
  out: { price: Price },
  allow: (_context, operation) => operation !== 'publish',
  list: async () => [{ symbol: 'acme' }, { symbol: 'zinc' }],
});

const room = defineChannel({
  name: 'room/{room}',
  summary: 'people talk',
  params: { room: Type.String() },
  lossClass: 'event',
  history: { messages: 10, seconds: 60 },
  out: { said: Type.Object({ text: Type.String() }), left: Type.Null() },
  in: { say: Type.Object({ text: Type.String({ maxLength: 100_000 }) }), left: Type.Null() },
  message: {
    say: async (context, { text }) => {
      if (text === 'refuse') throw new AppError('conflict', 'not that', { field: '/data/text' });
      if (text === 'break') throw new TypeError('a bug');
      if (text === 'hang') await new Promise(() => undefined);
      if (text === 'quiet') return;
      await context.publish('said', { text: text === 'wrong' ? (1 as unknown as string) : text });
    },
  },
  requests: {
    double: {
      summary: 'twice a number',
      input: Type.Object({ n: Type.Number() }),
      output: Type.Number(),
      handle: async (_context, { n }) => (n === 13 ? ('no number' as unknown as number) : n * 2),
    },
  },
  allow: ({ identity }) => identity.subject !== 'stranger',
});

const position = defineChannel({
  name: 'position/{id}',
  summary: 'newest wins',
  params: { id: Type.String() },
  lossClass: 'live',
  out: { at: Type.Object({ x: Type.Number() }) },
  in: { at: Type.Object({ x: Type.Number() }) },
  allow: () => true,
});

const someone = (over: Partial<Principal> = {}): Principal => ({
  kind: 'access',
  orgId: 'org',
  subject: 'ann',
  role: 'service',
  patientId: null,
  permissions: [],
  grants: null,
  expiresAtUs: Number.POSITIVE_INFINITY,
  revocationId: null,
  ...over,
});

function start(over: Partial<ChannelsOptions> = {}) {
  const failures: unknown[] = [];
  const clock = over.clock ?? systemClock;
  const counters = createChannelCounters();
  const volatile = createMemoryBroker({ clock });
  const bus = createMemoryBus();
  const channels = createChannels({
    definitions: [prices, room, position],
    bus,
    brokers: { volatile, durable: null },
    presence: createMemoryPresence(),
    services: {
      clock,
      log: silentLog,
      sessionExists: async () => false,
      deviceExists: async () => false,
      sessionIds: async () => [],
    },
    clock,
    counters,
    onFailure: (cause) => failures.push(cause),
    ...over,
  });
  return { channels, failures, counters, volatile, bus };
}

function find(channels: Channels, name: string): FoundChannel {
  const found = channels.find(name);
  if (found === null) throw new Error(`no ${name}`);
  return found;
}

const bodies = async (channels: Channels, name: string): Promise<unknown[]> => {
  const page = await channels.history(find(channels, name), someone({ kind: 'server' }), {
    newest: true,
    limit: 10,
  });
  if (!page.ok) throw new Error(page.error.message);
  return page.value.publications.map(
    ({ payload }) => JSON.parse(new TextDecoder().decode(payload)) as unknown,
  );
};

test('a name finds its definition and its parameters; what is none finds nothing', () => {
  const { channels } = start();
  expect(find(channels, 'ticker/acme')).toEqual({
    name: 'ticker/acme',
    definition: prices,
    params: { symbol: 'acme' },
  });
  for (const name of [
    '',
    'ticker',
    'ticker/',
    'ticker/ACME',
    'ticker/acme/x',
    'ticker/ächme',
    '/ticker/acme',
  ])
    expect(channels.find(name), name).toBeNull();
  expect(channels.find('ticker/toolongsymbol')).toBeNull();
  expect(channels.find('ticker/{symbol}')).toBeNull();
  expect(channels.find(`room/${'a'.repeat(300)}`)).toBeNull();
  expect(channels.find('__proto__/x')).toBeNull();
});

test('fixed text and a parameter may share a place while no name fits both', () => {
  const of = (name: string): AnyChannel =>
    defineChannel({
      name,
      summary: '',
      params: Object.fromEntries([...name.matchAll(/\{(\w+)\}/g)].map(([, one]) => [one!, Type.String()])),
      lossClass: 'live',
      out: {},
      allow: () => true,
    });
  const { channels } = start({ definitions: [of('a/b/c'), of('a/{x}/d'), of('{y}/q/d2')] });
  expect(channels.find('a/b/d')?.params).toEqual({ x: 'b' });
  expect(channels.find('a/b/c')?.params).toEqual({});
  expect(channels.find('a/q/d2')?.params).toEqual({ y: 'a' });
  expect(() => start({ definitions: [of('a/{x}'), of('{y}/b')] })).toThrow(/a\/\{x\} and \{y\}\/b/);
  expect(() => start({ definitions: [of('a/b'), of('a/b')] })).toThrow(/a\/b and a\/b/);
  expect(() => start({ definitions: [of('a/b/c/d/e/f/g/h/i')] })).toThrow(/8 segments/);
});

test('what a definition needs and is not there is refused at the start', () => {
  const kept = defineChannel({
    name: 'kept',
    summary: '',
    params: {},
    lossClass: 'event',
    durable: true,
    out: {},
    allow: () => true,
  });
  expect(() => start({ definitions: [kept] })).toThrow(/kept: nothing is kept for good/);
});

test('a finding takes the same steps with one definition and with a thousand', () => {
  const many = Array.from({ length: 1000 }, (_, i) =>
    defineChannel({
      name: `kind${i}/{id}`,
      summary: '',
      params: { id: Type.String() },
      lossClass: 'live',
      out: {},
      allow: () => true,
    }),
  );
  const { channels } = start({ definitions: many });
  for (const i of [0, 500, 999])
    expect(channels.find(`kind${i}/7`)).toMatchObject({ definition: many[i], params: { id: '7' } });
});

test('the rule decides, and a channel that nobody may know of does not exist', async () => {
  const { channels } = start();
  const ticker = find(channels, 'ticker/acme');
  const talk = find(channels, 'room/1');
  expect(await channels.allow(ticker, someone(), 'subscribe')).toMatchObject({ ok: true });
  expect(await channels.allow(ticker, someone(), 'publish')).toMatchObject({ error: { code: 'forbidden' } });
  expect(await channels.allow(talk, someone({ subject: 'stranger' }), 'subscribe')).toMatchObject({
    error: { code: 'not-found' },
  });
  expect(await channels.allow(talk, someone({ subject: 'stranger' }), 'publish')).toMatchObject({
    error: { code: 'not-found' },
  });
});

test('a grant limits and never widens', async () => {
  const { channels } = start();
  const granted = someone({
    kind: 'token',
    grants: [{ channels: 'ticker/*', operations: ['subscribe', 'publish'] }],
  });
  const ticker = find(channels, 'ticker/acme');
  expect(await channels.allow(ticker, granted, 'subscribe')).toMatchObject({ ok: true });
  expect(await channels.allow(ticker, granted, 'history')).toMatchObject({ error: { code: 'forbidden' } });
  expect(await channels.allow(ticker, granted, 'publish')).toMatchObject({ error: { code: 'forbidden' } });
  expect(await channels.allow(find(channels, 'room/1'), granted, 'subscribe')).toMatchObject({
    error: { code: 'forbidden' },
  });
});

test('a rule that throws refuses: its AppError as it is, all else as internal', async () => {
  const of = (thrown: Error): AnyChannel =>
    defineChannel({
      name: 'x',
      summary: '',
      params: {},
      lossClass: 'live',
      out: {},
      allow: () => {
        throw thrown;
      },
    });
  const told = start({ definitions: [of(new AppError('rate-limited', 'slower'))] });
  expect(await told.channels.allow(find(told.channels, 'x'), someone(), 'subscribe')).toEqual({
    ok: false,
    error: { code: 'rate-limited', message: 'slower' },
  });
  const bug = new Error('with a secret in it');
  const broken = start({ definitions: [of(bug)] });
  const refused = await broken.channels.allow(find(broken.channels, 'x'), someone(), 'subscribe');
  expect(refused).toMatchObject({ ok: false, error: { code: 'internal' } });
  expect(JSON.stringify(refused)).not.toContain('secret');
  expect(broken.failures).toEqual([bug]);
});

test('a message goes through its handler and carries its author', async () => {
  const { channels, counters } = start();
  const talk = find(channels, 'room/1');
  const outcome = await channels.publish(talk, someone(), { event: 'say', data: { text: 'hello' } });
  expect(outcome).toMatchObject({ ok: true, value: { position: { offset: 1 }, isDuplicate: false } });
  expect(await bodies(channels, 'room/1')).toEqual([{ event: 'said', data: { text: 'hello' }, by: 'ann' }]);
  expect(await channels.publish(talk, someone(), { event: 'left', data: null })).toMatchObject({
    value: { position: { offset: 2 } },
  });
  expect(await channels.publish(talk, someone(), { event: 'say', data: { text: 'quiet' } })).toEqual({
    ok: true,
    value: { position: null, isDuplicate: false },
  });
  expect(counters).toMatchObject({ published: 2, underWay: 0 });
});

test('an error names the field, and what is unknown', async () => {
  const { channels, counters } = start();
  const talk = find(channels, 'room/1');
  const say = (event: string, data: unknown): Promise<unknown> =>
    channels.publish(talk, someone(), { event, data });
  expect(await say('say', { text: 7 })).toMatchObject({
    error: { code: 'invalid-field', field: '/data/text', message: 'must be string' },
  });
  expect(await say('say', {})).toMatchObject({ error: { field: '/data/text', message: 'is missing' } });
  expect(await say('said', { text: 'x' })).toMatchObject({
    error: { code: 'invalid-field', field: '/event' },
  });
  expect(await say('constructor', {})).toMatchObject({ error: { field: '/event' } });
  expect(await say('say', { text: 'refuse' })).toEqual({
    ok: false,
    error: { code: 'conflict', message: 'not that', field: '/data/text' },
  });
  expect(await say('say', { text: 'x'.repeat(17_000) })).toMatchObject({
    error: { code: 'message-too-large', field: '/data' },
  });
  expect(counters.refusedByCode).toEqual({ 'invalid-field': 4, conflict: 1, 'message-too-large': 1 });
});

test('a handler that breaks, or publishes what is not in its schema, is internal and logged', async () => {
  const { channels, failures } = start();
  const talk = find(channels, 'room/1');
  for (const text of ['break', 'wrong'])
    expect(await channels.publish(talk, someone(), { event: 'say', data: { text } })).toMatchObject({
      error: { code: 'internal' },
    });
  expect(failures.map(String)).toEqual([
    'TypeError: a bug',
    expect.stringContaining('"said" does not match its schema: /data/text must be string'),
  ]);
});

test('a handler that does not come back is given up, and its channel is shut before it fills the memory', async () => {
  const clock = createManualClock();
  const { channels, counters } = start({ clock, limits: { abandonedPerDefinition: 2 } });
  const talk = find(channels, 'room/1');
  const say = (text: string): Promise<unknown> =>
    channels.publish(talk, someone(), { event: 'say', data: { text } });
  const hanging = [say('hang'), say('hang')];
  while (clock.timerCount < 2) await Promise.resolve();
  clock.advance(5_000);
  for (const outcome of await Promise.all(hanging))
    expect(outcome).toMatchObject({ error: { code: 'timed-out' } });
  expect(counters).toMatchObject({ abandoned: 2, underWay: 0 });
  expect(await say('hello')).toMatchObject({ error: { code: 'overloaded' } });
  expect(
    await channels.publish(find(channels, 'position/1'), someone(), { event: 'at', data: { x: 1 } }),
  ).toMatchObject({ ok: true });
});

test('a call that was given up counts no more when it comes back after all', async () => {
  const clock = createManualClock();
  let finish = (): void => undefined;
  const slow = defineChannel({
    name: 'slow',
    summary: '',
    params: {},
    lossClass: 'live',
    out: {},
    allow: () => new Promise<boolean>((resolve) => (finish = () => resolve(true))),
  });
  const { channels, counters } = start({ clock, definitions: [slow] });
  const asked = channels.allow(find(channels, 'slow'), someone(), 'subscribe');
  clock.advance(5_000);
  expect(await asked).toMatchObject({ error: { code: 'timed-out' } });
  expect(counters.abandoned).toBe(1);
  finish();
  while (counters.abandoned > 0) await Promise.resolve();
  expect(counters.failures).toBe(0);
});

test('more than underWay publishes at once are overloaded', async () => {
  const { channels, counters } = start({ limits: { underWay: 2 } });
  const talk = find(channels, 'room/1');
  const outcomes = await Promise.all(
    [1, 2, 3].map(() => channels.publish(talk, someone(), { event: 'left', data: null })),
  );
  expect(outcomes.map((one) => (one.ok ? 'ok' : one.error.code))).toEqual(['ok', 'ok', 'overloaded']);
  expect(counters.underWay).toBe(0);
});

test('the same key publishes once for its sender, and takes nothing from another', async () => {
  const { channels, counters } = start();
  const talk = find(channels, 'room/1');
  const say = (subject: string): ReturnType<Channels['publish']> =>
    channels.publish(talk, someone({ subject }), { event: 'say', data: { text: subject }, key: 'k' });
  const first = await say('ann');
  expect(await say('ann')).toMatchObject({
    value: { position: first.ok ? first.value.position : null, isDuplicate: true },
  });
  expect(await say('bob')).toMatchObject({ value: { isDuplicate: false } });
  expect(await bodies(channels, 'room/1')).toHaveLength(2);
  expect(counters).toMatchObject({ published: 2, duplicates: 1 });
});

test('a server key publishes past handler and rule, as the server, and not past the schema', async () => {
  const { channels } = start();
  const server = someone({ kind: 'server', subject: 'back-end' });
  const ticker = find(channels, 'ticker/acme');
  expect(await channels.publish(ticker, server, { event: 'price', data: { price: 2 } })).toMatchObject({
    ok: true,
  });
  expect(await channels.publish(ticker, server, { event: 'price', data: { price: 'x' } })).toMatchObject({
    error: { code: 'invalid-field', field: '/data/price' },
  });
  expect(await bodies(channels, 'ticker/acme')).toEqual([{ event: 'price', data: { price: 2 } }]);
});

test('what all organisations share is under the rule for server keys too', async () => {
  const shared = defineChannel({ ...prices, name: 'shared/{symbol}', audience: 'shared' });
  const { channels } = start({ definitions: [shared] });
  const server = someone({ kind: 'server' });
  expect(
    await channels.publish(find(channels, 'shared/acme'), server, { event: 'price', data: { price: 2 } }),
  ).toMatchObject({ error: { code: 'forbidden' } });
});

test('organisations have their own channel of a name', async () => {
  const { channels } = start();
  const talk = find(channels, 'room/1');
  await channels.publish(talk, someone(), { event: 'left', data: null });
  const other = await channels.history(talk, someone({ orgId: 'other' }), { newest: true, limit: 5 });
  expect(other).toMatchObject({ ok: true, value: { newest: 0, publications: [] } });
});

test('class live goes over the bus and has no position and no history', async () => {
  const { channels, bus } = start();
  const heard: unknown[] = [];
  bus.subscribe('org/position/1', (payload) => heard.push(JSON.parse(new TextDecoder().decode(payload))));
  const found = find(channels, 'position/1');
  expect(await channels.publish(found, someone(), { event: 'at', data: { x: 1 } })).toEqual({
    ok: true,
    value: { position: null, isDuplicate: false },
  });
  expect(heard).toEqual([{ event: 'at', data: { x: 1 }, by: 'ann' }]);
  expect(channels.brokerOf(position)).toBeNull();
  expect(await channels.history(found, someone(), { newest: true, limit: 5 })).toMatchObject({
    error: { code: 'not-found' },
  });
});

test('a request is answered, its input and its answer are checked', async () => {
  const { channels, failures } = start();
  const talk = find(channels, 'room/1');
  const ask = (name: string, data: unknown): Promise<unknown> =>
    channels.request(talk, someone(), { name, data });
  expect(await ask('double', { n: 21 })).toEqual({ ok: true, value: 42 });
  expect(await ask('double', { n: 'x' })).toMatchObject({ error: { field: '/data/n' } });
  expect(await ask('toString', { n: 1 })).toMatchObject({ error: { code: 'not-found' } });
  expect(await ask('double', { n: 13 })).toMatchObject({ error: { code: 'internal' } });
  expect(failures.map(String)).toEqual([expect.stringContaining('the answer to "double"')]);
});

test('the server publishes past the rule to what it names, and a mistake throws', async () => {
  const { channels } = start();
  const target = { orgId: 'org', params: { symbol: 'acme' } };
  expect(await channels.publishAs(prices, target, { event: 'price', data: { price: 1 } })).toMatchObject({
    offset: 1,
  });
  expect(await bodies(channels, 'ticker/acme')).toEqual([{ event: 'price', data: { price: 1 } }]);
  await expect(
    channels.publishAs(prices, target, { event: 'price', data: { price: 'x' as unknown as number } }),
  ).rejects.toThrow('/data/price');
  await expect(
    channels.publishAs(
      prices,
      { orgId: 'org', params: { symbol: 'NO' } },
      { event: 'price', data: { price: 1 } },
    ),
  ).rejects.toThrow('ticker/NO is no channel');
});

test('a pattern stands for what is listed and granted, or says why not', async () => {
  const { channels } = start();
  const names = async (pattern: string, over: Partial<Principal> = {}, most = 64): Promise<unknown> => {
    const expanded = await channels.expand(pattern, someone(over), most);
    return expanded.ok ? expanded.value.map((one) => one.name) : expanded.error.code;
  };
  expect(await names('ticker/*')).toEqual(['ticker/acme', 'ticker/zinc']);
  expect(await names('*/zinc')).toBe('invalid-field');
  expect(await names('ticker/zi*')).toBe('invalid-field');
  expect(await names('room/*')).toBe('invalid-field');
  expect(await names('nothing/*')).toBe('not-found');
  expect(await names('ticker/*', {}, 1)).toBe('limit-exceeded');
  const grants = [{ channels: 'ticker/zinc', operations: ['subscribe'] as const }];
  expect(await names('ticker/*', { grants })).toEqual(['ticker/zinc']);
});

test('members are told where the definition tells them', async () => {
  const { channels } = start();
  await channels.presence.enter('org/ticker/acme', { id: '1', subject: 'ann', state: 'null' });
  expect(await channels.members(find(channels, 'ticker/acme'), someone())).toMatchObject({
    value: { count: 1, members: [{ subject: 'ann' }] },
  });
  expect(await channels.members(find(channels, 'room/1'), someone())).toMatchObject({
    error: { code: 'not-found' },
  });
});

test('join may refuse and publish; leave may break without harm', async () => {
  const lobby = defineChannel({
    name: 'lobby',
    summary: '',
    params: {},
    lossClass: 'event',
    history: { messages: 5, seconds: 5 },
    out: { came: Type.String() },
    allow: () => true,
    join: async ({ identity, publish }) => {
      if (identity.subject === 'full') throw new AppError('overloaded', 'full');
      await publish('came', identity.subject);
    },
    leave: () => {
      throw new Error('left badly');
    },
  });
  const { channels, failures } = start({ definitions: [lobby] });
  const found = find(channels, 'lobby');
  expect(await channels.join(found, someone())).toEqual({ ok: true, value: null });
  expect(await bodies(channels, 'lobby')).toEqual([{ event: 'came', data: 'ann', by: 'ann' }]);
  expect(await channels.join(found, someone({ subject: 'full' }))).toMatchObject({
    error: { code: 'overloaded' },
  });
  channels.leave(found, someone());
  expect(failures.map(String)).toEqual(['Error: left badly']);
});

test('nothing that anybody sends makes the engine throw, and what is kept matches its schema', async () => {
  const { channels, failures } = start();
  const name = fc.oneof(
    fc.string(),
    fc.constantFrom('room/1', 'ticker/acme', 'position/x', 'room/__proto__'),
  );
  await fc.assert(
    fc.asyncProperty(
      name,
      fc.oneof(fc.string(), fc.constantFrom('say', 'left', 'at', 'price')),
      fc.oneof(fc.jsonValue(), fc.record({ text: fc.string() })),
      fc.option(fc.string(), { nil: undefined }),
      async (channel, event, data, key) => {
        const found = channels.find(channel);
        if (found === null) return;
        expect(found.name).toBe(channel);
        const outcome = await channels.publish(found, someone(), { event, data, key });
        expect(outcome).not.toMatchObject({ error: { code: 'internal' } });
      },
    ),
    { numRuns: 2_000 },
  );
  for (const kept of await bodies(channels, 'room/1'))
    expect(kept).toMatchObject({ event: expect.stringMatching(/^(said|left)$/), by: 'ann' });
  expect(failures).toEqual([]);
});
