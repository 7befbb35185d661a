/** Owns access keys and revocations over HTTP: making a key shows it once, revoking one closes what it has open. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { invalidCursor } from '#clinic/json-pages.ts';
import { AccessKeyCreated, AccessKeyPage, AccessKeyRequest, Id, RevocationRequest } from '#contract/rest.ts';
import { permissionsOfKey, refuseWiderKey } from '#identity/access.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';

const config = { access: 'key.manage' } as const;
const tags = ['keys'];

export function addKeyRoutes(api: Api, { accounts, identity, onRevoked }: ApiOptions): void {
  api.post('/v1/access-keys', {
    config,
    schema: {
      tags,
      operationId: 'createAccessKey',
      summary: 'A new access key of this organisation; it is shown this once',
      security: security('key.manage'),
      body: AccessKeyRequest,
      response: answers({ 201: AccessKeyCreated }, { ...config, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) => {
      const { name, scope, permissions, expiresAt } = request.body;
      const maker = principalOf(request);
      refuseWiderKey(maker, permissionsOfKey(scope, permissions ?? null));
      const made = await accounts.createAccessKey(maker.orgId, {
        name,
        scope,
        createdBy: `${maker.kind}:${maker.subject}`,
        ...(permissions === undefined ? {} : { permissions }),
        ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }),
      });
      return reply.code(201).send(made);
    },
  });

  api.get('/v1/access-keys', {
    config,
    schema: {
      tags,
      operationId: 'listAccessKeys',
      summary: 'Access keys, newest first; never the keys themselves',
      security: security('key.manage'),
      querystring: Type.Object(pageQuery, { additionalProperties: false }),
      response: answers({ 200: AccessKeyPage }, { ...config, refusals: [400] }),
    },
    handler: async (request) => {
      const { limit = pageLimits.defaultItems, cursor = null } = request.query;
      const page = await accounts.listAccessKeys(principalOf(request).orgId, { limit, cursor });
      if (page === null) throw invalidCursor();
      return page;
    },
  });

  api.delete('/v1/access-keys/:id', {
    config,
    schema: {
      tags,
      operationId: 'revokeAccessKey',
      summary: 'Refuse a key from now on, and close what it has open',
      security: security('key.manage'),
      params: Type.Object({ id: Id }),
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { orgId } = principalOf(request);
      const keyId = request.params.id.toLowerCase();
      if (!(await accounts.revokeAccessKey(orgId, keyId)))
        throw new AppError('not-found', 'there is no such key');
      identity.forget(keyId);
      onRevoked({ orgId, keyId });
      return reply.code(204).send(null);
    },
  });

  const manage = { access: 'channel.vouch' } as const;
  api.post('/v1/revocations', {
    config: manage,
    schema: {
      tags,
      operationId: 'revokeToken',
      summary:
        'Refuse a token of a trusted back end, or all of a subject, for a day, and close what they have open',
      description:
        'A token stays valid for its signature, so a revocation is remembered for as long as any token may live. It is ' +
        'kept in memory by every instance that is running now: one that starts later does not know it.',
      security: security('channel.vouch'),
      body: RevocationRequest,
      response: answers({ 204: NoContent }, { ...manage, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) => {
      const { orgId } = principalOf(request);
      const { tokenId, subject } = request.body;
      if (tokenId !== undefined) onRevoked({ orgId, tokenId });
      else if (subject !== undefined) onRevoked({ orgId, subject });
      return reply.code(204).send(null);
    },
  });
}
