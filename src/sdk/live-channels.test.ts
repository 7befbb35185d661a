import { expect, test } from 'vitest';

import type { HubMessage } from '#contract/live-messages.ts';
import { decodeCursor } from '#protocol/channel-cursor.ts';
import { createFollowedChannels, MAX_CHANNELS } from '#sdk/live-channels.ts';
import type { LiveEffect } from '#sdk/live-events.ts';

const ROOM = 'room/a';
type Position = { readonly epoch: string; readonly offset: number };

function bench() {
  let id = 0;
  const sent: object[] = [];
  const effects: LiveEffect[] = [];
  const channels = createFollowedChannels({
    subscribe: (wish) => {
      sent.push(wish);
      return ++id;
    },
    unsubscribe: (channel) => sent.push({ leave: channel }),
    effect: (effect) => effects.push(effect),
  });
  const take = <T>(from: T[]): T[] => from.splice(0);
  return {
    channels,
    sent: () => take(sent),
    effects: () => take(effects),
    subscribed: (more: Partial<Extract<HubMessage, { type: 'subscribed' }>> = {}) =>
      channels.hear({ type: 'subscribed', id, channel: ROOM, number: 1, lossClass: 'event', ...more }, 0),
    message: (offset: number, channel = ROOM) =>
      channels.hear({ type: 'message', channel, offset, timeUs: 0, event: 'said', data: offset }, 0),
  };
}

const at = (offset: number, epoch = 'e'): Position => ({ epoch, offset });
const offsets = (effects: readonly LiveEffect[]): unknown[] =>
  effects.map((effect) =>
    effect.type === 'message'
      ? effect.message.offset
      : effect.type === 'gap'
        ? [effect.gap.from?.offset ?? null, effect.gap.to.offset]
        : effect.type,
  );

test('messages come once and in order; one that came again is dropped, a hole is told before what follows it', () => {
  const b = bench();
  b.channels.follow(ROOM, {}, true);
  b.subscribed({ position: at(4) });
  for (const offset of [5, 6, 6, 5, 7, 10, 11]) b.message(offset);
  expect(offsets(b.effects())).toEqual(['subscribed', 5, 6, 7, [7, 9], 10, 11]);
  expect(b.channels.counters).toEqual({ duplicates: 2, gaps: 1 });
  expect(b.channels.positionOf(ROOM)).toEqual(at(11));
});

test('a channel is subscribed again from where it was, and says whether that recovered it', () => {
  const b = bench();
  b.channels.follow(ROOM, { last: 3 }, true);
  expect(b.sent()).toEqual([{ channel: ROOM, last: 3 }]);
  b.subscribed({ position: at(0) });
  b.message(1);
  b.channels.detachAll();
  b.message(2);
  b.channels.attachAll();
  expect(b.sent()).toEqual([{ channel: ROOM, position: at(1) }]);
  b.effects();
  b.subscribed({ position: at(1), recovered: true });
  b.message(2);
  expect(b.effects()).toMatchObject([{ type: 'subscribed', recovered: true }, { type: 'message' }]);
});

test.each([
  ['what the server says is lost', { position: at(7), recovered: false }, 7],
  ['another epoch', { position: at(0, 'f'), recovered: true }, 0],
  ['a later position', { position: at(9), recovered: true }, 9],
])('%s is a gap', (_, answer, to) => {
  const b = bench();
  b.channels.follow(ROOM, { position: at(2) }, true);
  expect(b.sent()).toEqual([{ channel: ROOM, position: at(2) }]);
  b.subscribed(answer);
  expect(b.effects()).toMatchObject([
    { type: 'subscribed', recovered: false },
    { type: 'gap', gap: { channel: ROOM, from: at(2), to: { offset: to } } },
  ]);
  b.message(to + 1);
  expect(offsets(b.effects())).toEqual([to + 1]);
});

test('of class state only the newest counts: values that were overtaken are no gap', () => {
  const b = bench();
  b.channels.follow(ROOM, {}, true);
  b.subscribed({ position: at(1), lossClass: 'state' });
  for (const offset of [2, 9, 8]) b.message(offset);
  expect(offsets(b.effects())).toEqual(['subscribed', 2, 9]);
});

test('a reset is a gap to its position, also into another epoch', () => {
  const b = bench();
  b.channels.follow(ROOM, {}, true);
  b.subscribed({ position: at(3) });
  b.channels.hear({ type: 'reset', channel: ROOM, position: at(0, 'f') }, 0);
  b.message(1);
  expect(b.channels.positionOf(ROOM)).toEqual(at(1, 'f'));
  expect(offsets(b.effects())).toEqual(['subscribed', [3, 0], 1]);
});

test('a reset to where the channel is already loses nothing, and nor does such a subscription', () => {
  const b = bench();
  b.channels.follow(ROOM, { position: at(3) }, true);
  b.subscribed({ position: at(3), recovered: false });
  b.channels.hear({ type: 'reset', channel: ROOM, position: at(3) }, 0);
  b.message(4);
  expect(offsets(b.effects())).toEqual(['subscribed', 4]);
  expect(b.channels.counters.gaps).toBe(0);
});

