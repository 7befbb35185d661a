/** Owns the tidying up after jobs: files whose time is over, pieces of attempts that came to nothing, jobs of long ago. */

import { jobLimits } from '#jobs/job-limits.ts';
import type { Schedule } from '#jobs/schedule.ts';

export const expirySchedule: Schedule = {
  name: 'expire-jobs',
  match: '*/15 * * * *',
  async run(signal, queue) {
    for (;;) {
      const { rows } = await queue.query<{ removed: number }>('select kymo.expire_jobs($1, $2) as removed', [
        jobLimits.keptDays,
        jobLimits.expiredPerStep,
      ]);
      if ((rows[0]?.removed ?? 0) < jobLimits.expiredPerStep || signal.aborted) return;
    }
  },
};
