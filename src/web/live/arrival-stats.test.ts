import { expect, test } from 'vitest';

import { createArrivalStats } from '#web/live/arrival-stats.ts';

/** Frames of ten readings at 204.8 Hz whose arrival is late by `delayUs(i)`. */
function feed(frames: number, delayUs: (i: number) => number) {
  const stats = createArrivalStats();
  const periodUs = 10 / 204.8e-6;
  let nowMs = 0;
  for (let i = 0; i < frames; i++) {
    const firstUs = i * periodUs;
    const arrivalUs = 1e15 + firstUs + periodUs + delayUs(i);
    nowMs = (firstUs + periodUs) / 1000;
    stats.add({ arrivalUs, firstUs, count: 10 }, nowMs);
  }
  return { stats, nowMs };
}

test('the rate of a steady stream is the sampling rate', () => {
  const { stats, nowMs } = feed(300, () => 0);
  expect(stats.rate(nowMs)).toBeCloseTo(204.8, 6);
  expect(stats.jitterMs).toBeCloseTo(0, 6);
});

test('there is no rate and no jitter before the second frame', () => {
  const { stats, nowMs } = feed(1, () => 0);
  expect(stats.rate(nowMs)).toBeNull();
  expect(stats.jitterMs).toBeNull();
});

test('a stream that stopped has no rate', () => {
  const { stats, nowMs } = feed(300, () => 0);
  expect(stats.rate(nowMs + 6_000)).toBeNull();
});

test('arrivals that alternate by 4 ms have a jitter of 4 ms', () => {
  const { stats } = feed(400, (i) => (i % 2) * 4000);
  expect(stats.jitterMs).toBeCloseTo(4, 3);
});

test('a pause is not jitter', () => {
  const { stats } = feed(400, (i) => (i < 200 ? 0 : 60_000_000));
  expect(stats.jitterMs).toBeCloseTo(0, 6);
});

test('more frames than are remembered shorten the time, not the truth', () => {
  const stats = createArrivalStats();
  for (let i = 0; i < 5000; i++) stats.add({ arrivalUs: i * 1000, firstUs: i * 1000, count: 2 }, i);
  expect(stats.rate(5000)).toBeCloseTo(2000, 6);
});
