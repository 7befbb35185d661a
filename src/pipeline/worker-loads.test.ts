import { expect, test } from 'vitest';

import { createWorkerLoads } from '#pipeline/worker-loads.ts';

test('the least loaded takes the next one, until all have as many as they may', () => {
  const loads = createWorkerLoads(2, 2);
  const taken: (number | null)[] = [];
  for (let i = 0; i < 5; i++) {
    const worker = loads.place(0);
    taken.push(worker);
    if (worker !== null) loads.take(worker);
  }
  expect(taken).toEqual([0, 1, 0, 1, null]);
  loads.leave(1);
  expect(loads.place(0)).toBe(1);
});

test('who leaves readings out for three seconds sheds a tenth a second, and takes nobody before it was calm', () => {
  const loads = createWorkerLoads(2, 100);
  for (let i = 0; i < 25; i++) loads.take(0);
  for (let i = 0; i < 30; i++) loads.take(1);
  const shed: number[] = [];
  let left = 0;
  for (let second = 0; second < 6; second++) {
    left += 500;
    const [first, second_] = loads.look([left, 0], second * 1_000);
    expect(second_).toBe(0);
    shed.push(first!);
    for (let i = 0; i < first!; i++) loads.leave(0);
  }
  expect(shed).toEqual([0, 0, 0, 3, 3, 2]);
  expect(loads.place(6_000)).toBe(1);
  // Without further losses it keeps what it has, and takes more half a minute later.
  expect(loads.look([left, 0], 6_000)).toEqual([0, 0]);
  expect(loads.place(34_000)).toBe(1);
  expect(loads.place(35_001)).toBe(0);
});

test('a burst of losses sheds nothing', () => {
  const loads = createWorkerLoads(1, 100);
  loads.take(0);
  for (const [ms, left] of [
    [0, 100],
    [1_000, 200],
    [2_000, 200],
    [3_000, 300],
    [4_000, 400],
  ] as const)
    expect(loads.look([left], ms)).toEqual([0]);
});
