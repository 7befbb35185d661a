/**
 * Owns the news of jobs on a page: the channel of the organisation's jobs says that something changed, and progress between
 * two readings of the list. Renders nothing.
 */

import { useQueryClient, type InfiniteData } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';

import type { Job, JobNews, JobPage } from '#contract/jobs.ts';
import { useChannel } from '#sdk/react-hooks.ts';
import { isUnderWay } from '#web/jobs/job-words.ts';

/** News that comes in a burst is read once. */
const KEEP = 64;

export function JobFeed() {
  const client = useQueryClient();
  const { messages } = useChannel('organisation/jobs', { keep: KEEP });
  const seen = useRef(0);
  useEffect(() => {
    const news = messages.filter(({ offset }) => (offset ?? 0) > seen.current);
    if (news.length === 0) return;
    seen.current = Math.max(...news.map(({ offset }) => offset ?? 0));
    const jobs = news.map(({ data }) => data as JobNews);
    client.setQueriesData<InfiniteData<JobPage>>({ queryKey: ['jobs'] }, (list) =>
      list === undefined ? undefined : { ...list, pages: list.pages.map((page) => withNews(page, jobs)) },
    );
    // What has begun anew or ended has more to it than its progress.
    if (jobs.some((job) => !isUnderWay(job) || job.progress === 0))
      void client.invalidateQueries({ queryKey: ['jobs'] });
  }, [messages, client]);
  return null;
}

function withNews(page: JobPage, news: readonly JobNews[]): JobPage {
  const byId = new Map(news.map((job) => [job.id, job]));
  const change = (job: Job): Job => {
    const { state, progress, stage } = byId.get(job.id) ?? job;
    return { ...job, state, progress, stage };
  };
  return { ...page, jobs: page.jobs.map(change) };
}
