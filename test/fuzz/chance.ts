/** Owns the draws of the fuzzer: small integers, choices and probabilities from one seed, so that a seed replays a run. */

import { seededRandom, type Random } from '#base/random.ts';

export interface Chance {
  readonly random: Random;
  /** A uniform integer in [0, bound). */
  below(bound: number): number;
  /** One of the list, each as likely. */
  among<T>(list: readonly T[]): T;
  /** True with this probability. */
  is(probability: number): boolean;
}

export function createChance(seed: number): Chance {
  const random = seededRandom(seed);
  const { next } = random;
  return {
    random,
    below: (bound) => Math.floor(next() * bound),
    among: (list) => list[Math.floor(next() * list.length)]!,
    is: (probability) => next() < probability,
  };
}
