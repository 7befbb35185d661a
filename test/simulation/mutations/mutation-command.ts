/** Owns `npm run simulate-faults -- --mutations`: every deliberate bug, and by which check of which history it is found. */

import {
  checkMutations,
  mutationProblems,
  mutationTable,
} from '#test/simulation/mutations/mutation-check.ts';
import { mutations } from '#test/simulation/mutations/mutation-list.ts';

/** Returns the exit code. */
export async function runMutations(): Promise<number> {
  const { stdout, stderr } = process;
  let done = 0;
  const outcome = await checkMutations(mutations, () => {
    done++;
    if (stderr.isTTY) stderr.write(`\r\u001b[2K  ${done} of ${mutations.length} mutants`);
  });
  if (stderr.isTTY) stderr.write('\r\u001b[2K');
  const found = outcome.results.filter(({ failure }) => failure !== null).length;
  const problems = mutationProblems(outcome);
  stdout.write(`${mutationTable(outcome.results)}\n\n${found} of ${mutations.length} mutants were found.\n`);
  for (const problem of problems) stdout.write(`${problem}\n`);
  return problems.length === 0 ? 0 : 1;
}
