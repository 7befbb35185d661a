/** Owns the tables of the API benchmark for people. */

import { figuresOf, type SideResult } from '#bench/api/comparison.ts';
import type { Scenario } from '#bench/api/scenario.ts';
import { formatFigure, formatTable } from '#bench/support/report.ts';

export function sideTable(results: readonly SideResult[]): string {
  const rate = results[0]?.atRate[0]?.ratePerS ?? 0;
  const columns: (readonly [string, string])[] = [
    ['p50 ms', 'p50Ms'],
    [`p95 ms at ${rate}/s`, `p95MsAt${rate}`],
    ['p99 ms', 'p99Ms'],
    ['rate/s at p95 < 20 ms', 'ratePerS20'],
    ['at < 180 ms', 'ratePerS180'],
    ['queries/request', 'queriesPerRequestMean'],
    ['hit rate', 'cacheHitRate'],
    ['server us', 'serverCpuUs'],
    ['database us', 'databaseCpuUs'],
    ['Redis us', 'redisCpuUs'],
    ['requests/10 CPU s', 'requestsPer10CpuS'],
    ['failed', 'failed'],
    ['generator', 'generatorBusy'],
  ];
  return formatTable(
    ['', ...columns.map(([title]) => title)],
    results.map((result) => {
      const figures = figuresOf(result);
      return [result.name, ...columns.map(([, key]) => formatFigure(figures[key] as number | null))];
    }),
  );
}

/** The 95th percentile of each kind of request, last round. */
export function operationTable(results: readonly SideResult[], { operations }: Scenario): string {
  return formatTable(
    ['p95 ms', ...operations.map(({ name }) => name)],
    results.map(({ name, atRate }) => [
      name,
      ...operations.map((_, i) => formatFigure(atRate.at(-1)?.byOperationP95Ms[i])),
    ]),
  );
}
