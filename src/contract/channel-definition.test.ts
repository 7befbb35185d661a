import { Type } from 'typebox';
import { expect, test } from 'vitest';

import {
  addressOf,
  channelName,
  defineChannel,
  historyOf,
  type AnyChannel,
} from '#contract/channel-definition.ts';

const base = {
  name: 'room/{room}',
  summary: 'A room',
  params: { room: Type.String() },
  lossClass: 'event',
  history: { messages: 10, seconds: 60 },
  out: { said: Type.Object({}) },
  allow: () => true,
} as const;

const { history: _, ...keepsNothing } = base;

test.each<[string, object]>([
  ['neither lower-case text nor {parameter}', { ...base, name: 'Room/{room}' }],
  ['stands in the name once', { ...base, name: 'room/{room}/{room}' }],
  ['params has a schema', { ...base, params: {} }],
  ['params has a schema', { ...base, name: 'room' }],
  ['event "Said!"', { ...base, out: { 'Said!': Type.Object({}) } }],
  ['either history or durable', keepsNothing],
  ['either history or durable', { ...base, durable: true }],
  ['only class event can be durable', { ...keepsNothing, lossClass: 'state', durable: true }],
  ['belongs to an organisation', { ...keepsNothing, durable: true, audience: 'shared' }],
  ['class live keeps no history', { ...base, lossClass: 'live' }],
  ['history.messages', { ...base, history: { messages: 0, seconds: 60 } }],
  ['history.seconds', { ...base, history: { messages: 10, seconds: 1e9 } }],
  ['neither a handler nor the same event', { ...base, in: { whispered: Type.Object({}) } }],
])('a definition that contradicts itself says so: %s', (message, definition) => {
  expect(() => defineChannel(definition as unknown as AnyChannel)).toThrow(message);
});

test('a definition comes back as it is, with its address, name and history', () => {
  const room = defineChannel(base);
  expect(room).toBe(base);
  expect(channelName(room, { room: 'kitchen' })).toBe('room/kitchen');
  expect(addressOf(room, 'o1', 'room/kitchen')).toBe('o1/room/kitchen');
  expect(addressOf({ ...room, audience: 'shared' }, 'o1', 'room/kitchen')).toBe('-/room/kitchen');
  expect(historyOf(room)).toEqual({ messages: 10, seconds: 60 });
  expect(historyOf({ ...keepsNothing, lossClass: 'state' })).toEqual({ messages: 1, seconds: 86_400 });
  expect(historyOf({ ...keepsNothing, lossClass: 'live' })).toEqual({ messages: 0, seconds: 0 });
});
