import { randomInt } from 'node:crypto';

import { expect, test } from 'vitest';

import { coverageReport, addCounts, type CoverageCounts } from '#test/simulation/coverage.ts';
import { regressions } from '#test/simulation/regressions.ts';
import { runHistory } from '#test/simulation/run-history.ts';
import { scenarioOf, type ProfileName } from '#test/simulation/scenario.ts';

/** Of every profile; the long one is left to the command. */
const SEEDS: Partial<Record<ProfileName, number>> = {
  short: 30,
  'two-servers': 1,
  restore: 1,
  erasure: 1,
  live: 1,
  'store-overflow': 1,
  credit: 1,
  return: 4,
  watch: 2,
  overlap: 4,
  medium: 4,
  twins: 4,
};
/** Of short histories nobody has seen before. */
const FRESH_SEEDS = 10;

/** What went wrong in a seed, and how to see it again; null: nothing. */
async function wrongIn(
  seed: number,
  profile: ProfileName,
  reached: CoverageCounts = {},
): Promise<string | null> {
  const { violation, coverage } = await runHistory(scenarioOf(seed, profile));
  addCounts(reached, coverage);
  if (violation === null) return null;
  const again = `npm run simulate-faults -- --profile ${profile} --seed ${seed}`;
  return `${violation.check}: ${violation.message}; ${again}`;
}

test.each(regressions)('does not happen any more: $what', async ({ scenario }) => {
  const { violation } = await runHistory(scenario);
  expect(violation).toBe(null);
});

test('the same seed gives the same history, event by event', async () => {
  for (const profile of ['short', 'two-servers', 'live'] as const) {
    const [one, two] = [await runHistory(scenarioOf(5, profile)), await runHistory(scenarioOf(5, profile))];
    expect([profile, two.traceHash, two.events]).toEqual([profile, one.traceHash, one.events]);
  }
});

test(
  'a fixed set of seeds of every profile goes right, and reaches what it should',
  { timeout: 60_000 },
  async () => {
    const reached: CoverageCounts = {};
    for (const [profile, count] of Object.entries(SEEDS) as [ProfileName, number][])
      for (let seed = 1; seed <= count; seed++) expect(await wrongIn(seed, profile, reached)).toBe(null);
    const groups = new Map(coverageReport(reached).map((report) => [report.group, report]));
    // A simulator that no longer does anything would find nothing wrong.
    expect(groups.get('fault')!.unreached.length).toBeLessThan(15);
    expect(groups.get('device phase')!.reached.length).toBeGreaterThan(6);
    expect(groups.get('writer phase')!.reached.length).toBeGreaterThan(6);
  },
);

test('some fresh seeds go right', { timeout: 60_000 }, async () => {
  const from = randomInt(2 ** 40);
  console.info(`fresh seeds ${from} to ${from + FRESH_SEEDS - 1}`);
  for (let i = 0; i < FRESH_SEEDS; i++) expect(await wrongIn(from + i, 'short')).toBe(null);
});
