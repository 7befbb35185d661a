/** Owns the list of what a runner of jobs does: every task, and what is done by the clock. Made in the runner's thread. */

import { lookup } from 'node:dns/promises';

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { systemRandom } from '#base/random.ts';
import type { Schedule } from '#jobs/schedule.ts';
import type { Task } from '#jobs/task.ts';
import { sessionExportTask } from '#jobs/tasks/session-export.ts';
import { sessionReportTask } from '#jobs/tasks/session-report.ts';
import { sessionSummaryTask } from '#jobs/tasks/session-summary.ts';
import { webhookDeliveriesTask } from '#jobs/tasks/webhook-deliveries.ts';
import type { Address } from '#jobs/webhooks/target.ts';
import { createExportQueries } from '#store/export-queries.ts';
import type { Pools } from '#store/pools.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import { createReportQueries } from '#store/report-queries.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createWebhookQueries } from '#store/webhook-queries.ts';
import { packagedNorms } from '#app/analyse/norm-files.ts';
import { createMotionAnswers } from '#app/motion-answers.ts';

export interface TaskParts {
  readonly pools: Pools;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the program. */
  readonly version: string;
  /** Webhooks may go to private addresses. */
  readonly webhooksPrivate: boolean;
}

export function createTasks({ pools, clock, version, webhooksPrivate }: TaskParts): readonly Task[] {
  const sessions = createSessionQueries(pools.app);
  const motion = createMotionAnswers(createMotionQueries(pools.app));
  const ofReports = {
    queries: createReportQueries(pools.app),
    sessions,
    clock,
  };
  return [
    sessionExportTask({ exports: createExportQueries(pools.app), sessions, clock, version }),
    sessionSummaryTask({ ...ofReports, figures: motion.figures }),
    sessionReportTask({
      ...ofReports,
      motion: motion.analysis,
      norms: packagedNorms(),
      timeZone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
      program: `Kymo ${version}`,
    }),
    webhookDeliveriesTask({
      queries: createWebhookQueries(pools.app),
      rules: { allowPrivate: webhooksPrivate },
      resolve: resolveName,
      clock,
      random: systemRandom,
      program: `Kymo ${version}`,
    }),
  ];
}

export function createSchedules(_parts: TaskParts): readonly Schedule[] {
  return [];
}

/** As the system does, hosts file and all: every address, in its order. */
async function resolveName(hostname: string): Promise<readonly Address[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
}
