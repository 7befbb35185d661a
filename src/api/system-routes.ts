/** Owns what the server says about itself: who it is, whether it is well, what it measured, and its own description. */

import { Type } from 'typebox';

import { About, Health } from '#contract/rest.ts';
import type { Api, ApiOptions, HealthChecks } from '#api/api-options.ts';
import { describeMessages } from '#api/asyncapi.ts';
import type { OpenApi } from '#api/openapi.ts';
import { answers, described } from '#api/route-schemas.ts';

const config = { access: 'public' } as const;
const tags = ['server'];

export function addSystemRoutes(api: Api, options: ApiOptions & { openApi: OpenApi }): void {
  api.get('/v1/about', {
    config,
    schema: {
      tags,
      operationId: 'about',
      summary: 'What runs here',
      response: answers({ 200: About }, config),
    },
    handler: async () => ({ name: 'Kymo' as const, ...options.about }),
  });

  api.get('/healthz', {
    config,
    schema: {
      tags,
      operationId: 'health',
      summary: 'Whether the process is alive; restart it when this fails',
      response: answers({ 200: Health }, config),
    },
    handler: async () => ({ ok: true, checks: {} }),
  });

  api.get('/readyz', {
    config,
    schema: {
      tags,
      operationId: 'readiness',
      summary: 'Whether the server can do its work now; send no traffic while this fails',
      response: answers({ 200: Health, 503: described(Health, 'Not ready; `checks` says why.') }, config),
    },
    handler: async (_request, reply) => {
      const checks = await readChecks(options);
      // What is degraded does less, but nobody else would do more.
      const ok = Object.values(checks).every(
        (outcome) => outcome === 'ok' || outcome.startsWith('degraded: '),
      );
      return reply.code(ok ? 200 : 503).send({ ok, checks: { ...checks } });
    },
  });

  api.get('/metrics', {
    config,
    schema: {
      tags,
      operationId: 'metrics',
      summary: 'Measurements in the text format of Prometheus',
      produces: ['text/plain'],
      response: answers({ 200: Type.String() }, config),
    },
    handler: async (_request, reply) =>
      reply.type(options.metrics.contentType).send(await options.metrics.metrics()),
  });

  addDocumentRoute(api, {
    url: '/openapi.json',
    operationId: 'openapi',
    summary: 'This description (OpenAPI 3.1)',
    document: () => options.openApi.document(),
  });
  addDocumentRoute(api, {
    url: '/openapi-3.2.json',
    operationId: 'openapiOfEvents',
    summary: 'This description in OpenAPI 3.2, which says what the events of streams look like',
    document: () => options.openApi.document('3.2.0'),
  });
  addDocumentRoute(api, {
    url: '/asyncapi.json',
    operationId: 'asyncapi',
    summary: 'The messages of the WebSockets, and every channel (AsyncAPI 3.0)',
    document: () => describeMessages(options.live?.channels.definitions ?? [], options.about.version),
  });
}

/** A document that stays as it is while the server runs: written once, when it is first asked for. */
function addDocumentRoute(
  api: Api,
  route: {
    readonly url: string;
    readonly operationId: string;
    readonly summary: string;
    readonly document: () => object;
  },
): void {
  const { url, operationId, summary } = route;
  let text: string | null = null;
  api.get(url, {
    config,
    schema: {
      tags,
      operationId,
      summary,
      response: answers({ 200: described(Type.Object({}), 'The document.') }, config),
    },
    handler: async (_request, reply) => {
      text ??= JSON.stringify(route.document());
      return reply.type('application/json').send(text);
    },
  });
}

async function readChecks(options: ApiOptions): Promise<HealthChecks> {
  try {
    return await options.checkReadiness();
  } catch {
    // What could not even be asked is not ready; the reason may name machines, so it stays out of a public answer.
    return { server: 'the checks failed' };
  }
}
