/**
 * Owns the wish for new figures of an ended session whenever its analysis moved on: by readings that came late, another body
 * model, another version. Sessions are gathered for a moment, so that a long replay costs a look-up now and then; whoever is
 * beyond `wishLimits.sessions` waits for the next move. A wish that is lost with the process is made by the summary that came
 * with the session's end.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import { jobKinds } from '#jobs/kinds.ts';
import { enqueueStatements } from '#store/job-queue.ts';
import { runAsOrg, type RolePool } from '#store/pools.ts';

const wishLimits = {
  /** Between two looks; the analysis of a session moves on once in ten seconds while it lasts. */
  gatherMs: 1_000,
  /** Twenty times the sessions of a full server. */
  sessions: 10_000,
} as const;

export interface SummaryWishes {
  analysed(session: { readonly orgId: string; readonly sessionId: string }): void;
  readonly counters: { readonly dropped: number };
  stop(): Promise<void>;
}

export function createSummaryWishes({
  app,
  clock,
  log,
}: {
  readonly app: RolePool;
  readonly clock: Clock;
  readonly log: Log;
}): SummaryWishes {
  const counters = { dropped: 0 };
  let gathered = new Map<string, string>();
  let cancel: (() => void) | null = null;
  let running: Promise<void> = Promise.resolve();

  async function wish(sessions: ReadonlyMap<string, string>): Promise<void> {
    const byOrg = Map.groupBy(sessions, ([, orgId]) => orgId);
    for (const [orgId, found] of byOrg) {
      const ids = found.map(([sessionId]) => sessionId);
      const [ended] = await runAsOrg(app, orgId, {
        statements: [
          {
            name: 'ended-sessions',
            text: 'select id from kymo.session where id = any($1::uuid[]) and ended_at is not null',
            values: [ids],
          },
        ],
        mode: 'snapshot',
      });
      for (const { id } of (ended?.rows ?? []) as { id: string }[])
        await runAsOrg(app, orgId, {
          statements: enqueueStatements({
            id: uuidv7(clock),
            kind: jobKinds['session-summary'].kind,
            lane: jobKinds['session-summary'].lane,
            maxAttempts: 5,
            input: { session: id },
            sessionId: id,
            coalesceKey: `session-summary/${id}`,
          }),
          mode: 'change',
        });
    }
  }

  function look(): void {
    cancel = null;
    const sessions = gathered;
    gathered = new Map();
    running = running
      .then(() => wish(sessions))
      .catch((error: unknown) =>
        log.warn('figures of sessions were not asked for', { error: messageOf(error) }),
      );
  }

  return {
    counters,
    analysed({ orgId, sessionId }) {
      if (gathered.size >= wishLimits.sessions && !gathered.has(sessionId)) {
        counters.dropped++;
        return;
      }
      gathered.set(sessionId, orgId);
      cancel ??= clock.after(wishLimits.gatherMs, look);
    },
    async stop() {
      cancel?.();
      if (gathered.size > 0) look();
      await running;
    },
  };
}
