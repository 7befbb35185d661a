/**
 * Owns the order of a run: all sides in turn at the asked rate, in rounds, then for each side the highest rates at which the
 * 95th percentile stays below the limits, by raising the rate and halving the rest.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { askForReports, type JobStarts } from '#bench/api/job-starts.ts';
import {
  measure,
  requestsPer10CpuS,
  type Clinicians,
  type Measurement,
  type Meters,
} from '#bench/api/measurement.ts';
import type { ApiBenchOptions } from '#bench/api/options.ts';
import type { Scenario } from '#bench/api/scenario.ts';
import type { SideName } from '#bench/api/sides.ts';
import { rounded } from '#bench/support/report.ts';

/** Milliseconds: what the requirement aims at, and its floor. */
export const limitsMs = [20, 180] as const;
/** Beyond this share of failed requests a rate does not count as sustained. */
const MAX_FAILED_SHARE = 0.001;
/** Of the first warm-up. */
const LATER_WARM_UP = 1 / 8;
const GROWTH = 1.6;
/** Rates closer than this are the same. */
const CLOSE = 1.06;

export interface SideResult {
  readonly name: SideName;
  /** At the asked rate, one a round. */
  readonly atRate: readonly Measurement[];
  /** All rates that were tried. */
  readonly tried: readonly Measurement[];
  /** Highest sustained rate by limit; null where none was found. */
  readonly best: ReadonlyMap<number, number | null>;
}

/** One more turn at the asked rate, in which reports are asked for beside it. */
export async function compareJobStarts(
  clinicians: Clinicians,
  {
    scenario,
    options,
    meters,
    say,
  }: { scenario: Scenario; options: ApiBenchOptions; meters: Meters; say: (text: string) => void },
): Promise<JobStarts> {
  const { rate, seconds } = options;
  say(`${clinicians.side.name}: ${rate}/s, and reports are asked for`);
  const warmUpS = options['warm-up-seconds'] * LATER_WARM_UP;
  const [, jobs] = await Promise.all([
    measure(clinicians, { ratePerS: rate, warmUpS, seconds }, meters),
    sleep(1000 * warmUpS).then(() => askForReports(clinicians.side, { scenario, seconds })),
  ]);
  return jobs;
}

export async function compareSides(
  sides: readonly Clinicians[],
  { options, meters, say }: { options: ApiBenchOptions; meters: Meters; say: (text: string) => void },
): Promise<SideResult[]> {
  const { rate, rounds, seconds, steps } = options;
  const warmUpS = options['warm-up-seconds'];
  const atRate = sides.map((): Measurement[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, clinicians] of sides.entries()) {
      say(`${clinicians.side.name}: ${rate}/s, round ${round + 1} of ${rounds}`);
      const warm = round === 0 ? warmUpS : warmUpS * LATER_WARM_UP;
      atRate[i]!.push(await measure(clinicians, { ratePerS: rate, warmUpS: warm, seconds }, meters));
    }
  }
  const results: SideResult[] = [];
  for (const [i, clinicians] of sides.entries()) {
    const tried = [...atRate[i]!];
    if (steps > 0) await findHighest({ clinicians, meters, tried, options, say });
    results.push({
      name: clinicians.side.name,
      atRate: atRate[i]!,
      tried,
      best: new Map(limitsMs.map((limitMs) => [limitMs, highestRate(tried, limitMs)])),
    });
  }
  return results;
}

interface Search {
  readonly clinicians: Clinicians;
  readonly meters: Meters;
  readonly tried: Measurement[];
  readonly options: ApiBenchOptions;
  readonly say: (text: string) => void;
}

/** Adds to `tried` until the highest rates are known closely enough, or the steps are used up. */
async function findHighest({ clinicians, meters, tried, options, say }: Search): Promise<void> {
  for (let step = 0; step < options.steps; step++) {
    const ratePerS = nextRate(tried);
    if (ratePerS === null) return;
    say(`${clinicians.side.name}: ${Math.round(ratePerS)}/s`);
    const run = { ratePerS, warmUpS: options['warm-up-seconds'] * LATER_WARM_UP, seconds: options.seconds };
    const one = await measure(clinicians, run, meters);
    tried.push(one);
    say(
      `${clinicians.side.name}: ${Math.round(ratePerS)}/s gave p95 ${one.p95Ms.toFixed(1)} ms, ${one.failed} failed`,
    );
  }
}

