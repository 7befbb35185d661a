/**
 * Owns the way from an event to the webhooks: a statement for the transaction in which it happens, that makes a delivery for
 * each endpoint that wants it and a job that sends them. Without an endpoint it costs one look-up. Events carry ids and codes,
 * never names or figures: whoever is told asks the API, which knows what they may read.
 */

import type { Clock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { WebhookEvent } from '#contract/webhooks.ts';
import { queueLimits } from '#store/job-queue.ts';
import type { Statement } from '#store/pools.ts';

export const deliveryJob = {
  kind: 'webhook-deliveries',
  lane: 'slow',
  maxAttempts: 5,
} as const;

/** For runAsOrg, beside what the event is about. `patientId`: whose deliveries go with the patient. */
export function webhookStatements(
  event: WebhookEvent,
  { clock, patientId = null }: { readonly clock: Clock; readonly patientId?: string | null },
): Statement[] {
  const timestamp = new Date(clock.nowUs() / 1000).toISOString();
  const { lane, maxAttempts } = deliveryJob;
  return [
    {
      name: 'tell-webhooks',
      text: 'select kymo.tell_webhooks($1, $2, $3, $4, $5, $6::jsonb)',
      values: [
        uuidv7(clock),
        event.type,
        patientId,
        JSON.stringify({ type: event.type, timestamp, data: event.data }),
        uuidv7(clock),
        JSON.stringify({
          lane,
          maxAttempts,
          shards: queueLimits.shards,
          // One waits for an organisation at most, and what happened must not fail for want of a place.
          most: 1_000_000_000,
          coalesceKey: 'webhooks',
        }),
      ],
    },
  ];
}
