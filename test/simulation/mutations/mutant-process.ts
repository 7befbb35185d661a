/**
 * Owns one child process of the mutation check: it runs histories of a mutated program until one of them fails, and says
 * so in one line of JSON. Its argument is a MutantOrder in JSON.
 */

import { enableCompileCache } from 'node:module';

import { assert } from '#base/assert.ts';
import { loadMutated } from '#test/simulation/mutations/mutated-modules.ts';
import type { MutantOrder, MutantReport } from '#test/simulation/mutations/mutation-check.ts';
import { mutations } from '#test/simulation/mutations/mutation-list.ts';

const { name, seeds, budgetMs, cache } = JSON.parse(process.argv[2] ?? '') as MutantOrder;
enableCompileCache(cache);
const mutation = mutations.find((one) => one.name === name);
assert(name === null || mutation !== undefined, 'a mutation of the list');
const unloaded = mutation === undefined ? (): string[] => [] : loadMutated(mutation);
// Only now: the program is loaded with its mutation.
const { runHistory } = await import('#test/simulation/run-history.ts');
const { scenarioOf } = await import('#test/simulation/scenario.ts');
const { runChannelHistory } = await import('#test/simulation/channels/channel-history.ts');

async function run(): Promise<Omit<MutantReport, 'unloaded'>> {
  const endMs = performance.now() + budgetMs;
  let histories = 0;
  for (const { profile, from, count } of seeds)
    for (let seed = from; seed < from + count && performance.now() < endMs; seed++) {
      histories++;
      const { violation } =
        profile === 'channels' ? await runChannelHistory(seed) : await runHistory(scenarioOf(seed, profile));
      if (violation === null) continue;
      const { check, message } = violation;
      return { histories, failure: { profile, seed, check, message } };
    }
  return { histories, failure: null };
}

const report: MutantReport = { ...(await run()), unloaded: unloaded() };
process.stdout.write(JSON.stringify(report), () => {
  // A history that failed leaves the timers of its world behind.
  process.exit(0);
});
