/**
 * Owns the prices of the example: geometric random walks (Bachelier 1900, as Samuelson 1965 has them) of a few invented
 * companies, the same for the same seed. No state but the last price of each.
 */

import { normal, seededRandom } from '#base/random.ts';

export interface Price {
  readonly symbol: string;
  /** In no currency of this world, to two places. */
  readonly price: number;
}

const companies: Readonly<Record<string, number>> = { acme: 120, gait: 48, zinc: 310 };
export const symbols: readonly string[] = Object.keys(companies);

/** Standard deviation of one step, as a part of the price: lively enough to look at. */
const STEP = 0.002;

/** One step of all walks for each call. */
export function createRandomWalk(seed: number): () => readonly Price[] {
  const random = seededRandom(seed);
  const prices = new Map(Object.entries(companies));
  return () =>
    symbols.map((symbol) => {
      const price = Math.max(0.01, prices.get(symbol)! * Math.exp(STEP * normal(random)));
      prices.set(symbol, price);
      return { symbol, price: Math.round(price * 100) / 100 };
    });
}
