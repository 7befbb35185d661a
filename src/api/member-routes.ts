/** Owns members and invitations of an organisation over HTTP. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import { invalidCursor } from '#clinic/json-pages.ts';
import {
  InvitationCreated,
  InvitationPage,
  InvitationRequest,
  MemberChange,
  MemberList,
} from '#contract/account.ts';
import { Id } from '#contract/rest.ts';
import type { EndedSignIn } from '#identity/own-account.ts';
import { principalOf } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import type { PeopleRouteOptions } from '#api/people-routes.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pageLimits, pageQuery } from '#api/session-routes.ts';
import { visitorOf } from '#api/visitor.ts';

const read = { access: 'organisation.read' } as const;
const manage = { access: 'organisation.manage' } as const;
const tags = ['members'];

export function addMemberRoutes(api: Api, { people, onRevoked }: PeopleRouteOptions): void {
  const { members } = people;
  const closeAll = (ended: readonly EndedSignIn[]): void => {
    for (const { id, orgId } of ended) onRevoked({ orgId, keyId: id });
  };

  api.get('/v1/members', {
    config: read,
    schema: {
      tags,
      operationId: 'listMembers',
      summary: 'Who belongs to this organisation, and as what',
      security: security(read.access),
      response: answers({ 200: MemberList }, read),
    },
    handler: (request) => members.list(principalOf(request)),
  });

  api.put('/v1/members/:id', {
    config: manage,
    schema: {
      tags,
      operationId: 'changeMember',
      summary: 'Another role; the person signs in again',
      security: security(manage.access),
      params: Type.Object({ id: Id }),
      body: MemberChange,
      response: answers({ 204: NoContent }, { ...manage, refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const personId = request.params.id.toLowerCase();
      closeAll(await members.change(principalOf(request), { ...request.body, personId }, visitorOf(request)));
      return reply.code(204).send(null);
    },
  });

  api.delete('/v1/members/:id', {
    config: manage,
    schema: {
      tags,
      operationId: 'removeMember',
      summary: 'Somebody belongs to this organisation no more; what was written stays',
      security: security(manage.access),
      params: Type.Object({ id: Id }),
      response: answers({ 204: NoContent }, { ...manage, refusals: [400, 404, 409] }),
    },
    handler: async (request, reply) => {
      const personId = request.params.id.toLowerCase();
      closeAll(await members.remove(principalOf(request), personId, visitorOf(request)));
      return reply.code(204).send(null);
    },
  });

  api.post('/v1/invitations', {
    config: manage,
    schema: {
      tags,
      operationId: 'invite',
      summary: 'Invite somebody; the token is shown this once, and mailed where mail is sent',
      security: security(manage.access),
      body: InvitationRequest,
      response: answers({ 201: InvitationCreated }, { ...manage, refusals: [400, 409, 413, 415] }),
    },
    handler: async (request, reply) =>
      reply.code(201).send(await members.invite(principalOf(request), request.body, visitorOf(request))),
  });

  api.get('/v1/invitations', {
    config: manage,
    schema: {
      tags,
      operationId: 'listInvitations',
      summary: 'Invitations, newest first; never their tokens',
      security: security(manage.access),
      querystring: Type.Object(pageQuery, { additionalProperties: false }),
      response: answers({ 200: InvitationPage }, { ...manage, refusals: [400] }),
    },
    handler: async (request) => {
      const { limit = pageLimits.defaultItems, cursor = null } = request.query;
      const page = await members.listInvitations(principalOf(request), { limit, cursor });
      if (page === null) throw invalidCursor();
      return page;
    },
  });

  api.delete('/v1/invitations/:id', {
    config: manage,
    schema: {
      tags,
      operationId: 'revokeInvitation',
      summary: 'An invitation is worth nothing from now on',
      security: security(manage.access),
      params: Type.Object({ id: Id }),
      response: answers({ 204: NoContent }, { ...manage, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      if (!(await members.revokeInvitation(principalOf(request), id, visitorOf(request))))
        throw new AppError('not-found', 'there is no such invitation, or it was accepted');
      return reply.code(204).send(null);
    },
  });
}
