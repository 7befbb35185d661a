/** Owns the webhooks of a server: endpoints on its database, secrets from the system's own randomness. */

import { randomBytes } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import { createWebhooks, type Webhooks } from '#jobs/webhooks/endpoints.ts';
import type { RolePool } from '#store/pools.ts';
import { createWebhookQueries } from '#store/webhook-queries.ts';

export function createServerWebhooks(
  app: RolePool,
  { clock, allowPrivate }: { readonly clock: Clock; readonly allowPrivate: boolean },
): Webhooks {
  const queries = createWebhookQueries(app);
  return createWebhooks({ queries, clock, rules: { allowPrivate }, secretBytes: randomBytes });
}
