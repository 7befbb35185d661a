/** Owns webhooks over HTTP: endpoints with secrets that are shown once, tests, and the log of deliveries. */

import { Type } from 'typebox';

import { invalidCursor } from '#clinic/json-pages.ts';
import { Id } from '#contract/rest.ts';
import {
  WebhookDelivery,
  WebhookDeliveryPage,
  WebhookEndpoint,
  WebhookEndpointChange,
  WebhookEndpointPage,
  WebhookEndpointRequest,
  WebhookRotation,
  WebhookSecret,
} from '#contract/webhooks.ts';
import type { Webhooks } from '#jobs/webhooks/endpoints.ts';
import { principalOf } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const config = { access: 'organisation.manage' } as const;
const tags = ['webhooks'];
const params = Type.Object({ id: Id });
const allowed = security('organisation.manage');

export function addWebhookRoutes(api: Api, webhooks: Webhooks): void {
  api.get('/v1/webhooks', {
    config,
    schema: {
      tags,
      operationId: 'listWebhooks',
      summary: 'Where this organisation is told of events, newest first; never the secrets',
      security: allowed,
      querystring: Type.Object(pageQuery, { additionalProperties: false }),
      response: answers({ 200: WebhookEndpointPage }, { ...config, refusals: [400] }),
    },
    handler: async (request) => {
      const { limit = pageLimits.defaultItems, cursor = null } = request.query;
      const page = await webhooks.list(principalOf(request), { limit, cursor });
      if (page === null) throw invalidCursor();
      return page;
    },
  });

  api.post('/v1/webhooks', {
    config,
    schema: {
      tags,
      operationId: 'createWebhook',
      summary: 'Be told of events at an address; the secret that signs is shown this once',
      description:
        'Bodies are JSON `{type, timestamp, data}`, signed as standardwebhooks.com says (webhook-id, webhook-timestamp, ' +
        'webhook-signature). Answer 2xx within 5 seconds. An event may come twice, with the same webhook-id.',
      security: allowed,
      body: WebhookEndpointRequest,
      response: answers({ 201: WebhookSecret }, { ...config, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) =>
      reply.code(201).send(await webhooks.create(principalOf(request), request.body)),
  });

  api.patch('/v1/webhooks/:id', {
    config,
    schema: {
      tags,
      operationId: 'changeWebhook',
      summary: 'Another address, other events, switched on or off',
      security: allowed,
      params,
      body: WebhookEndpointChange,
      response: answers({ 200: WebhookEndpoint }, { ...config, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: (request) => webhooks.change(principalOf(request), idOf(request.params), request.body),
  });

  api.delete('/v1/webhooks/:id', {
    config,
    schema: {
      tags,
      operationId: 'removeWebhook',
      summary: 'Tell it no more, and forget its deliveries',
      security: allowed,
      params,
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      await webhooks.remove(principalOf(request), idOf(request.params));
      return reply.code(204).send(null);
    },
  });

  addSecretRoutes(api, webhooks);
  addDeliveryRoutes(api, webhooks);
}

function idOf({ id }: { readonly id: string }): string {
  return id.toLowerCase();
}

function addSecretRoutes(api: Api, webhooks: Webhooks): void {
  api.post('/v1/webhooks/:id/secret', {
    config,
    schema: {
      tags,
      operationId: 'rotateWebhookSecret',
      summary: 'A new secret, shown this once; the one before it signs too until its time is over',
      security: allowed,
      params,
      body: WebhookRotation,
      response: answers({ 200: WebhookSecret }, { ...config, refusals: [400, 404, 413, 415] }),
    },
    handler: (request) =>
      webhooks.rotate(principalOf(request), idOf(request.params), request.body.graceSeconds),
  });

  api.post('/v1/webhooks/:id/test', {
    config,
    schema: {
      tags,
      operationId: 'testWebhook',
      summary: 'Send it an event endpoint.test; the log of deliveries says what came of it',
      security: allowed,
      params,
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      await webhooks.test(principalOf(request), idOf(request.params));
      return reply.code(204).send(null);
    },
  });
}

function addDeliveryRoutes(api: Api, webhooks: Webhooks): void {
  api.get('/v1/webhooks/:id/deliveries', {
    config,
    schema: {
      tags,
      operationId: 'listWebhookDeliveries',
      summary: 'What it was told in the last 30 days, newest first, and what came of it',
      security: allowed,
      params,
      querystring: Type.Object(
        { ...pageQuery, state: Type.Optional(WebhookDelivery.properties.state) },
        { additionalProperties: false },
      ),
      response: answers({ 200: WebhookDeliveryPage }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request) => {
      const { limit = pageLimits.defaultItems, cursor = null, state = null } = request.query;
      const page = await webhooks.deliveries(principalOf(request), idOf(request.params), {
        limit,
        cursor,
        state,
      });
      if (page === null) throw invalidCursor();
      return page;
    },
  });

  api.post('/v1/webhooks/:id/deliveries/:delivery/redeliver', {
    config,
    schema: {
      tags,
      operationId: 'redeliverWebhook',
      summary: 'Tell it of this event again, with the same webhook-id',
      security: allowed,
      params: Type.Object({ id: Id, delivery: Id }),
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { delivery } = request.params;
      await webhooks.redeliver(principalOf(request), idOf(request.params), delivery.toLowerCase());
      return reply.code(204).send(null);
    },
  });
}
