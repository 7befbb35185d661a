import { expect, test } from 'vitest';

import { createPlayOut } from '#web/live/play-out.ts';

/** Adds `ages` a millisecond apart and follows them for a while. */
function settle(ages: readonly number[], playOut = createPlayOut()) {
  ages.forEach((age, i) => playOut.add(age, i));
  for (let i = 0; i < 100; i++) playOut.update(ages.length);
  return playOut;
}

const steady = (length: number, age: (i: number) => number) => Array.from({ length }, (_, i) => age(i));

test('the delay is what nearly all frames need, and a little more', () => {
  expect(settle(steady(1000, (i) => 50 + (i % 10))).delayMs).toBeCloseTo(59 + 3, 6);
});

test('one late frame in a thousand does not hold back the picture', () => {
  expect(settle(steady(1000, (i) => (i === 500 ? 390 : 50))).delayMs).toBeCloseTo(53, 6);
});

test('a growing need is followed at once, a falling one slowly', () => {
  const playOut = createPlayOut();
  for (let i = 0; i < 100; i++) playOut.add(300, i);
  playOut.update(100);
  expect(playOut.delayMs).toBe(303);
  for (let i = 0; i < 100; i++) playOut.add(50, 20_000 + i);
  playOut.update(20_100);
  expect(playOut.delayMs).toBe(295);
});

test('a disturbance is forgotten', () => {
  const playOut = settle(steady(50, () => 300));
  playOut.add(50, 10_000);
  for (let i = 0; i < 100; i++) playOut.update(10_000);
  expect(playOut.delayMs).toBe(53);
});

test('a sensor with slow batches does not hold back the others', () => {
  expect(settle(steady(1000, (i) => (i % 2 === 0 ? 5_000 : 40))).delayMs).toBeCloseTo(43, 6);
});

test('more ages than are kept push out the oldest', () => {
  expect(settle(steady(6000, (i) => (i < 1000 ? 300 : 50))).delayMs).toBeCloseTo(53, 6);
});

test('without frames the delay stays', () => {
  const playOut = createPlayOut();
  playOut.update(0);
  expect(playOut.delayMs).toBe(100);
});
