/** Owns the list of what a runner of jobs does. Made in the runner's thread. */

import { lookup } from 'node:dns/promises';

import type { Clock } from '#base/clock.ts';
import { systemRandom } from '#base/random.ts';
import type { MasterKeys } from '#clinic/master-keys.ts';
import { erasePatient } from '#clinic/patient-erasure.ts';
import { exportPatient } from '#clinic/patient-export.ts';
import { digestSchedule } from '#jobs/digest-schedule.ts';
import type { Schedule } from '#jobs/schedule.ts';
import type { Task } from '#jobs/task.ts';
import { patientErasureTask } from '#jobs/tasks/patient-erasure.ts';
import { patientExportTask } from '#jobs/tasks/patient-export.ts';
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
import { webhookSecrets } from '#app/webhooks.ts';

export interface TaskParts {
  readonly pools: Pools;
  readonly clock: Clock;
  /** Of the program. */
  readonly version: string;
  /** Webhooks may go to private addresses. */
  readonly webhooksPrivate: boolean;
  readonly masters: MasterKeys;
  /** Ends what was read of these before; the server's thread does it. */
  readonly forget: (orgId: string, tags: readonly string[]) => void;
}

export function createTasks(parts: TaskParts): readonly Task[] {
  const { pools, clock, version, webhooksPrivate, masters } = parts;
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
    patientExportTask({
      exportPatient: (actor, patientId) => exportPatient({ app: pools.app, masters }, actor, patientId),
      clock,
    }),
    patientErasureTask({
      erasePatient: (actor, patientId, onProgress) =>
        erasePatient(
          { pools, cache: { invalidate: async (...what) => parts.forget(...what) }, onProgress },
          actor,
          patientId,
        ),
    }),
    webhookDeliveriesTask({
      queries: createWebhookQueries(pools.app),
      secrets: webhookSecrets(masters),
      rules: { allowPrivate: webhooksPrivate },
      resolve: resolveName,
      clock,
      random: systemRandom,
      program: `Kymo ${version}`,
    }),
  ];
}

/** What is done by the clock, beside what runners do of themselves. `sendsMail`: some server of this installation does. */
export function createSchedules(
  { pools, clock }: Pick<TaskParts, 'pools' | 'clock'>,
  sendsMail: boolean,
): readonly Schedule[] {
  return sendsMail ? [digestSchedule({ app: pools.app, clock })] : [];
}

/** As the system does, hosts file and all: every address, in its order. */
async function resolveName(hostname: string): Promise<readonly Address[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
}
