/**
 * Owns one measurement of the API benchmark: a side is given a rate for a while, and what it answered, how late, and what that
 * cost in CPU time and statements is read. Statements are counted by PostgreSQL itself (pg_stat_statements).
 */

import { fileURLToPath } from 'node:url';

import { isPinning, pinned } from '#bench/channels/pinning.ts';
import type { Measured, Moment, Plan, Run } from '#bench/api/load-messages.ts';
import type { Scenario } from '#bench/api/scenario.ts';
import type { Side } from '#bench/api/sides.ts';
import type { BenchDatabase } from '#bench/support/bench-database.ts';
import { hear } from '#bench/support/control-channel.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { treeUsage } from '#bench/support/process-usage.ts';
import type { Child, RunScope } from '#bench/support/run-scope.ts';

const LOAD = fileURLToPath(new URL('./load-process.ts', import.meta.url));
/** Beyond the time of the run itself. */
const PATIENCE_MS = 30_000;

export interface Clinicians {
  readonly side: Side;
  readonly child: Child;
}

/** The process that plays the clinicians of one side. */
export async function startClinicians(
  scope: RunScope,
  side: Side,
  {
    scenario,
    isPinned,
    seed,
  }: { readonly scenario: Scenario; readonly isPinned: boolean; readonly seed: number },
): Promise<Clinicians> {
  const command =
    isPinned && isPinning
      ? pinned('load', process.execPath, [LOAD])
      : { command: process.execPath, args: [LOAD] };
  const child = await scope.start({ name: `clinicians of ${side.name}`, ...command });
  const { host, port, credentials } = side;
  child.send({ type: 'plan', host, port, credentials, scenario, seed } satisfies Plan);
  return { side, child };
}

export interface Measurement {
  readonly ratePerS: number;
  readonly answeredPerS: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly byOperationP95Ms: readonly number[];
  readonly lagP99Ms: number;
  readonly answered: number;
  readonly errors: Readonly<Record<string, number>>;
  /** Not answered at all, or not as asked. */
  readonly failed: number;
  readonly serverCpuS: number;
  readonly databaseCpuS: number;
  readonly redisCpuS: number;
  /** Share of a core that the generator was busy. */
  readonly generatorBusy: number;
  readonly statements: number;
  readonly readStatements: number;
  readonly transactionStatements: number;
  readonly cache: { readonly hits: number; readonly reads: number } | null;
}

export interface Meters {
  readonly database: BenchDatabase;
  readonly redisPid: number | null;
}

export async function measure(
  { side, child }: Clinicians,
  run: Omit<Run, 'type'>,
  { database, redisPid }: Meters,
): Promise<Measurement> {
  const cpuS = () => ({
    server: treeUsage(side.pid).cpuS,
    database: database.usage().cpuS,
    redis: redisPid === null ? 0 : treeUsage(redisPid).cpuS,
  });
  child.send({ type: 'run', ...run } satisfies Run);
  await hear<Moment>(child, 'warm', run.warmUpS * 1000 + PATIENCE_MS);
  await database.query('select pg_stat_statements_reset()');
  const cacheBefore = (await side.cacheCounts?.()) ?? null;
  const before = cpuS();
  await hear<Moment>(child, 'arrived', run.seconds * 1000 + PATIENCE_MS);
  const after = cpuS();
  const counts = await countStatements(database);
  const cacheAfter = (await side.cacheCounts?.()) ?? null;
  const measured = await hear<Measured>(child, 'measured', PATIENCE_MS);
  const latency = createLatencyHistogram();
  latency.add(measured.latency);
  const lag = createLatencyHistogram();
  lag.add(measured.lag);
  return {
    ratePerS: run.ratePerS,
    answeredPerS: measured.answered / measured.seconds,
    p50Ms: latency.quantileMs(0.5),
    p95Ms: latency.quantileMs(0.95),
    p99Ms: latency.quantileMs(0.99),
    byOperationP95Ms: measured.byOperation.map((snapshot) => {
      const one = createLatencyHistogram();
      one.add(snapshot);
      return one.quantileMs(0.95);
    }),
    lagP99Ms: lag.quantileMs(0.99),
    answered: measured.answered,
    errors: measured.errors,
    failed: measured.unanswered + Object.values(measured.errors).reduce((sum, n) => sum + n, 0),
    serverCpuS: after.server - before.server,
    databaseCpuS: after.database - before.database,
    redisCpuS: after.redis - before.redis,
    generatorBusy: measured.cpuS / measured.seconds,
    ...counts,
    cache:
      cacheBefore === null || cacheAfter === null
        ? null
        : { hits: cacheAfter.hits - cacheBefore.hits, reads: cacheAfter.reads - cacheBefore.reads },
  };
}

interface StatementCounts {
  readonly statements: number;
  readonly readStatements: number;
  /** begin, commit, and the naming of the organisation: no access to data. */
  readonly transactionStatements: number;
}

/** Of all but the bench itself and the upkeep of stored readings. */
async function countStatements(database: BenchDatabase): Promise<StatementCounts> {
  const rows = await database.query<{ query: string; calls: string }>(
    `select query, calls from pg_stat_statements
      where dbid = (select oid from pg_database where datname = current_database()) and userid not in ('postgres'::regrole, 'kymo_writer'::regrole)`,
  );
  const counts = { statements: 0, readStatements: 0, transactionStatements: 0 };
  for (const { query, calls } of rows) {
    const n = Number(calls);
    if (/^\s*(?:begin|commit|rollback|start transaction|set |reset |select set_config)/i.test(query)) {
      counts.transactionStatements += n;
      continue;
    }
    counts.statements += n;
    if (!/\b(?:insert into|update |delete from)|audit/i.test(query)) counts.readStatements += n;
  }
  return counts;
}

/** Requests for ten seconds of CPU time of server, database and cache. */
export function requestsPer10CpuS(m: Measurement): number {
  return (10 * m.answered) / (m.serverCpuS + m.databaseCpuS + m.redisCpuS);
}
