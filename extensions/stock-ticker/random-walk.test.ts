import { expect, test } from 'vitest';

import { createRandomWalk, symbols } from './random-walk.ts';

test('the same seed walks the same way, another seed another', () => {
  const walk = (seed: number): unknown => {
    const next = createRandomWalk(seed);
    return Array.from({ length: 100 }, () => next());
  };
  expect(walk(1)).toEqual(walk(1));
  expect(walk(1)).not.toEqual(walk(2));
});

test('each step has a price of every symbol, above zero, to two places', () => {
  const next = createRandomWalk(3);
  for (let i = 0; i < 1_000; i++)
    for (const [at, { symbol, price }] of next().entries()) {
      expect(symbol).toBe(symbols[at]);
      expect(price).toBeGreaterThan(0);
      expect(Math.round(price * 100) / 100).toBe(price);
    }
});
