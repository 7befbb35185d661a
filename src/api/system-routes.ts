/** Owns what the server says about itself: who it is, whether it is well, what it measured, and its own description. */

import { Type } from 'typebox';

import { About, Health } from '#contract/rest.ts';
import type { Api, ApiOptions, HealthChecks } from '#api/api-options.ts';
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

  let document: string | null = null;
  api.get('/openapi.json', {
    config,
    schema: {
      tags,
      operationId: 'openapi',
      summary: 'This description (OpenAPI 3.1)',
      response: answers({ 200: described(Type.Object({}), 'An OpenAPI document.') }, config),
    },
    handler: async (_request, reply) => {
      document ??= JSON.stringify(options.openApi.document());
      return reply.type('application/json').send(document);
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
