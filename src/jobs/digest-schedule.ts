/**
 * Owns when digests of the day before are made: every hour from 05:20 UTC on, so that a morning on which no runner or no
 * database was there is made up for later in the day. Which were made already is known to the database (store/digests.ts).
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Schedule } from '#jobs/schedule.ts';
import { addDigests } from '#store/digests.ts';
import type { RolePool } from '#store/pools.ts';

export function digestSchedule({ app, clock }: { readonly app: RolePool; readonly clock: Clock }): Schedule {
  return {
    name: 'digests',
    match: '20 5-23 * * *',
    async run(signal, queue) {
      const { rows } = await queue.query<{ id: string }>('select id from kymo.job_organisations() as id');
      const failures: unknown[] = [];
      for (const { id } of rows) {
        if (signal.aborted) return;
        try {
          await addDigests(app, id, new Date(clock.nowUs() / 1000));
        } catch (error) {
          // While the database is away, none of the others would do better.
          if (error instanceof AppError && error.temporary) throw error;
          failures.push(error);
        }
      }
      if (failures.length > 0)
        throw new AppError('internal', `digests of ${failures.length} organisations failed`, {
          cause: failures[0],
        });
    },
  };
}