test('what comes before the subscription, or for a channel that nobody follows, is not heard', () => {
  const b = bench();
  b.channels.follow(ROOM, {}, true);
  b.message(1);
  b.subscribed({ position: at(1), id: 99 });
  b.subscribed({ position: at(1), channel: 'room/other' });
  b.channels.hear({ type: 'presence', channel: ROOM, count: 1, entered: [], left: [] }, 0);
  b.channels.hear({ type: 'reset', channel: ROOM, position: at(5) }, 0);
  expect(b.effects()).toEqual([]);
});

test('a pattern becomes channels, which are taken up again by a cursor, and left together', () => {
  const b = bench();
  b.channels.follow('room/*', { last: 1 }, true);
  b.subscribed({ channel: 'room/a', position: at(1), of: 2 });
  b.subscribed({ channel: 'room/b', number: 2, position: at(5, 'g'), of: 2 });
  b.subscribed({ channel: 'house/c', number: 3, position: at(5), of: 3 });
  b.message(2, 'room/a');
  expect(offsets(b.effects())).toEqual(['subscribed', 'subscribed', 2]);
  b.sent();
  b.channels.detachAll();
  b.channels.attachAll();
  const [again] = b.sent() as { channel: string; cursor: string }[];
  expect(Object.keys(again!)).toEqual(['channel', 'cursor']);
  expect(decodeCursor(again!.cursor)?.positionOf('room/a')).toEqual(at(2));
  expect(decodeCursor(again!.cursor)?.positionOf('room/b')).toEqual(at(5, 'g'));
  b.subscribed({ channel: 'room/a', position: at(2), recovered: true, of: 2 });
  b.channels.forget('room/*', true);
  // The other's answer is still to come: it is given back when it does.
  b.subscribed({ channel: 'room/b', number: 2, position: at(5, 'g'), of: 2 });
  expect(b.sent()).toEqual([{ leave: 'room/a' }, { leave: 'room/b' }, { leave: 'room/b' }]);
});

test('a channel that is followed by name and by pattern is left when both have left', () => {
  const b = bench();
  b.channels.follow(ROOM, {}, true);
  b.subscribed({ position: at(1) });
  b.channels.follow('room/*', {}, true);
  b.subscribed({ position: at(1), recovered: true, of: 1 });
  b.sent();
  b.channels.forget(ROOM, true);
  expect(b.sent()).toEqual([]);
  b.channels.forget('room/*', true);
  expect(b.sent()).toEqual([{ leave: ROOM }]);
});

test('who is there is asked for later by subscribing again, and nothing is delivered twice', () => {
  const b = bench();
  b.channels.follow(ROOM, { last: 5 }, true);
  b.subscribed({ position: at(1) });
  b.message(2);
  b.sent();
  b.channels.follow(ROOM, { presence: true }, true);
  expect(b.sent()).toEqual([{ leave: ROOM }, { channel: ROOM, presence: true, position: at(2) }]);
  b.message(3);
  b.subscribed({ position: at(2), recovered: true });
  b.message(3);
  b.message(4);
  expect(offsets(b.effects())).toEqual(['subscribed', 2, 3, 'subscribed', 4]);
});

test('an end by the server is for now, or for good', () => {
  const b = bench();
  b.channels.follow(ROOM, {}, true);
  b.subscribed({ position: at(1) });
  b.channels.hear({ type: 'unsubscribed', channel: ROOM, code: 'overloaded' }, 100);
  b.message(2);
  expect(b.channels.retryAtMs).toBe(2_100);
  b.sent();
  b.channels.retry(2_100);
  expect(b.sent()).toEqual([{ channel: ROOM, position: at(1) }]);
  b.subscribed({ position: at(1), recovered: true });
  b.effects();
  b.channels.hear({ type: 'unsubscribed', channel: ROOM, code: 'forbidden' }, 100);
  expect(b.effects()).toMatchObject([{ type: 'refused', channel: ROOM, code: 'forbidden' }]);
  expect(b.channels.positionOf(ROOM)).toBeNull();
});

test('one channel of a pattern that may not be followed any more does not end the others', () => {
  const b = bench();
  b.channels.follow('room/*', {}, true);
  b.subscribed({ channel: 'room/a', position: at(1), of: 2 });
  b.subscribed({ channel: 'room/b', number: 2, position: at(1), of: 2 });
  b.effects();
  b.channels.hear({ type: 'unsubscribed', channel: 'room/a', code: 'forbidden' }, 0);
  b.message(2, 'room/a');
  b.message(2, 'room/b');
  expect(b.effects()).toMatchObject([
    { type: 'refused', channel: 'room/a' },
    { type: 'message', message: { channel: 'room/b' } },
  ]);
});

test('what others see of a member is said again with the next subscription', () => {
  const b = bench();
  b.channels.follow(ROOM, { presence: true, state: { typing: false } }, false);
  b.channels.setState(ROOM, { typing: true });
  b.channels.attachAll();
  expect(b.sent()).toEqual([{ channel: ROOM, presence: true, state: { typing: true } }]);
});

test('one channel more than the maximum is refused', () => {
  const b = bench();
  for (let i = 0; i < MAX_CHANNELS; i++) b.channels.follow(`room/${i}`, {}, false);
  expect(b.effects()).toEqual([]);
  b.channels.follow(ROOM, {}, false);
  expect(b.effects()).toMatchObject([{ type: 'refused', code: 'limit-exceeded' }]);
});
