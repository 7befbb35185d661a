/** Owns how a webhook is, in a few words: on, failing since when, paused by people, or switched off and why. */

import type { WebhookEndpoint } from '#contract/webhooks.ts';
import { Instant } from '#web/list/instant.tsx';

export function WebhookState({ endpoint }: { endpoint: WebhookEndpoint }) {
  const { isEnabled, disabledReason, failingSince } = endpoint;
  if (!isEnabled && disabledReason !== null)
    return <span className="needs-action">Switched off: {disabledReason}</span>;
  if (!isEnabled) return <span className="muted">Paused</span>;
  if (failingSince === null) return <span>On</span>;
  return (
    <span className="needs-attention">
      On; every attempt failed since <Instant at={failingSince} />
    </span>
  );
}
