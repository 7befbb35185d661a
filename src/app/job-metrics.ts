/** Owns the metrics of jobs. Kinds are a short list; no label names an organisation, a patient or a session. */

import type { RunnerCounters } from '#jobs/runner.ts';
import type { OpenedJobs } from '#app/jobs.ts';
import type { Namers } from '#app/metrics.ts';

export function addJobMetrics({ counter, gauge }: Namers, jobs: OpenedJobs): void {
  const sum = (valueOf: (kind: RunnerCounters['backlog'][string]) => number): number =>
    Object.values(jobs.counters()?.backlog ?? {}).reduce((total, kind) => total + valueOf(kind), 0);
  const ofKinds = (
    valueOf: (kind: RunnerCounters['kinds'][string]) => number,
  ): Readonly<Record<string, number>> =>
    Object.fromEntries(
      Object.entries(jobs.counters()?.kinds ?? {}).map(([kind, counts]) => [kind, valueOf(counts)]),
    );
  gauge('kymo_jobs_backlog', 'jobs that could run and wait, of all organisations', () =>
    sum(({ ready }) => ready),
  );
  gauge('kymo_jobs_oldest_seconds', 'how long the longest waiting of them has waited', () =>
    Math.max(0, ...Object.values(jobs.counters()?.backlog ?? {}).map(({ oldestS }) => oldestS)),
  );
  gauge('kymo_jobs_later', 'jobs whose time has not come', () => sum(({ later }) => later));
  gauge('kymo_jobs_failed', 'jobs given up in the last day', () => sum(({ failed }) => failed));
  gauge('kymo_jobs_running', 'attempts under way here', () => jobs.counters()?.running ?? 0);
  counter(
    'kymo_jobs_done_total',
    'attempts that ended with success, by kind',
    () => ofKinds(({ ends }) => ends.done ?? 0),
    'kind',
  );
  counter(
    'kymo_jobs_done_seconds_total',
    'what they took, by kind',
    () => ofKinds(({ doneMs }) => doneMs / 1000),
    'kind',
  );
  counter(
    'kymo_jobs_retried_total',
    'attempts that failed and are followed by another, by kind',
    () => ofKinds(({ ends }) => ends.waits ?? 0),
    'kind',
  );
  counter(
    'kymo_jobs_failed_total',
    'jobs given up, by kind',
    () => ofKinds(({ ends }) => ends.failed ?? 0),
    'kind',
  );
  counter(
    'kymo_jobs_cancelled_total',
    'jobs cancelled while they ran, by kind',
    () => ofKinds(({ ends }) => ends.cancelled ?? 0),
    'kind',
  );
  counter(
    'kymo_jobs_mended_total',
    'jobs put back whose runner was lost',
    () => jobs.counters()?.mended ?? 0,
  );
  counter(
    'kymo_jobs_queue_failures_total',
    'times that the queue could not be reached',
    () => jobs.counters()?.failures ?? 0,
  );
  counter('kymo_jobs_deaths_total', 'times that the thread of jobs died', jobs.deaths);
}
