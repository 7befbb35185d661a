import { expect, test } from 'vitest';

import { createTicker } from '#live/ticker.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function setUp(runMs: number) {
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
