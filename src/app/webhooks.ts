/** Owns the webhooks of a server: endpoints on its database, secrets from the system's own randomness, sealed by its master key. */

import { randomBytes } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import { createSealedTexts } from '#identity/sealed-texts.ts';
import { createSecretBox, type MasterKeySource } from '#identity/secret-box.ts';
import { createWebhooks, type WebhookSecrets, type Webhooks } from '#jobs/webhooks/endpoints.ts';
import type { RolePool } from '#store/pools.ts';
import { createWebhookQueries } from '#store/webhook-queries.ts';

export function createServerWebhooks(
  app: RolePool,
  {
    clock,
    allowPrivate,
    masters,
  }: { readonly clock: Clock; readonly allowPrivate: boolean; readonly masters: MasterKeySource },
): Webhooks {
  const queries = createWebhookQueries(app);
  const secrets = webhookSecrets(masters);
  return createWebhooks({ queries, clock, rules: { allowPrivate }, secretBytes: randomBytes, secrets });
}

export function webhookSecrets(masters: MasterKeySource): WebhookSecrets {
  return createSealedTexts(createSecretBox(masters));
}
