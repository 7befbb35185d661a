/** Owns visits for tests of the API: as the server has them, with a memory of what devices were asked and what was told. */

import { systemClock } from '#base/clock.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import { sessionSummaryJob } from '#clinic/session-summary-job.ts';
import type { VisitCommand } from '#clinic/visit-commands.ts';
import { createVisitServices, type VisitServices } from '#clinic/visit-services.ts';
import type { RolePool } from '#store/pools.ts';
import { webhookStatements } from '#store/webhook-events.ts';
import { testCache } from '#test/support/records-api.ts';

export interface TestVisits extends VisitServices {
  readonly asked: (VisitCommand & { readonly device: string })[];
  /** Sessions whose end was told. */
  readonly ended: string[];
  /** Bodies of messages of annotation channels. */
  readonly told: { readonly event: string; readonly data: unknown; readonly by: string }[];
}

export function createTestVisits(app: RolePool, cache: ReadCache = testCache()): TestVisits {
  const asked: TestVisits['asked'] = [];
  const ended: string[] = [];
  const told: TestVisits['told'] = [];
  const services = createVisitServices({
    app,
    clock: systemClock,
    cache,
    asking: {
      expiresMs: 30_000,
      asked({ device }, _appended, payload) {
        const { data } = JSON.parse(Buffer.from(payload).toString()) as { readonly data: VisitCommand };
        asked.push({ device, ...data });
      },
    },
    news: {
      endMessage: (session) => ({
        channel: 'notifications',
        payload: Buffer.from(JSON.stringify({ event: 'session-ended', data: { session } })),
        job: sessionSummaryJob(session, systemClock),
        event: webhookStatements({ type: 'session.ended', data: { session } }, { clock: systemClock })[0]!,
      }),
      ended: ({ id }) => void ended.push(id),
    },
    announce: (_of, _appended, payload) =>
      void told.push(JSON.parse(Buffer.from(payload).toString()) as TestVisits['told'][number]),
  });
  return { ...services, asked, ended, told };
}
