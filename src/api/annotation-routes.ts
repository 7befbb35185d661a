/** Owns annotations over HTTP: what people write on the time line of a session. */

import { Type } from 'typebox';

import { invalidCursor } from '#clinic/json-pages.ts';
import { Id } from '#contract/rest.ts';
import {
  Annotation,
  AnnotationChange,
  AnnotationHistory,
  AnnotationPage,
  AnnotationRemoval,
  AnnotationRequest,
} from '#contract/visit.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { jsonText } from '#api/json-text.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageQuery } from '#api/session-routes.ts';

const readConfig = { access: 'session.read', subject: 'session' } as const;
const config = { access: 'session.write', subject: 'session' } as const;
const tags = ['annotations'];
const params = Type.Object({ id: Id });
const nested = Type.Object({ id: Id, annotation: Id });
const refusals = [400, 404, 409, 413, 415] as const;

const annotationLimits = {
  /** Most sessions have fewer: the time line is drawn with one request. */
  defaultItems: 200,
  /** Of the longest texts, 1 MB. */
  maxItems: 500,
} as const;

const addressOf = (request: { readonly params: { readonly id: string; readonly annotation: string } }) => ({
  session: request.params.id.toLowerCase(),
  id: request.params.annotation.toLowerCase(),
});

export function addAnnotationRoutes(api: Api, options: ApiOptions): void {
  addReadingOfAnnotations(api, options);
  addWritingOfAnnotations(api, options);
}

function addReadingOfAnnotations(api: Api, { visits: { annotations } }: ApiOptions): void {
  api.get('/v1/sessions/:id/annotations', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'listAnnotations',
      summary:
        'Annotations of a session in the order of time; changes are told in `session/{session}/annotations`',
      security: security('session.read'),
      params,
      querystring: Type.Object(
        {
          ...pageQuery,
          limit: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: annotationLimits.maxItems,
              description: `default ${annotationLimits.defaultItems}`,
            }),
          ),
        },
        { additionalProperties: false },
      ),
      response: answers({ 200: AnnotationPage }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { limit = annotationLimits.defaultItems, cursor = null } = request.query;
      const session = request.params.id.toLowerCase();
      const page = await annotations.list(principalOf(request), session, { limit, cursor });
      if (page === null) throw invalidCursor();
      return jsonText(reply, page);
    },
  });

  api.get('/v1/sessions/:id/annotations/:annotation/history', {
    config: readConfig,
    schema: {
      tags,
      operationId: 'getAnnotationHistory',
      summary: 'Everything that an annotation ever said, also when it was removed',
      security: security('session.read'),
      params: nested,
      response: answers({ 200: AnnotationHistory }, { ...readConfig, refusals: [400, 404] }),
    },
    handler: (request) => annotations.history(principalOf(request), addressOf(request)),
  });
}

function addWritingOfAnnotations(api: Api, { visits: { annotations } }: ApiOptions): void {
  api.post('/v1/sessions/:id/annotations', {
    config,
    schema: {
      tags,
      operationId: 'placeAnnotation',
      summary: 'Write on the time line of a session: a point or a span, in device time',
      security: security('session.write'),
      params,
      body: AnnotationRequest,
      response: answers({ 201: Annotation }, { ...config, refusals }),
    },
    handler: async (request, reply) =>
      reply
        .code(201)
        .send(await annotations.place(principalOf(request), request.params.id.toLowerCase(), request.body)),
  });

  api.put('/v1/sessions/:id/annotations/:annotation', {
    config,
    schema: {
      tags,
      operationId: 'changeAnnotation',
      summary: 'Change an annotation, as its author or an owner',
      security: security('session.write'),
      params: nested,
      body: AnnotationChange,
      response: answers({ 200: Annotation }, { ...config, refusals }),
    },
    handler: (request) => annotations.change(principalOf(request), addressOf(request), request.body),
  });

  api.delete('/v1/sessions/:id/annotations/:annotation', {
    config,
    schema: {
      tags,
      operationId: 'removeAnnotation',
      summary: 'Remove an annotation, as its author or an owner; what it said stays in its history',
      security: security('session.write'),
      params: nested,
      querystring: AnnotationRemoval,
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404, 409] }),
    },
    handler: async (request, reply) => {
      await annotations.remove(principalOf(request), addressOf(request), request.query);
      return reply.code(204).send(null);
    },
  });
}
