/** Owns the metrics of the analysis of committed readings. */

import type { AnalysisCounts } from '#app/analysis-thread.ts';
import type { Namers } from '#app/metrics.ts';

/** `counts` null: this server does not analyse. */
export function addAnalysisMetrics({ counter, gauge }: Namers, counts: () => AnalysisCounts | null): void {
  const of = (name: keyof AnalysisCounts) => (): number => counts()?.[name] ?? 0;
  counter(
    'kymo_analysis_windows_total',
    'windows of committed readings analysed, repeats included',
    of('windows'),
  );
  counter('kymo_analysis_readings_total', 'readings analysed, repeats included', of('readings'));
  counter('kymo_analysis_steps_total', 'transactions of the analysis', of('steps'));
  counter(
    'kymo_analysis_revisions_total',
    'times that changed readings had earlier windows analysed again',
    of('revisions'),
  );
  counter('kymo_analysis_failures_total', 'sessions that could not be analysed as they were', of('failures'));
  counter('kymo_analysis_untold_total', 'tells of analysed windows that no channel took', of('untold'));
  counter('kymo_analysis_deaths_total', 'times that its thread died', of('deaths'));
  gauge(
    'kymo_analysis_backlog_sessions',
    'sessions that wait for the analysis, on all servers',
    of('backlog'),
  );
  gauge('kymo_analysis_lag_seconds', 'how long the longest waiting of them has waited', of('lagS'));
}
