/**
 * Owns jobs from the server's side: what the API asks of them, the thread that runs them where this process does, and what is
 * told when one changes: on the channel of the organisation, and to what was read already. A tell is lost when nobody can
 * take it; the rows say the same.
 */

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import type { PublishTo } from '#contract/channel-definition.ts';
import { createJobService, type JobService } from '#jobs/job-service.ts';
import type { JobChange } from '#jobs/job-rows.ts';
import type { RunnerCounters } from '#jobs/runner.ts';
import { queueLimits } from '#store/job-queue.ts';
import type { Pools } from '#store/pools.ts';
import { startBackgroundThread } from '#app/background-thread.ts';
import { organisationJobs } from '#app/channels/organisation-jobs.ts';
import type { Config } from '#app/config.ts';
import { stateDirectoryOf } from '#app/database.ts';
import type { FromJobWorker, JobWorkerData } from '#app/job-worker.ts';
import type { Lifecycle } from '#app/lifecycle.ts';

/** Attempts have five seconds to end, then connections five to close. */
const STOP_MS = 15_000;

export interface OpenedJobs {
  readonly jobs: JobService;
  /** Null: this process runs none. As the thread told them last. */
  readonly counters: () => RunnerCounters | null;
  readonly deaths: () => number;
  /** The database is another one than before: the thread makes its connections anew, and its attempts wait for another. */
  readonly renew: () => void;
}

export function openJobs(options: {
  readonly config: Config;
  /** Whether this process has the role. */
  readonly isRunner: boolean;
  readonly pools: Pools;
  readonly publish: PublishTo;
  readonly cache: ReadCache;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}): OpenedJobs {
  const { config, pools, clock, log, lifecycle } = options;
  const onChange = createTelling(options);
  const jobs = createJobService({ app: pools.app, clock, onChange });
  const otherShards = parseShards(config['job-shards']);
  if (!config.jobs || !options.isRunner)
    return { jobs, counters: () => null, deaths: () => 0, renew: () => undefined };
  let counters: RunnerCounters = { running: 0, kinds: {}, backlog: {}, mended: 0, failures: 0 };
  const thread = startBackgroundThread<FromJobWorker>({
    entry: new URL('./job-worker.ts', import.meta.url),
    data: {
      urls: pools.urls,
      logLevel: config['log-level'],
      version: options.version,
      workers: config['job-workers'],
      otherShards,
      webhooksPrivate: config['webhooks-private'],
      masterKey: config['master-key'],
      stateDir: stateDirectoryOf(config),
      sendsMail: config['smtp-url'] !== '' && config['public-url'] !== '',
    } satisfies JobWorkerData,
    onMessage(message) {
      if (message === 'opening') return;
      if ('counters' in message) counters = message.counters;
      else if ('change' in message) onChange(message.change);
      else
        options.cache
          .invalidate(message.forget.orgId, message.forget.tags)
          .catch((error: unknown) => log.debug('a change could not be told', { error: messageOf(error) }));
    },
    clock,
    log,
  });
  lifecycle.add('jobs', () => thread.stop(), STOP_MS);
  return {
    jobs,
    counters: () => counters,
    deaths: () => thread.deaths,
    renew: () => thread.tell('renew'),
  };
}

function createTelling({
  publish,
  cache,
  log,
}: {
  readonly publish: PublishTo;
  readonly cache: ReadCache;
  readonly log: Log;
}): (change: JobChange) => void {
  const failed = (error: unknown): void =>
    log.debug('a change of a job could not be told', { error: messageOf(error) });
  return ({ orgId, news, patientId, sessionId }) => {
    publish(organisationJobs, { orgId, params: {} }, { event: 'changed', data: news }).catch(failed);
    // What was read before says nothing of what this job has stored.
    if (news.state !== 'done') return;
    const tags = [
      ...(sessionId === null ? [] : [`session:${sessionId}`, 'sessions']),
      ...(patientId === null ? [] : [`patient:${patientId}`]),
    ];
    if (tags.length > 0) cache.invalidate(orgId, tags).catch(failed);
  };
}

/** The queues that are not served: all but those that `text` names, such as `0-7,12`. Throws AppError `invalid-field`. */
export function parseShards(text: string): readonly number[] {
  const all = Array.from({ length: queueLimits.shards }, (_, shard) => shard);
  if (text === '' || text === 'all') return [];
  const served = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(part.trim());
    const from = Number(match?.[1]);
    const to = Number(match?.[2] ?? match?.[1]);
    if (match === null || from > to || to >= queueLimits.shards)
      throw new AppError(
        'invalid-field',
        `--job-shards ${text}: give numbers from 0 to ${queueLimits.shards - 1}, such as 0-7 or 0,2,4; or all`,
        { field: 'job-shards' },
      );
    for (let shard = from; shard <= to; shard++) served.add(shard);
  }
  return all.filter((shard) => !served.has(shard));
}
