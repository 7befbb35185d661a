/** Owns how long readings stay, over HTTP: the class of new streams, legal holds, and erasing. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { HoldRequest, Id, Retention, RetentionRequest } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';

const config = { access: 'retention.manage' } as const;
const sessionConfig = { access: 'retention.manage', subject: 'session' } as const;
const streamConfig = { access: 'retention.manage', subject: 'stream' } as const;
const tags = ['retention'];
const params = Type.Object({ id: Id });

export function addRetentionRoutes(api: Api, options: ApiOptions): void {
  addClassRoutes(api, options);
  addHoldRoutes(api, options);
  addErasureRoutes(api, options);
}

function addClassRoutes(api: Api, { retention: { classes } }: ApiOptions): void {
  api.get('/v1/retention', {
    config,
    schema: {
      tags,
      operationId: 'getRetention',
      summary: 'How long readings are kept, and the class of streams that open from now on',
      security: security('retention.manage'),
      response: answers({ 200: Retention }, config),
    },
    handler: (request) => classes.list(principalOf(request).orgId),
  });

  api.put('/v1/retention', {
    config,
    schema: {
      tags,
      operationId: 'setRetention',
      summary: 'Choose the class of streams that open from now on; those that exist keep theirs',
      security: security('retention.manage'),
      body: RetentionRequest,
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) => {
      await classes.setDefault(principalOf(request).orgId, request.body.defaultClass);
      return reply.code(204).send(null);
    },
  });
}

function addHoldRoutes(api: Api, { retention: { holds } }: ApiOptions): void {
  api.put('/v1/sessions/:id/hold', {
    config: sessionConfig,
    schema: {
      tags,
      operationId: 'holdSession',
      summary: 'Put a session under a legal hold, or change the reason: its readings stay',
      security: security('retention.manage'),
      params,
      body: HoldRequest,
      response: answers({ 204: NoContent }, { ...sessionConfig, refusals: [400, 404, 413, 415] }),
    },
    handler: async (request, reply) => {
      const { reason } = request.body;
      if (!reason.isWellFormed() || reason.includes('\u0000') || reason.trim() === '')
        throw new AppError('invalid-field', 'a reason has at least one visible character', {
          field: '/reason',
        });
      if (!(await holds.hold(principalOf(request).orgId, request.params.id, reason)))
        throw new AppError('not-found', 'there is no such session');
      return reply.code(204).send(null);
    },
  });

  api.delete('/v1/sessions/:id/hold', {
    config: sessionConfig,
    schema: {
      tags,
      operationId: 'releaseSession',
      summary: 'End a legal hold',
      security: security('retention.manage'),
      params,
      response: answers({ 204: NoContent }, { ...sessionConfig, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      if (!(await holds.release(principalOf(request).orgId, request.params.id)))
        throw new AppError('not-found', 'there is no such session, or it is under no hold');
      return reply.code(204).send(null);
    },
  });
}

function addErasureRoutes(api: Api, { retention: { erase } }: ApiOptions): void {
  const what = {
    session: {
      config: sessionConfig,
      url: '/v1/sessions/:id',
      operationId: 'eraseSession',
      summary: 'Erase a session for good',
    },
    stream: {
      config: streamConfig,
      url: '/v1/streams/:id',
      operationId: 'eraseStream',
      summary: 'Erase one stream for good',
    },
  } as const;
  for (const kind of ['session', 'stream'] as const)
    api.delete(what[kind].url, {
      config: what[kind].config,
      schema: {
        tags,
        operationId: what[kind].operationId,
        summary: what[kind].summary,
        description:
          'Removes readings, roll-ups and definitions. Devices that still hold readings of it drop them. Refused under a ' +
          'legal hold. Asking again finishes what was interrupted, and succeeds when all is gone.',
        security: security('retention.manage'),
        params,
        response: answers({ 204: NoContent }, { ...config, refusals: [400, 404, 409] }),
      },
      handler: async (request, reply) => {
        const id = request.params.id.toLowerCase();
        const outcome = await erase(principalOf(request).orgId, { kind, id });
        if (outcome === 'not-found') throw new AppError('not-found', `there is no such ${kind}`);
        if (outcome === 'held') throw new AppError('conflict', 'the session is under a legal hold');
        return reply.code(204).send(null);
      },
    });
}
