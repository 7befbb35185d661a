/**
 * Owns the shrinking of a failing case: fewer steps first (delta debugging, A. Zeller and R. Hildebrandt, IEEE TSE 2002),
 * then simpler ones, until nothing can be left out. Bound: TRIES runs.
 */

import { simplerSteps, type Step } from '#test/fuzz/step.ts';

const TRIES = 3_000;

/** The smallest case found for which `fails` holds; it must hold for `steps`. */
export async function shrink(
  steps: readonly Step[],
  fails: (steps: readonly Step[]) => Promise<boolean>,
): Promise<readonly Step[]> {
  let tries = 0;
  const stillFails = async (candidate: readonly Step[]): Promise<boolean> =>
    tries++ < TRIES && (await fails(candidate));

  let best = steps;
  for (let size = Math.max(1, best.length >> 1); ; size = Math.max(1, size >> 1)) {
    const before = best.length;
    for (let at = 0; at < best.length;) {
      const fewer = [...best.slice(0, at), ...best.slice(at + size)];
      if (await stillFails(fewer)) best = fewer;
      else at += size;
    }
    if (size === 1 && best.length === before) break;
  }
  for (let at = 0; at < best.length;) {
    const simpler = await firstThat(simplerSteps(best[at]!), (step) => stillFails(best.with(at, step)));
    if (simpler === undefined) at++;
    else best = best.with(at, simpler);
  }
  return best;
}

async function firstThat<T>(list: readonly T[], isSo: (item: T) => Promise<boolean>): Promise<T | undefined> {
  for (const item of list) if (await isSo(item)) return item;
  return undefined;
}