/** The rate that narrows the widest gap between sustained and not; null when all are narrow. */
export function nextRate(tried: readonly Measurement[]): number | null {
  let widest = CLOSE;
  let next: number | null = null;
  for (const limitMs of limitsMs) {
    const rates = tried.map(({ ratePerS }) => ratePerS);
    const sustained = tried.filter((one) => isSustained(one, limitMs)).map(({ ratePerS }) => ratePerS);
    const failed = tried.filter((one) => !isSustained(one, limitMs)).map(({ ratePerS }) => ratePerS);
    if (failed.length === 0) return Math.max(...rates) * GROWTH;
    const above = Math.min(...failed);
    const below = sustained.filter((one) => one < above);
    if (below.length === 0) return above / (GROWTH * GROWTH);
    const gap = above / Math.max(...below);
    if (gap <= widest) continue;
    widest = gap;
    next = Math.sqrt(above * Math.max(...below));
  }
  return next;
}

/** Highest sustained rate below the first that was not. */
export function highestRate(tried: readonly Measurement[], limitMs: number): number | null {
  const failed = tried.filter((one) => !isSustained(one, limitMs)).map(({ ratePerS }) => ratePerS);
  const below = tried
    .filter(
      (one) => isSustained(one, limitMs) && one.ratePerS < Math.min(...failed, Number.POSITIVE_INFINITY),
    )
    .map(({ answeredPerS }) => answeredPerS);
  return below.length === 0 ? null : Math.max(...below);
}

function isSustained({ p95Ms, failed, answered }: Measurement, limitMs: number): boolean {
  return p95Ms < limitMs && failed <= MAX_FAILED_SHARE * answered;
}

/** The figures of a side as the JSON line has them. */
export function figuresOf({ atRate, best, tried }: SideResult): Record<string, unknown> {
  const mean = (of: (one: Measurement) => number): number =>
    atRate.reduce((sum, one) => sum + of(one), 0) / atRate.length;
  const hits = mean(({ cache }) => cache?.hits ?? Number.NaN);
  return {
    ratePerS20: rounded(best.get(20) ?? Number.NaN, 0),
    ratePerS180: rounded(best.get(180) ?? Number.NaN, 0),
    [`p95MsAt${atRate[0]!.ratePerS}`]: rounded(mean(({ p95Ms }) => p95Ms)),
    p50Ms: rounded(mean(({ p50Ms }) => p50Ms)),
    p99Ms: rounded(mean(({ p99Ms }) => p99Ms)),
    queriesPerRequestMean: rounded(
      mean((one) => one.statements / one.answered),
      3,
    ),
    readQueriesPerRequest: rounded(
      mean((one) => one.readStatements / one.answered),
      3,
    ),
    transactionStatementsPerRequest: rounded(
      mean((one) => one.transactionStatements / one.answered),
      3,
    ),
    cacheHitRate: rounded(hits / mean(({ cache }) => cache?.reads ?? Number.NaN), 4),
    requestsPer10CpuS: rounded(mean(requestsPer10CpuS), 0),
    serverCpuUs: rounded(
      mean((one) => (1e6 * one.serverCpuS) / one.answered),
      1,
    ),
    databaseCpuUs: rounded(
      mean((one) => (1e6 * one.databaseCpuS) / one.answered),
      1,
    ),
    redisCpuUs: rounded(
      mean((one) => (1e6 * one.redisCpuS) / one.answered),
      1,
    ),
    answered: atRate.reduce((sum, one) => sum + one.answered, 0),
    failed: atRate.reduce((sum, one) => sum + one.failed, 0),
    errors: Object.assign({}, ...atRate.map(({ errors }) => errors)) as object,
    generatorBusy: rounded(Math.max(...tried.map(({ generatorBusy }) => generatorBusy)), 3),
    lagP99Ms: rounded(mean(({ lagP99Ms }) => lagP99Ms)),
  };
}
