/** Deliberate bugs in the program: the simulation must find every one, in histories that nobody wrote for it. */

import { expect, test } from 'vitest';

import { checkMutations, mutationProblems } from '#test/simulation/mutations/mutation-check.ts';
import { mutations } from '#test/simulation/mutations/mutation-list.ts';

test('the simulation finds every deliberate bug, and none in the program as it is', async () => {
  expect(mutationProblems(await checkMutations(mutations))).toEqual([]);
}, 600_000);
