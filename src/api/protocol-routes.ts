/** Owns protocols over HTTP: what is to be recorded. */

import { Type } from 'typebox';

import { invalidCursor } from '#clinic/json-pages.ts';
import { Id } from '#contract/rest.ts';
import { Protocol, ProtocolChange, ProtocolPage, ProtocolRequest } from '#contract/visit.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { jsonText } from '#api/json-text.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const readConfig = { access: 'session.read' } as const;
const config = { access: 'protocol.write' } as const;
const tags = ['protocols'];
const params = Type.Object({ id: Id });

export function addProtocolRoutes(api: Api, { visits: { protocols } }: ApiOptions): void {
  api.get('/v1/protocols', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'listProtocols',
      summary: 'What may be recorded, newest first, without what is archived',
      security: security('session.read'),
      querystring: Type.Object(pageQuery, { additionalProperties: false }),
      response: answers({ 200: ProtocolPage }, { ...readConfig, refusals: [400] }),
    },
    handler: async (request, reply) => {
      const { limit = pageLimits.defaultItems, cursor = null } = request.query;
      const page = await protocols.list(principalOf(request), { limit, cursor });
      if (page === null) throw invalidCursor();
      return jsonText(reply, page);
    },
  });

  api.get('/v1/protocols/:id', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getProtocol',
      summary: 'The newest revision of a protocol',
      security: security('session.read'),
      params,
      response: answers({ 200: Protocol }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: (request) => protocols.read(principalOf(request), request.params.id.toLowerCase()),
  });

  api.post('/v1/protocols', {
    config,
    schema: {
      tags,
      operationId: 'createProtocol',
      summary: 'A new protocol: tasks, and the segments that are measured',
      security: security('protocol.write'),
      body: ProtocolRequest,
      response: answers({ 201: Protocol }, { ...config, refusals: [400, 409, 413, 415] }),
    },
    handler: async (request, reply) =>
      reply.code(201).send(await protocols.create(principalOf(request), request.body)),
  });

  api.put('/v1/protocols/:id', {
    config,
    schema: {
      tags,
      operationId: 'changeProtocol',
      summary: 'The next revision of a protocol; sessions keep the one that they were planned by',
      security: security('protocol.write'),
      params,
      body: ProtocolChange,
      response: answers({ 200: Protocol }, { ...config, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: (request) =>
      protocols.change(principalOf(request), request.params.id.toLowerCase(), request.body),
  });

  api.delete('/v1/protocols/:id', {
    config,
    schema: {
      tags,
      operationId: 'archiveProtocol',
      summary: 'Offer a protocol to nobody any more; sessions keep it',
      security: security('protocol.write'),
      params,
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      await protocols.archive(principalOf(request), request.params.id.toLowerCase());
      return reply.code(204).send(null);
    },
  });
}
