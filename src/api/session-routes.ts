/** Owns the reading of sessions over HTTP. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { Id, SessionDetail, SessionPage } from '#contract/rest.ts';
import type { SessionFilter } from '#store/session-queries.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { jsonText } from '#api/json-text.ts';
import { answers, security } from '#api/route-schemas.ts';

const config = { access: 'session.read', subject: 'session' } as const;
const listConfig = { access: 'session.read', subject: 'own' } as const;
const tags = ['sessions'];

export const pageLimits = {
  defaultItems: 20,
  /** One answer of sessions with their counts stays under 50 kB. */
  maxItems: 100,
  /** Cursors are under 80 characters. */
  cursorCharacters: 200,
} as const;

/** What every paged list takes. */
export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: pageLimits.maxItems,
      description: `default ${pageLimits.defaultItems}`,
    }),
  ),
  cursor: Type.Optional(
    Type.String({ maxLength: pageLimits.cursorCharacters, description: '`next` of the page before' }),
  ),
};

/** The page that such a query asks for. */
export function pageOf({ limit, cursor }: { readonly limit?: number; readonly cursor?: string }): {
  limit: number;
  cursor: string | null;
} {
  return { limit: limit ?? pageLimits.defaultItems, cursor: cursor ?? null };
}

export function addSessionRoutes(api: Api, { sessions, visits }: ApiOptions): void {
  api.get('/v1/sessions', {
    config: listConfig,
    schema: {
      tags,
      operationId: 'listSessions',
      summary: 'Sessions, newest first',
      security: security('session.read'),
      querystring: Type.Object(
        {
          ...pageQuery,
          patient: Type.Optional(Id),
          state: Type.Optional(
            Type.Enum(['planned', 'live', 'idle', 'ended', 'sealed', 'all'], {
              description: 'default: all but planned ones',
            }),
          ),
          from: Type.Optional(Type.String({ format: 'date-time', description: 'of the start' })),
          to: Type.Optional(Type.String({ format: 'date-time', description: 'exclusive' })),
        },
        { additionalProperties: false },
      ),
      response: answers({ 200: SessionPage }, { ...listConfig, refusals: [400] }),
    },
    handler: async (request, reply) => {
      const { limit = pageLimits.defaultItems, cursor = null, ...filter } = request.query;
      const page = { limit, cursor, filter: filterOf(filter) };
      return jsonText(reply, await visits.lists.list(principalOf(request), page));
    },
  });

  api.get('/v1/sessions/:id', {
    config,
    schema: {
      tags,
      operationId: 'getSession',
      summary: 'One session with its streams, and what is stored, lost and missing of each',
      security: security('session.read'),
      params: Type.Object({ id: Id }),
      response: answers({ 200: SessionDetail }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request) => {
      const detail = await sessions.detail(principalOf(request), request.params.id);
      if (detail === null) throw new AppError('not-found', 'there is no such session');
      return detail;
    },
  });
}

function filterOf(query: {
  readonly patient?: string;
  readonly state?: NonNullable<SessionFilter['state']>;
  readonly from?: string;
  readonly to?: string;
}): SessionFilter {
  const { patient, state, from, to } = query;
  return {
    ...(patient === undefined ? {} : { patientId: patient }),
    ...(state === undefined ? {} : { state }),
    ...(from === undefined ? {} : { from: new Date(from) }),
    ...(to === undefined ? {} : { to: new Date(to) }),
  };
}
