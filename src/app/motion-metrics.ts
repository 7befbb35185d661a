/** Owns the names of the live motion pipeline among the metrics; docs/motion-pipeline.md says what they tell. */

import type { RunningMotion } from '#app/live-motion.ts';
import type { Namers } from '#app/metrics.ts';
import { phases } from '#pipeline/tracked-session.ts';
import type { WorkerCount } from '#pipeline/worker-signals.ts';

export function addMotionMetrics(
  { counter, gauge }: Namers,
  { live, counters: publishing }: Pick<RunningMotion, 'live' | 'counters'>,
): void {
  if (live === null) return;
  const { counters, workers } = live;
  const over = (name: WorkerCount): number => workers.counters.reduce((sum, worker) => sum + worker[name], 0);
  counter('kymo_motion_readings_total', 'readings given to the analysis', () => over('readings'));
  counter(
    'kymo_motion_dropped_readings_total',
    'readings left out: the ring was full, they had waited too long, or they came late',
    () => ({ 'ring-full': counters.dropped, stale: over('stale'), late: over('left') }),
    'reason',
  );
  counter('kymo_motion_gaps_total', 'holes in streams that the analysis met', () => over('gaps'));
  counter(
    'kymo_motion_sessions_ended_total',
    'sessions that were taken off',
    () => {
      const { idled, evicted, givenUp, refused } = counters;
      return { idle: idled, evicted, 'given-up': givenUp, refused };
    },
    'reason',
  );
  for (const phase of phases)
    gauge(
      `kymo_motion_sessions_${phase.replaceAll('-', '_')}`,
      `sessions of which the analysis is ${phase}`,
      () => live.sessions(phase),
    );
  counter('kymo_motion_restarts_total', 'analyses that were begun anew', () => counters.restarts);
  counter('kymo_motion_worker_deaths_total', 'times that a worker died or hung', () => workers.deaths);
  counter('kymo_motion_results_total', 'tellings of sessions that came from workers', () => counters.results);
  counter(
    'kymo_motion_publications_total',
    'messages with results, and those that could not be sent',
    () => ({ sent: publishing.published, dropped: publishing.dropped, failed: publishing.failed }),
    'outcome',
  );
  counter('kymo_motion_compute_seconds_total', 'time that workers computed', () => over('computeSeconds'));
  gauge('kymo_motion_lag_seconds', 'how long readings waited that the slowest worker came to last', () =>
    Math.max(...workers.counters.map(({ lagSeconds }) => lagSeconds)),
  );
}
