/** A small fixed share of what `npm run fuzz` does, every kept case, and whether the fuzzer finds and shrinks at all. */

import { expect, test } from 'vitest';

import { runCampaign, problemOf } from '#test/fuzz/campaign.ts';
import { keptCases } from '#test/fuzz/corpus.ts';
import { caseToJson, type Step } from '#test/fuzz/step.ts';
import { hold, type Target } from '#test/fuzz/target.ts';
import { targetNamed, targets } from '#test/fuzz/targets.ts';

/** In all; some seconds. */
const INPUTS = 60_000;
/** On a machine that does much else. */
const TIMEOUT_MS = 60_000;
const shares = targets.reduce((sum, { share }) => sum + share, 0);

test.each(targets.map((target) => [target.name, target] as const))(
  'hostile input breaks no promise of %s',
  { timeout: TIMEOUT_MS },
  async (_, target) => {
    const { failure } = await runCampaign({ target, inputs: (INPUTS * target.share) / shares, seed: 4 });
    expect(
      failure === null
        ? 'held'
        : caseToJson({ target: target.name, why: failure.message, steps: failure.shrunk }),
    ).toBe('held');
  },
);

test.each([...keptCases()])('%s holds', async (_, { target, why, steps }) => {
  expect(why).toMatch(/\w.*\.$/);
  expect(await problemOf(targetNamed(target)!, steps)).toBe(null);
});

/** Fails once a 7 was given after a 3. */
const planted: Target = {
  name: 'planted',
  share: 1,
  about: 'a promise that breaks',
  generate: (chance) => Array.from({ length: 30 }, (): Step => ({ do: 'give', n: chance.below(40) })),
  run(steps, { reached }) {
    let hasThree = false;
    for (const { n = 0 } of steps) {
      if (n === 3) {
        hasThree = true;
        reached('three');
      }
      hold(n !== 7 || !hasThree, 'no seven follows a three');
    }
  },
};

test('what breaks a promise is found, shrunk to what it takes, and found again from the seed', async () => {
  const first = await runCampaign({ target: planted, inputs: 100_000, seed: 11 });
  expect(first.failure?.message).toContain('no seven follows a three');
  expect(first.failure?.shrunk).toEqual([
    { do: 'give', n: 3 },
    { do: 'give', n: 7 },
  ]);
  const again = await runCampaign({ target: planted, inputs: 100_000, seed: 11 });
  expect(again).toEqual({ ...first, slowestMs: expect.any(Number) as number });
});
