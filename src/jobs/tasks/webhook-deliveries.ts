/**
 * Owns the job that sends what is due to an organisation's webhooks, several at once, and comes again when the next is due. An
 * attempt that failed is made again after ever longer waits for a day and a half; then the delivery has failed, and people may
 * ask for it again. Receivers may get an event twice: `webhook-id` says so.
 */

import { Type } from 'typebox';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Random } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import { enqueueStatements } from '#store/job-queue.ts';
import type { Statement } from '#store/pools.ts';
import { deliveryJob } from '#store/webhook-events.ts';
import type { WebhookQueries } from '#store/webhook-queries.ts';
import type { AttemptOutcome, Claimed } from '#store/webhook-statements.ts';
import type { WebhookSecrets } from '#jobs/webhooks/endpoints.ts';
import { postWebhook, type Posted, type PostParts } from '#jobs/webhooks/post-webhook.ts';
import { defineTask, type Task } from '#jobs/task.ts';

export const deliveryLimits = {
  /** Sent at once: with 5 s an attempt, a slow receiver leaves the others time. */
  atOnce: 8,
  /** A run takes no more after this: other jobs of the organisation stand in line. */
  runMs: 20_000,
  /** After attempt 1, 2, ...: the waits that the standard recommends. */
  waitsMs: [5_000, 60_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000],
  /** The longest that a receiver may ask for. */
  mostRetryAfterMs: 86_400_000,
  /** Runs that are due within the same so many seconds are one. */
  bucketMs: 5_000,
} as const;

export interface DeliveryParts extends PostParts {
  readonly queries: Pick<WebhookQueries, 'claim' | 'record' | 'nextDue' | 'replaceSecret'>;
  readonly secrets: WebhookSecrets;
  readonly clock: Clock;
  readonly random: Random;
}

export function webhookDeliveriesTask(parts: DeliveryParts): Task {
  const { queries, clock } = parts;
  return defineTask({
    ...deliveryJob,
    input: Type.Object({}),
    action: null,
    about: () => ({}),
    async run({ job: { orgId }, report, signal }) {
      const startedMs = clock.monotonicMs();
      let sent = 0;
      let failed = 0;
      while (!signal.aborted && clock.monotonicMs() - startedMs < deliveryLimits.runMs) {
        const claimed = await queries.claim(orgId, deliveryLimits.atOnce);
        if (claimed.length === 0) break;
        await Promise.all(
          claimed.map(async (one) => {
            const outcome = outcomeOf(await send(orgId, one, parts), one.attempt, parts.random);
            await queries.record(orgId, one, outcome);
            sent++;
            if (outcome.error !== null) failed++;
          }),
        );
        report(0.5, `${sent} sent`);
      }
      const dueS = await queries.nextDue(orgId);
      return { result: { sent, failed }, statements: dueS === null ? [] : comeAgain(clock, dueS * 1000) };
    },
  });
}

/** A secret that cannot be read is mended by people, and the delivery waits for it as for a receiver that is away. */
async function send(orgId: string, claimed: Claimed, parts: DeliveryParts): Promise<Posted> {
  const { endpointId } = claimed;
  let opened: string[];
  try {
    opened = await Promise.all(claimed.secrets.map((kept) => parts.secrets.open(kept, endpointId)));
  } catch (error) {
    if (!(error instanceof AppError) || error.temporary) throw error;
    const reason = 'the secret that signs cannot be read: this server does not have the master key of before';
    return { status: null, error: reason, durationMs: 0, retryAfterMs: null };
  }
  for (const kept of claimed.secrets)
    if (!parts.secrets.isSealed(kept))
      await parts.queries.replaceSecret(orgId, endpointId, {
        before: kept,
        after: await parts.secrets.seal(kept, endpointId),
      });
  return postWebhook({ ...claimed, secrets: opened }, parts);
}

function outcomeOf(posted: Posted, attempt: number, random: Random): AttemptOutcome {
  const { status, error, durationMs, retryAfterMs } = posted;
  const waitMs = deliveryLimits.waitsMs[attempt - 1];
  const isGone = status === 410;
  if (error === null || isGone || waitMs === undefined)
    return { status, error, durationMs, againMs: null, isGone };
  const asked = Math.min(retryAfterMs ?? 0, deliveryLimits.mostRetryAfterMs);
  // Spread, so that receivers that were down do not get everything at once.
  const againMs = Math.max(asked, waitMs * (0.9 + 0.2 * random.next()));
  return { status, error, durationMs, againMs, isGone };
}

/** One job for all that are due at about the same time. */
function comeAgain(clock: Clock, dueMs: number): Statement[] {
  const delayMs = Math.max(0, Math.ceil(dueMs));
  const bucket = Math.ceil((clock.nowUs() / 1000 + delayMs) / deliveryLimits.bucketMs);
  const { kind, lane, maxAttempts } = deliveryJob;
  return enqueueStatements({
    id: uuidv7(clock),
    kind,
    lane,
    maxAttempts,
    input: {},
    coalesceKey: `webhooks-${bucket}`,
    delayMs,
  });
}
