import { expect, test } from 'vitest';

import type { Placement } from '#motion/body-model.ts';
import { createReadingQueue, READING_VALUES } from '#motion/session/reading-queue.ts';

const placement: Placement = {
  stream: 's',
  segment: 'left-foot',
  rateHz: 20,
  acc: { axes: [3, 4, 5], scale: 10 },
  gyr: { axes: [0, 1, 2], scale: 0.5 },
  mag: null,
  alignment: { kind: 'aligned' },
};

function readings(timesUs: readonly number[]) {
  return {
    timesUs: Float64Array.from(timesUs),
    values: Float32Array.from(timesUs.flatMap((timeUs) => [timeUs, 2, 3, 4, 5, 6])),
    axes: 6,
    count: timesUs.length,
  };
}

function drained(queue: ReturnType<typeof createReadingQueue>): number[] {
  const times: number[] = [];
  for (; queue.length > 0; queue.shift()) times.push(queue.headUs);
  return times;
}

test('readings come out in SI, acc before gyr, without a magnetometer NaN', () => {
  const queue = createReadingQueue(placement, { late: 0, dropped: 0 });
  queue.push(readings([10]), 0);
  expect([...queue.values.subarray(queue.at, queue.at + READING_VALUES)]).toEqual([
    40,
    50,
    60,
    5,
    1,
    1.5,
    NaN,
    NaN,
    NaN,
  ]);
});

test('what is not later than the reading before it, or was passed, is left out and counted', () => {
  const counters = { late: 0, dropped: 0 };
  const queue = createReadingQueue(placement, counters);
  queue.push(readings([10, 10, 9, 20, Number.NaN, 30]), 0);
  queue.push(readings([25, 40, 50]), 45);
  expect(counters.late).toBe(5);
  expect(drained(queue)).toEqual([10, 20, 30, 50]);
});

test('who waits too long loses the oldest, counted', () => {
  const counters = { late: 0, dropped: 0 };
  const queue = createReadingQueue(placement, counters);
  const all = Array.from({ length: 700 }, (_, i) => i + 1);
  queue.push(readings(all), 0);
  expect(counters.dropped).toBe(100);
  expect(drained(queue)).toEqual(all.slice(100));
});

test('a queue grows by what waits, and gives the same from any place that it had come to', () => {
  for (const before of [0, 1, 40, 63]) {
    const queue = createReadingQueue({ ...placement, rateHz: 100 }, { late: 0, dropped: 0 });
    let timeUs = 0;
    const push = (count: number): void => {
      queue.push(readings(Array.from({ length: count }, () => ++timeUs)), 0);
    };
    push(before + 2);
    for (let i = 0; i < before; i++) queue.shift();
    push(1_000);
    expect(queue.values[queue.at]).toBe(40);
    expect(drained(queue)).toEqual(Array.from({ length: 1_002 }, (_, i) => before + 1 + i));
  }
});

test('a queue that went around is the same after a checkpoint', () => {
  const queue = createReadingQueue(placement, { late: 0, dropped: 0 });
  queue.push(readings(Array.from({ length: 500 }, (_, i) => i + 1)), 0);
  for (let i = 0; i < 400; i++) queue.shift();
  queue.push(readings(Array.from({ length: 300 }, (_, i) => i + 501)), 0);
  const copy = createReadingQueue(placement, { late: 0, dropped: 0 });
  copy.load(queue.save());
  copy.push(readings([800, 801]), 0);
  queue.push(readings([800, 801]), 0);
  expect(drained(copy)).toEqual(drained(queue));
});
