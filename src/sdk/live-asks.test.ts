import { expect, test } from 'vitest';

import { createAsks, MAX_ASKS, MAX_UNDER_WAY } from '#sdk/live-asks.ts';
import type { Ask, LiveEffect } from '#sdk/live-events.ts';

function bench() {
  let id = 100;
  const sent: string[] = [];
  const effects: LiveEffect[] = [];
  const asks = createAsks({
    send: (body) => {
      sent.push('event' in body ? body.event : body.type);
      return ++id;
    },
    effect: (effect) => effects.push(effect),
  });
  return { asks, sent: () => sent.splice(0), effects: () => effects.splice(0) };
}

const publish = (ref: number, more: Partial<Ask> = {}): Ask => ({
  ref,
  body: { type: 'publish', channel: 'room/a', event: `e${ref}`, data: null },
  deadlineMs: 10_000,
  isRepeatable: false,
  ...more,
});

test('they are sent in order, as many at a time as the server takes, and each is answered once', () => {
  const { asks, sent, effects } = bench();
  for (let ref = 0; ref < MAX_UNDER_WAY + 2; ref++) asks.add(publish(ref));
  asks.pump();
  expect(sent()).toHaveLength(MAX_UNDER_WAY);
  expect(asks.underWay).toBe(MAX_UNDER_WAY);
  expect(asks.answer({ type: 'response', id: 101, data: 1 }), 'an answer of another kind').toBe(false);
  expect(asks.answer({ type: 'published', id: 101 })).toBe(true);
  expect(asks.answer({ type: 'published', id: 101 }), 'the same again').toBe(false);
  expect(effects()).toMatchObject([{ type: 'answered', ref: 0 }]);
  asks.pump();
  expect(sent()).toEqual([`e${MAX_UNDER_WAY}`]);
});

test('after a lost connection what is repeatable goes first, and in order; the rest is told as not known', () => {
  const { asks, sent, effects } = bench();
  asks.add(publish(1, { isRepeatable: true }));
  asks.add(publish(2));
  asks.add(publish(3, { isRepeatable: true }));
  asks.pump();
  asks.lost();
  asks.add(publish(4));
  expect(effects()).toMatchObject([{ type: 'failed', ref: 2, code: 'unreachable', temporary: true }]);
  sent();
  asks.lost();
  asks.pump();
  expect(sent()).toEqual(['e1', 'e3', 'e4']);
});

test('one more than the maximum is refused at once, and counted', () => {
  const { asks, effects } = bench();
  for (let ref = 0; ref < MAX_ASKS; ref++) asks.add(publish(ref));
  expect(effects()).toEqual([]);
  asks.add(publish(1_000));
  expect(effects()).toMatchObject([{ type: 'failed', ref: 1_000, code: 'overloaded', temporary: true }]);
  expect(asks.refused).toBe(1);
  expect(asks.size).toBe(MAX_ASKS);
});

test('what is not answered in time fails, whether it was sent or waits', () => {
  const { asks, effects } = bench();
  asks.add(publish(1, { deadlineMs: 50 }));
  asks.pump();
  asks.lost();
  asks.add(publish(2, { deadlineMs: 70 }));
  asks.add(publish(3, { deadlineMs: 20 }));
  asks.pump();
  effects();
  expect(asks.nextDeadlineMs).toBe(20);
  asks.expire(60);
  expect(effects()).toMatchObject([{ type: 'failed', ref: 3, code: 'timed-out', temporary: true }]);
  expect(asks.size).toBe(1);
});

test('an error answers what it names, with its own code', () => {
  const { asks, effects } = bench();
  asks.add(publish(1));
  asks.pump();
  expect(asks.error(7, 'forbidden', 'no')).toBe(false);
  expect(asks.error(101, 'forbidden', 'no')).toBe(true);
  expect(effects()).toEqual([{ type: 'failed', ref: 1, code: 'forbidden', message: 'no', temporary: false }]);
});

test('the end fails all', () => {
  const { asks, effects } = bench();
  asks.add(publish(1));
  asks.pump();
  asks.add(publish(2));
  asks.end('stopped', 'stopped by the caller');
  expect(effects()).toMatchObject([
    { ref: 1, code: 'stopped' },
    { ref: 2, code: 'stopped' },
  ]);
  expect(asks.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
});
