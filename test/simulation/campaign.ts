/**
 * Owns the running of many histories one after the other in this thread, and what is added up over them. Plain data in and
 * out, so that several threads share the work.
 */

import { addCounts, type CoverageCounts } from '#test/simulation/coverage.ts';
import { runHistory } from '#test/simulation/run-history.ts';
import { scenarioOf, type ProfileName } from '#test/simulation/scenario.ts';
import type { Violation } from '#test/simulation/oracle/verdict.ts';

export interface SeedRange {
  readonly profile: ProfileName;
  readonly from: number;
  readonly count: number;
}

export interface Failure {
  readonly seed: number;
  readonly violation: Violation;
}

export interface CampaignSum {
  histories: number;
  simulatedMs: number;
  events: number;
  /** Of this thread's processor time. */
  busyMs: number;
  readings: number;
  coverage: CoverageCounts;
  /** In the order of their seeds. */
  failures: Failure[];
}

export function emptySum(): CampaignSum {
  return { histories: 0, simulatedMs: 0, events: 0, busyMs: 0, readings: 0, coverage: {}, failures: [] };
}

export function addSum(to: CampaignSum, from: CampaignSum): void {
  to.histories += from.histories;
  to.simulatedMs += from.simulatedMs;
  to.events += from.events;
  to.busyMs += from.busyMs;
  to.readings += from.readings;
  addCounts(to.coverage, from.coverage);
  to.failures = [...to.failures, ...from.failures].sort((a, b) => a.seed - b.seed);
}

/** Runs every seed of the range, also behind one that fails. */
export async function runSeeds({ profile, from, count }: SeedRange): Promise<CampaignSum> {
  const sum = emptySum();
  const before = process.threadCpuUsage();
  for (let seed = from; seed < from + count; seed++) {
    const { violation, simulatedMs, events, coverage, reckoning } = await runHistory(
      scenarioOf(seed, profile),
    );
    sum.histories++;
    sum.simulatedMs += simulatedMs;
    sum.events += events;
    addCounts(sum.coverage, coverage);
    if (violation !== null) sum.failures.push({ seed, violation });
    if (reckoning === null) continue;
    sum.readings += reckoning.pushed;
    for (const [name, times] of Object.entries(reckoning) as [keyof typeof reckoning, number][])
      if (name !== 'pushed') addCounts(sum.coverage, { [`reckoning/${name}`]: times });
  }
  const { user, system } = process.threadCpuUsage(before);
  sum.busyMs = (user + system) / 1000;
  return sum;
}
