import { expect, test } from 'vitest';

import { delaysOf, measureChain } from '#bench/motion/chain-cost.ts';

test('frames wait for each other: a slow one delays those behind it until the core has caught up', () => {
  const delays = delaysOf([1, 5, 1, 1, 1, 1], 2);
  // 1; 5; came at 4, begun at 7; came at 6, begun at 8; came at 8, begun at 9; came at 10, begun at 10.
  expect(delays.count).toBe(6);
  expect(delays.maxMs()).toBe(5);
  expect(delays.meanMs()).toBeCloseTo((1 + 5 + 4 + 3 + 2 + 1) / 6, 6);
});

test('the measured chain does what it is there for', () => {
  const cost = measureChain({ sessions: 1, seconds: 3, rateHz: 100, heldShare: 0.8 }, () => undefined);
  // A minute of walking, about a stride a second on each side.
  expect(cost.strides).toBeGreaterThan(60);
  expect(cost.sensors).toBe(7);
  expect(cost.sessionsPerCore).toBeGreaterThan(0);
  expect(cost.windowMsP99).toBeGreaterThanOrEqual(cost.windowMsP50);
  // By the tick of CPU time, most frames would have taken nothing.
  expect(cost.windowMsP50).toBeGreaterThan(0);
  expect(cost.windowLeftOut).toBeLessThan(1);
}, 30_000);
