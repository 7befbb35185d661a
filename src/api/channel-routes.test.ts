import { Compile } from 'typebox/compile';
import { expect, test } from 'vitest';

import { defineChannel } from '#contract/channel-definition.ts';
import { Problem } from '#contract/rest.ts';
import { publishRates } from '#api/publish-rates.ts';
import { createChannelApi, roomChannel, type ChannelApi } from '#test/support/channel-api.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const problem = Compile(Problem);

function start() {
  const clock = createManualClock();
  const made = createChannelApi({
    clock,
    connect: () => () => {
      throw new Error('nothing here follows a channel');
    },
  });
  return { ...made, clock };
}

interface Call {
  readonly method?: 'GET' | 'POST';
  readonly key?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const call = ({ api }: Pick<ChannelApi, 'api'>, url: string, options: Call = {}) =>
  api.inject({
    method: options.method ?? 'GET',
    url: `/v1/channels/${url}`,
    headers: {
      authorization: `Bearer ${options.key ?? 'user-alice'}`,
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { payload: JSON.stringify(options.body) }),
  });

const say = (made: Pick<ChannelApi, 'api'>, text: string, options: Call = {}) =>
  call(made, 'room/one/messages', {
    method: 'POST',
    body: { event: 'said', data: { text } },
    ...options,
  });

const codeOf = (answer: { statusCode: number; json(): unknown }): string => {
  const told = answer.json();
  expect(problem.Check(told)).toBe(true);
  return `${answer.statusCode} ${(told as { code: string }).code}`;
};

test('what is published is in the history, with its author and in order', async () => {
  const made = start();
  const first = await say(made, 'hello');
  expect(first.statusCode).toBe(201);
  const { position, isDuplicate } = first.json<{ position: { offset: number }; isDuplicate: boolean }>();
  expect(isDuplicate).toBe(false);
  expect(position.offset).toBe(1);
  await say(made, 'and\n"you"', { key: 'user-bob' });
  const history = await call(made, 'room/one/messages');
  expect(history.json()).toMatchObject({
    channel: 'room/one',
    position: { ...position, offset: 2 },
    oldest: 1,
    messages: [
      { offset: 1, event: 'said', data: { text: 'hello' }, by: 'alice' },
      { offset: 2, event: 'said', data: { text: 'and\n"you"' }, by: 'bob' },
    ],
  });
});

test('history comes in pages, forwards and backwards', async () => {
  const made = start();
  for (let i = 1; i <= 5; i++) await say(made, String(i));
  const offsets = async (query: string): Promise<number[]> =>
    (await call(made, `room/one/messages?${query}`))
      .json<{ messages: { offset: number }[] }>()
      .messages.map(({ offset }) => offset);
  expect(await offsets('after=2&limit=2')).toEqual([3, 4]);
  expect(await offsets('before=3')).toEqual([1, 2]);
  expect(await offsets('limit=1')).toEqual([5]);
  expect(codeOf(await call(made, 'room/one/messages?after=1&before=2'))).toBe('400 invalid-field');
  expect(codeOf(await call(made, 'room/one/messages?limit=257'))).toBe('400 invalid-field');
});

test('the same key publishes once, also as a quoted string', async () => {
  const made = start();
  const first = await say(made, 'once', { headers: { 'idempotency-key': 'k1' } });
  const again = await say(made, 'once', { headers: { 'idempotency-key': '"k1"' } });
  expect([first.statusCode, again.statusCode]).toEqual([201, 200]);
  expect(again.json()).toEqual({ ...first.json<object>(), isDuplicate: true });
  // Keys are the author's own.
  expect(
    (await say(made, 'mine', { key: 'user-bob', headers: { 'idempotency-key': 'k1' } })).statusCode,
  ).toBe(201);
  const long = await say(made, 'x', { headers: { 'idempotency-key': 'k'.repeat(65) } });
  expect(codeOf(long)).toBe('400 invalid-field');
});

test('what does not fit the definition is refused with the field', async () => {
  const made = start();
  const publish = async (body: unknown) => call(made, 'room/one/messages', { method: 'POST', body });
  for (const body of [
    { event: 'sung', data: {} },
    { event: 'said', data: { text: 1 } },
    { event: 'said' },
    { data: { text: 'x' } },
    { event: 'said', data: { text: 'x' }, by: 'bob' },
    [],
    null,
    'said',
  ]) {
    const answer = await publish(body);
    expect(codeOf(answer), JSON.stringify(body)).toBe('400 invalid-field');
    expect(answer.json()).toHaveProperty('field');
  }
  expect(codeOf(await say(made, 'x'.repeat(20_000)))).toBe('413 message-too-large');
});

test('what is not there or not allowed is not told apart', async () => {
  const made = start();
  expect(codeOf(await call(made, 'room/one/messages', { key: 'user-stranger' }))).toBe('404 not-found');
  expect(codeOf(await call(made, 'room/private/messages', { key: 'user-bob' }))).toBe('404 not-found');
  expect((await call(made, 'room/private/messages')).statusCode).toBe(200);
  expect(codeOf(await call(made, 'room/NO/messages'))).toBe('400 invalid-field');
  expect(codeOf(await call(made, 'pointer/a/messages'))).toBe('404 not-found');
  expect(codeOf(await call(made, 'nothing/a/messages'))).toBe('404 not-found');
  for (const key of ['', 'wrong', 'ka_x'])
    expect(codeOf(await call(made, 'room/one/messages', { key }))).toBe('401 unauthenticated');
});

test('whoever is revoked while a pattern is looked up follows nothing', async () => {
  let look = (): void => undefined;
  const looking = new Promise<void>((resolve) => {
    look = resolve;
  });
  let begun = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const made = createChannelApi({
    definitions: [
      defineChannel({
        ...roomChannel,
        list: async () => {
          begun();
          await looking;
          return [{ room: 'one' }];
        },
      }),
    ],
    connect: () => () => {
      throw new Error('nothing is followed');
    },
  });
  const headers = { authorization: 'Bearer user-alice' };
  const answers = ['events', 'poll'].map((way) =>
    made.api.inject({ url: `/v1/${way}?channel=room/*`, headers }),
  );
  await asked;
  made.revoked.add('alice');
  look();
  for (const answer of await Promise.all(answers)) expect(codeOf(answer)).toBe('401 unauthenticated');
});

test('a back end publishes what subscribers are told, without an author', async () => {
  const made = start();
  expect((await say(made, 'from the server', { key: 'back-end' })).statusCode).toBe(201);
  const history = (await call(made, 'room/one/messages')).json<{ messages: object[] }>();
  expect(history.messages[0]).not.toHaveProperty('by');
});

test('a live channel takes publications and has no positions, and a state channel keeps the last', async () => {
  const made = start();
  const moved = await call(made, 'pointer/a/messages', {
    method: 'POST',
    body: { event: 'at', data: { x: 1 } },
  });
  expect([moved.statusCode, moved.json()]).toEqual([201, { isDuplicate: false }]);
  for (const value of [1, 2, 3])
    await call(made, 'gauge/a/messages', { method: 'POST', body: { event: 'value', data: { value } } });
  expect((await call(made, 'gauge/a/messages')).json()).toMatchObject({
    messages: [{ offset: 3, data: { value: 3 } }],
  });
});

test('who is there is told as JSON', async () => {
  const made = start();
  const { channels } = made;
  await channels.presence.enter('org/room/one', { id: 'm1', subject: 'bob', state: '{"mood":"good"}' });
  expect((await call(made, 'room/one/members')).json()).toEqual({
    channel: 'room/one',
    count: 1,
    members: [{ id: 'm1', subject: 'bob', state: { mood: 'good' } }],
  });
  expect(codeOf(await call(made, 'gauge/a/members'))).toBe('404 not-found');
});

test('requests are answered, and their refusals are problems', async () => {
  const made = start();
  const double = async (body: unknown) => call(made, 'room/one/requests/double', { method: 'POST', body });
  expect((await double({ n: 21 })).json()).toEqual({ n: 42 });
  const refused = await double({ n: 13 });
  expect(codeOf(refused)).toBe('409 conflict');
  expect(refused.json()).toMatchObject({ detail: 'not that one', field: '/data/n' });
  expect(codeOf(await double({ n: 'x' }))).toBe('400 invalid-field');
  expect(codeOf(await call(made, 'room/one/requests/none', { method: 'POST', body: {} }))).toBe(
    '404 not-found',
  );
});

test('a flood hears 429 and when to come back', async () => {
  const made = start();
  for (let i = 0; i < publishRates.person.burst; i++)
    await say(made, 'x', { headers: { 'idempotency-key': 'k' } });
  const answer = await say(made, 'x');
  expect(codeOf(answer)).toBe('429 rate-limited');
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
});

test('the description has typed parameters and messages for every face', async () => {
  const { openApi, api } = start();
  await api.ready();
  interface Described {
    readonly operationId: string;
    readonly parameters: { name: string; in: string; schema: object }[];
    readonly responses: Record<string, { content: Record<string, { schema?: object; itemSchema?: object }> }>;
  }
  const { paths } = openApi.document() as { paths: Record<string, Record<string, Described>> };
  const operations = Object.values(paths).flatMap((path) =>
    Object.values(path).map((one) => one.operationId),
  );
  expect(operations.toSorted()).toEqual([
    'listGauge',
    'listMembersOfRoom',
    'listRoom',
    'pollChannels',
    'pollGauge',
    'pollPointer',
    'pollRoom',
    'publishToGauge',
    'publishToPointer',
    'publishToRoom',
    'requestDoubleOfRoom',
    'streamChannels',
    'streamGauge',
    'streamPointer',
    'streamRoom',
  ]);
  const publish = paths['/v1/channels/room/{room}/messages']!['post']!;
  expect(publish.parameters).toMatchObject([
    { name: 'room', in: 'path', schema: { type: 'string', pattern: '^[a-z0-9-]{1,40}$' } },
    { name: 'idempotency-key', in: 'header' },
  ]);
  const stream = paths['/v1/channels/room/{room}/events']!['get']!.responses['200']!.content;
  expect(stream['text/event-stream']?.schema).toMatchObject({
    contentSchema: { $ref: '#/components/schemas/RoomMessage' },
  });
  const newer = openApi.document('3.2.0') as { openapi: string; paths: typeof paths };
  expect(newer.openapi).toBe('3.2.0');
  const item = newer.paths['/v1/events']!['get']!.responses['200']!.content['text/event-stream']?.itemSchema;
  expect(item).toMatchObject({
    properties: { data: { contentSchema: { $ref: '#/components/schemas/AnyHubMessage' } } },
  });
});
