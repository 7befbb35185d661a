/** Owns what the pages of webhooks ask of the server. */

import { queryOptions } from '@tanstack/react-query';

import type { WebhookEndpoint, WebhookEndpointChange, WebhookEndpointPage } from '#contract/webhooks.ts';
import { queryClient, server } from '#web/server.ts';

/** An attempt that failed is made again after 5 s; what came of it is seen within this time. */
export const REFRESH_MS = 3_000;

/** An organisation has sixteen at most: one page holds them. */
export const webhooksQuery = queryOptions({
  queryKey: ['webhooks'],
  queryFn: ({ signal }) => server.call<WebhookEndpointPage>('GET', '/v1/webhooks?limit=100', { signal }),
  refetchInterval: REFRESH_MS,
});

export function readWebhooks(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: ['webhooks'] });
}

export async function changeWebhook(
  { id, revision }: WebhookEndpoint,
  change: Omit<WebhookEndpointChange, 'revision'>,
): Promise<void> {
  await server.call('PATCH', `/v1/webhooks/${id}`, { body: { ...change, revision } });
  await readWebhooks();
}
