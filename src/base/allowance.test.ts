import { expect, test } from 'vitest';

import { createAllowance } from '#base/allowance.ts';

test('a burst is allowed at once, and as much as comes back a second after it', () => {
  const allowance = createAllowance({ burst: 3, perSecond: 2 });
  expect([0, 0, 0, 0].map((atMs) => allowance.take(atMs))).toEqual([true, true, true, false]);
  expect(allowance.take(499)).toBe(false);
  expect(allowance.take(500)).toBe(true);
  expect(allowance.take(500)).toBe(false);
});

test('a long pause allows one burst and no more', () => {
  const allowance = createAllowance({ burst: 2, perSecond: 2 });
  allowance.take(0);
  expect([1e9, 1e9, 1e9].map((atMs) => allowance.take(atMs))).toEqual([true, true, false]);
});
