import { expect, test } from 'vitest';

import { createTicker } from '#live/ticker.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function setUp(runMs: number, isShared: () => boolean = () => true) {
  const clock = createManualClock();
  const turn: (() => void)[] = [];
  const ranAt: number[] = [];
  const ticker = createTicker({
    clock,
    endOfTurn: (callback) => void turn.push(callback),
    maxRestMs: 8,
    run: () => {
      ranAt.push(clock.monotonicMs());
      clock.burn(runMs);
      return isShared();
    },
  });
  return { clock, ranAt, ticker, endTurn: () => turn.splice(0).forEach((callback) => callback()) };
}

test('an idle loop runs at the end of the turn, once however often it was asked', () => {
  const { ticker, ranAt, endTurn } = setUp(0.1);
  ticker.request();
  ticker.request();
  expect(ranAt).toEqual([]);
  endTurn();
  expect(ranAt).toEqual([0]);
  ticker.request();
  endTurn();
  expect(ranAt).toEqual([0, 0.1]);
});

test('after a long run it rests three times as long', () => {
  const { ticker, ranAt, endTurn, clock } = setUp(2);
  ticker.request();
  endTurn();
  ticker.request();
  endTurn();
  expect(ranAt).toEqual([0]);
  clock.advance(5.9);
  expect(ranAt).toEqual([0]);
  clock.advance(0.2);
  expect(ranAt).toEqual([0, 8]);
});

test('it never rests longer than its maximum', () => {
  const { ticker, ranAt, endTurn, clock } = setUp(100);
  ticker.request();
  endTurn();
  ticker.request();
  clock.advance(8);
  expect(ranAt).toEqual([0, 108]);
});

test('where nothing shares a write, fifteen of sixteen rests are left out, and none once something does', () => {
  let isShared = false;
  const { ticker, ranAt, endTurn, clock } = setUp(2, () => isShared);
  /** True when it ran at the end of the turn, without a rest. */
  const runs = (): boolean => {
    const before = ranAt.length;
    ticker.request();
    endTurn();
    if (ranAt.length > before) return true;
    clock.advance(8);
    expect(ranAt).toHaveLength(before + 1);
    return false;
  };
  expect(runs()).toBe(true);
  const without = Array.from({ length: 33 }, runs);
  expect(without.filter((ran) => !ran)).toHaveLength(3);
  expect([without[0], without[16], without[32]]).toEqual([false, false, false]);
  isShared = true;
  expect(runs()).toBe(true);
  expect([runs(), runs(), runs()]).toEqual([false, false, false]);
});

test('stopped, it runs no more', () => {
  const { ticker, ranAt, endTurn, clock } = setUp(2);
  ticker.request();
  endTurn();
  ticker.request();
  ticker.stop();
  ticker.request();
  clock.advance(100);
  endTurn();
  expect(ranAt).toEqual([0]);
});
