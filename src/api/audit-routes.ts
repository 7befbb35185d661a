/** Owns the reading of the audit log over HTTP. Reading it is in it too. */

import { Type } from 'typebox';

import { invalidCursor } from '#clinic/json-pages.ts';
import { AuditPage } from '#contract/audit.ts';
import { auditLimits } from '#contract/audit.ts';
import { Id } from '#contract/rest.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const config = { access: 'audit.read' } as const;

export function addAuditRoutes(api: Api, { auditRecords }: ApiOptions): void {
  api.get('/v1/audit', {
    config,
    schema: {
      tags: ['audit'],
      operationId: 'listAuditEntries',
      summary: 'Who read or changed whose data, newest first',
      description:
        'Of a patient, an actor, or a time; a patient together with an actor. `head` is the newest block of the chain: ' +
        'kept somewhere else, it proves later that nothing before it was changed or removed (docs/audit.md).',
      security: security('audit.read'),
      querystring: Type.Object(
        {
          ...pageQuery,
          patient: Type.Optional(Id),
          actor: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: auditLimits.actorCharacters,
              description: 'id of a person, key or device, or the subject of a token',
            }),
          ),
          from: Type.Optional(Type.String({ format: 'date-time' })),
          to: Type.Optional(Type.String({ format: 'date-time', description: 'exclusive' })),
        },
        { additionalProperties: false },
      ),
      response: answers({ 200: AuditPage }, { ...config, refusals: [400] }),
    },
    handler: async (request) => {
      const { limit = pageLimits.defaultItems, cursor = null, patient, actor, from, to } = request.query;
      const page = await auditRecords.list(principalOf(request), {
        limit,
        cursor,
        patientId: patient?.toLowerCase() ?? null,
        actor: actor ?? null,
        from: from === undefined ? null : new Date(from),
        to: to === undefined ? null : new Date(to),
      });
      if (page === null) throw invalidCursor();
      return page;
    },
  });
}
