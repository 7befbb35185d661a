/**
 * Owns chance: everything that draws a random number takes a Random, so that a seed replays a run.
 * The seeded generator is sfc32 (Chris Doty-Humphrey, PractRand), good for simulation, never for keys.
 */

export interface Random {
  /** Uniform in [0, 1) with 32 bits of resolution. */
  next(): number;
}

export const systemRandom: Random = { next: () => Math.random() };

/** A reproducible generator: the same seed (any integer) gives the same sequence on every platform. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88 ^ Math.floor(seed / 4294967296);
  let c = 0xb7e15162;
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4294967296;
  };
  for (let i = 0; i < 15; i++) next();
  return { next };
}

/** A standard normal variate (Box and Muller 1958); the second of the pair is discarded to stay stateless. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** A uniform integer in [0, bound). */
export function integerBelow(random: Random, bound: number): number {
  return Math.floor(random.next() * bound);
}
