import { Type } from 'typebox';
import { expect, expectTypeOf, test } from 'vitest';

import { defineChannel } from '#contract/channel-definition.ts';
import { channelClient, type MessageOf } from '#sdk/channel-client.ts';
import type { LiveClient } from '#sdk/live-api.ts';

const room = defineChannel({
  name: 'room/{room}',
  summary: 'people talk',
  params: { room: Type.String() },
  lossClass: 'event',
  history: { messages: 10, seconds: 60 },
  out: { said: Type.Object({ text: Type.String() }), left: Type.Null() },
  in: { say: Type.Object({ text: Type.String() }) },
  allow: () => true,
  message: { say: async ({ publish }, { text }) => void (await publish('said', { text })) },
  requests: {
    sum: {
      summary: 'adds',
      input: Type.Array(Type.Number()),
      output: Type.Object({ total: Type.Number() }),
      handle: async () => ({ total: 3 }),
    },
  },
});

test('a client of a definition knows its events, data and requests, and passes them on', async () => {
  const calls: unknown[][] = [];
  const live = new Proxy({} as LiveClient, {
    get:
      (_, name) =>
      (...args: unknown[]): Promise<unknown> => {
        calls.push([name, ...args]);
        return Promise.resolve({ total: 3 });
      },
  });
  const client = channelClient<typeof room>(live, 'room/a');
  client.subscribe({
    last: 5,
    onMessage: (message) => {
      if (message.event === 'said') expectTypeOf(message.data.text).toBeString();
      else expectTypeOf(message.data).toBeNull();
    },
  });
  await client.publish('say', { text: 'hi' }, { key: 'k' });
  expectTypeOf(await client.request('sum', [1, 2])).toEqualTypeOf<{ total: number }>();
  await client.history({ limit: 3 });
  expect(calls).toEqual([
    ['subscribe', 'room/a', { last: 5, onMessage: expect.any(Function) as unknown }],
    ['publish', 'room/a', 'say', { text: 'hi' }, { key: 'k' }],
    ['request', 'room/a', 'sum', [1, 2]],
    ['history', 'room/a', { limit: 3 }],
  ]);
});

test('what a definition does not have does not pass the compiler', () => {
  const wrong = (client: ReturnType<typeof channelClient<typeof room>>): unknown[] => [
    // @ts-expect-error: clients say `say`
    client.publish('said', { text: 'hi' }),
    // @ts-expect-error: text is a string
    client.publish('say', { text: 1 }),
    // @ts-expect-error: no such request
    client.request('product', [1]),
    // @ts-expect-error: numbers
    client.request('sum', ['1']),
  ];
  expect(wrong).toBeTypeOf('function');
  expectTypeOf<MessageOf<typeof room>['event']>().toEqualTypeOf<'said' | 'left'>();
});
