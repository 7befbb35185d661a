/** Owns how webhooks read on a page: what they are told of, how they are, and what became of a delivery. */

import type { WebhookDelivery, WebhookEndpoint, WebhookEvent } from '#contract/webhooks.ts';
import { formatMs } from '#web/format.ts';

export type WebhookEventType = WebhookEvent['type'];

export const eventWords: Readonly<Record<WebhookEventType, string>> = {
  'session.ended': 'A session ended',
  'report.ready': 'A report is ready',
  'job.failed': 'A job was given up',
  'endpoint.test': 'A test',
};

/** What can be chosen; a test comes whatever is chosen. */
export const eventChoices = (Object.keys(eventWords) as WebhookEventType[]).filter(
  (type) => type !== 'endpoint.test',
);

/** A type that this page does not know yet is told by its name. */
export function eventWordsOf(type: string): string {
  return (eventWords as Readonly<Record<string, string>>)[type] ?? type;
}

export function eventsWords(events: WebhookEndpoint['events']): string {
  if (events.length === 0) return 'Everything';
  const words = events.map(eventWordsOf).join(', ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The part of an address that people know it by. */
export function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

export const deliveryStates = ['pending', 'delivered', 'failed'] as const;

export const deliveryStateWords: Readonly<Record<WebhookDelivery['state'], string>> = {
  pending: 'Waiting',
  delivered: 'Delivered',
  failed: 'Given up',
};

/** What the receiver said to the newest attempt, or why it said nothing; empty before the first. */
export function answerWords({ lastStatus, lastError, lastDurationMs }: WebhookDelivery): string {
  const said = lastStatus === null ? (lastError ?? '') : String(lastStatus);
  if (said === '' || lastDurationMs === null) return said;
  return `${said} after ${formatMs(lastDurationMs)}`;
}
