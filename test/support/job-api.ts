/** Owns the jobs of an API under test: everything that may be asked of them, and nobody who runs them. */

import { systemClock } from '#base/clock.ts';
import { createJobService, type JobService } from '#jobs/job-service.ts';
import type { RolePool } from '#store/pools.ts';

export function jobApi(app: RolePool): { readonly jobs: JobService } {
  return { jobs: createJobService({ app, clock: systemClock, onChange: () => undefined }) };
}
