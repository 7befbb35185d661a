/** Owns the definition of what is told of an organisation's jobs: every change, and how far the running ones are. Ids only. */

import { defineChannel } from '#contract/channel-definition.ts';
import { JobNews } from '#contract/jobs.ts';
import { may } from '#contract/permissions.ts';

export const organisationJobs = defineChannel({
  name: 'organisation/jobs',
  summary: 'Jobs of the organisation: every change, and progress about twice a second',
  params: {},
  lossClass: 'event',
  // Whoever was away for longer reads the list again.
  history: { messages: 500, seconds: 300 },
  out: { changed: JobNews },
  allow: ({ identity }, operation) =>
    may(identity, 'job.read') && (operation === 'subscribe' || operation === 'history'),
  list: ({ identity }) => Promise.resolve(may(identity, 'job.read') ? [{}] : []),
});
