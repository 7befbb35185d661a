/**
 * Owns the ways in for people over HTTP. Each ends in a new cookie, whatever cookie came with the request, which ends.
 * What is used once travels in the body. Pages of foreign origins are refused, so that nobody is signed in to somebody
 * else's account without knowing.
 */

import { Type } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { AppError } from '#base/errors.ts';
import {
  AcceptInvitationRequest,
  ForgottenPasswordRequest,
  InvitationView,
  OneTimeTokenRequest,
  PasswordResetRequest,
  SecondFactorRequest,
  SetUpRequest,
  SignInAnswer,
  SignInOptions,
  SignInRequest,
} from '#contract/account.ts';
import type { Entry } from '#identity/entrances.ts';
import type { Api } from '#api/api-options.ts';
import type { PeopleRouteOptions } from '#api/people-routes.ts';
import { answers, NoContent } from '#api/route-schemas.ts';
import { signInCookie, signInToken } from '#api/sign-in-cookie.ts';
import { visitorOf } from '#api/visitor.ts';

const config = { access: 'public', refusesForeignPages: true } as const;
const tags = ['sign-in'];
const entered = answers(
  { 200: SignInAnswer },
  { access: 'public', refusals: [400, 401, 403, 409, 413, 415, 429, 503] },
);

/** Sets the cookie of a new sign-in and says who is in; or asks for the second factor. */
export function createEnter(
  options: PeopleRouteOptions,
): (request: FastifyRequest, reply: FastifyReply, entry: Entry) => Promise<SignInAnswer> {
  const { people, origins, onRevoked } = options;
  return async (request, reply, entry) => {
    if (entry.state === 'second-factor')
      return {
        state: 'second-factor',
        challenge: entry.challenge,
        expiresAt: entry.expiresAt.toISOString(),
      };
    const before = signInToken(request.headers.cookie, origins);
    const left = before === null ? null : await people.signIns.authenticate(before, null);
    if (left !== null && left.revocationId !== null) {
      await people.signIns.revoke(left.subject, left.revocationId);
      onRevoked({ orgId: left.orgId, keyId: left.revocationId });
    }
    const { token, expiresAt } = entry.signIn;
    const principal = await people.signIns.authenticate(token, null);
    if (principal === null) throw new AppError('unauthenticated', 'this account was removed meanwhile');
    const account = await people.own.view(principal);
    // For the audit log: who came in is known from here on.
    request.principal = principal;
    reply.header('set-cookie', signInCookie(token, expiresAt, origins));
    return { state: 'signed-in', account };
  };
}

export function addEntranceRoutes(api: Api, options: PeopleRouteOptions): void {
  const { people, onRevoked } = options;
  const { entrances } = people;
  const enter = createEnter(options);

  api.get('/v1/account/options', {
    config,
    schema: {
      tags,
      operationId: 'getSignInOptions',
      summary: 'How people sign in here',
      security: [],
      response: answers({ 200: SignInOptions }, { access: 'public', refusals: [503] }),
    },
    handler: async () => ({ hasMail: people.hasMail, needsSetUp: await entrances.needsSetUp() }),
  });

  api.post('/v1/account/sign-in', {
    config,
    schema: {
      tags,
      operationId: 'signIn',
      summary: 'Sign in with e-mail address and password',
      description: 'The answer is the same for a wrong password and an unknown address.',
      security: [],
      body: SignInRequest,
      response: entered,
    },
    handler: async (request, reply) =>
      enter(request, reply, await entrances.byPassword(request.body, visitorOf(request))),
  });

  api.post('/v1/account/second-factor', {
    config,
    schema: {
      tags,
      operationId: 'signInSecondFactor',
      summary: 'The second step of a sign-in: a code of the authenticator, or a back-up code',
      security: [],
      body: SecondFactorRequest,
      response: entered,
    },
    handler: async (request, reply) =>
      enter(request, reply, await entrances.bySecondFactor(request.body, visitorOf(request))),
  });

  api.post('/v1/account/links', {
    config,
    schema: {
      tags,
      operationId: 'signInByLink',
      summary: 'Sign in with a one-time link, such as the server prints',
      security: [],
      body: OneTimeTokenRequest,
      response: entered,
    },
    handler: async (request, reply) =>
      enter(request, reply, await entrances.byLink(request.body.token, visitorOf(request))),
  });

  api.post('/v1/account/set-up', {
    config,
    schema: {
      tags,
      operationId: 'setUp',
      summary: 'The first owner, with the set-up link that the server printed',
      security: [],
      body: SetUpRequest,
      response: entered,
    },
    handler: async (request, reply) =>
      enter(request, reply, await entrances.setUp(request.body, visitorOf(request))),
  });

  api.post('/v1/account/invitations/look', {
    config,
    schema: {
      tags,
      operationId: 'lookAtInvitation',
      summary: 'What an invitation is to, for whoever holds it',
      security: [],
      body: OneTimeTokenRequest,
      response: answers({ 200: InvitationView }, { access: 'public', refusals: [400, 404, 413, 415, 503] }),
    },
    handler: async (request) => {
      const view = await entrances.lookAtInvitation(request.body.token);
      if (view === null) throw new AppError('not-found', 'the invitation was used or revoked, or has ended');
      return view;
    },
  });

  api.post('/v1/account/invitations/accept', {
    config,
    schema: {
      tags,
      operationId: 'acceptInvitation',
      summary: 'Join an organisation by an invitation',
      security: [],
      body: AcceptInvitationRequest,
      response: entered,
    },
    handler: async (request, reply) =>
      enter(request, reply, await entrances.acceptInvitation(request.body, visitorOf(request))),
  });

  api.post('/v1/account/password/forgot', {
    config,
    schema: {
      tags,
      operationId: 'forgotPassword',
      summary: 'A mail with a link that sets another password',
      description: 'The answer is the same, and comes as soon, whether the address has an account or not.',
      security: [],
      body: ForgottenPasswordRequest,
      response: answers(
        { 202: Type.Null({ description: 'Taken.' }) },
        { access: 'public', refusals: [400, 403, 413, 415, 429, 503] },
      ),
    },
    handler: async (request, reply) => {
      entrances.forgotPassword(request.body.email, visitorOf(request));
      return reply.code(202).send(null);
    },
  });

  api.post('/v1/account/password/reset', {
    config,
    schema: {
      tags,
      operationId: 'resetPassword',
      summary: 'Another password, by the link of a mail; every sign-in of the person ends',
      security: [],
      body: PasswordResetRequest,
      response: answers(
        { 204: NoContent },
        { access: 'public', refusals: [400, 401, 403, 413, 415, 429, 503] },
      ),
    },
    handler: async (request, reply) => {
      const ended = await entrances.resetPassword(request.body, visitorOf(request));
      for (const { id, orgId } of ended) onRevoked({ orgId, keyId: id });
      return reply.code(204).send(null);
    },
  });
}
