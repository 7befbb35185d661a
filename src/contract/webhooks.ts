/**
 * Owns webhooks as an organisation sees them: endpoints, the events that they are told of, and the log of deliveries. Bodies are
 * signed as https://www.standardwebhooks.com says; ids and codes only, whoever is told asks the API for the rest.
 */

import { Type, type Static } from 'typebox';

import { Id } from '#contract/rest.ts';

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Instant = Type.String({ format: 'date-time' });
const Next = Nullable(Type.String({ description: 'cursor of the next page; null at the end' }));

/** What can be told, with the data of each. Names are never changed, only added. */
const webhookEventTypes = ['session.ended', 'report.ready', 'job.failed', 'endpoint.test'] as const;

export type WebhookEvent =
  | { readonly type: 'session.ended'; readonly data: { readonly session: string } }
  | { readonly type: 'report.ready'; readonly data: { readonly job: string; readonly session: string } }
  | { readonly type: 'job.failed'; readonly data: { readonly job: string; readonly kind: string } }
  | { readonly type: 'endpoint.test'; readonly data: { readonly endpoint: string } };

const Events = Type.Array(Type.Enum([...webhookEventTypes]), {
  maxItems: 32,
  uniqueItems: true,
  description: 'empty: all',
});
const Url = Type.String({ minLength: 8, maxLength: 2000, description: 'https, without user and password' });
const Description = Type.String({ maxLength: 200 });

export const WebhookEndpoint = Type.Object(
  {
    id: Id,
    url: Type.String(),
    description: Type.String(),
    events: Events,
    isEnabled: Type.Boolean(),
    /** Why Kymo switched it off; null: it did not. */
    disabledReason: Nullable(Type.String()),
    /** Since when every attempt failed; null: the last one did not. */
    failingSince: Nullable(Instant),
    /** Until when the secret before this one signs too; null: there is none. */
    previousSecretUntil: Nullable(Instant),
    revision: Type.Integer({ minimum: 1 }),
    createdAt: Instant,
  },
  { $id: 'WebhookEndpoint' },
);
export type WebhookEndpoint = Static<typeof WebhookEndpoint>;

export const WebhookEndpointPage = Type.Object(
  { endpoints: Type.Array(WebhookEndpoint), next: Next },
  { $id: 'WebhookEndpointPage' },
);
export type WebhookEndpointPage = Static<typeof WebhookEndpointPage>;

export const WebhookEndpointRequest = Type.Object(
  { url: Url, description: Type.Optional(Description), events: Type.Optional(Events) },
  { additionalProperties: false, $id: 'WebhookEndpointRequest' },
);
export type WebhookEndpointRequest = Static<typeof WebhookEndpointRequest>;

export const WebhookEndpointChange = Type.Object(
  {
    revision: Type.Integer({ minimum: 1, description: 'of what is changed' }),
    url: Type.Optional(Url),
    description: Type.Optional(Description),
    events: Type.Optional(Events),
    isEnabled: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false, $id: 'WebhookEndpointChange' },
);
export type WebhookEndpointChange = Static<typeof WebhookEndpointChange>;

export const WebhookSecret = Type.Object(
  {
    endpoint: WebhookEndpoint,
    secret: Type.String({ description: 'whsec_...; shown once' }),
  },
  { $id: 'WebhookSecret' },
);
export type WebhookSecret = Static<typeof WebhookSecret>;

export const WebhookRotation = Type.Object(
  {
    graceSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 604_800,
        description: 'how long the secret before signs too; default 86400',
      }),
    ),
  },
  { additionalProperties: false, $id: 'WebhookRotation' },
);

export const WebhookDelivery = Type.Object(
  {
    id: Id,
    /** `webhook-id` of what is sent: the same for all attempts and redeliveries of an event. */
    eventId: Id,
    type: Type.String(),
    state: Type.Enum(['pending', 'delivered', 'failed']),
    attempts: Type.Integer({ minimum: 0 }),
    createdAt: Instant,
    nextAttemptAt: Nullable(Instant),
    deliveredAt: Nullable(Instant),
    /** Of the newest attempt. */
    lastStatus: Nullable(Type.Integer()),
    lastError: Nullable(Type.String()),
    lastDurationMs: Nullable(Type.Integer()),
  },
  { $id: 'WebhookDelivery' },
);
export type WebhookDelivery = Static<typeof WebhookDelivery>;

export const WebhookDeliveryPage = Type.Object(
  { deliveries: Type.Array(WebhookDelivery), next: Next },
  { $id: 'WebhookDeliveryPage' },
);
export type WebhookDeliveryPage = Static<typeof WebhookDeliveryPage>;
