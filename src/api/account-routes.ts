/** Owns a person's own account over HTTP. What ends a sign-in closes what it has open, on every instance. */

import { Type } from 'typebox';

import { AppError } from '#base/errors.ts';
import {
  Account,
  BackupCodes,
  CodeRequest,
  OrganisationChoice,
  PasswordChangeRequest,
  PasswordProof,
  ProfileRequest,
  SignInAnswer,
  SignInList,
  TotpEnrolment,
} from '#contract/account.ts';
import { Id } from '#contract/rest.ts';
import type { EndedSignIn } from '#identity/own-account.ts';
import { principalOf } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import { createEnter } from '#api/entrance-routes.ts';
import type { PeopleRouteOptions } from '#api/people-routes.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { endedCookie } from '#api/sign-in-cookie.ts';
import { visitorOf } from '#api/visitor.ts';

const config = { access: 'person' } as const;
const tags = ['account'];
const changes = [400, 409, 413, 415] as const;

export function addAccountRoutes(api: Api, options: PeopleRouteOptions): void {
  const { people, onRevoked, origins } = options;
  const { own } = people;
  const enter = createEnter(options);
  const closeAll = (ended: readonly EndedSignIn[]): void => {
    for (const { id, orgId } of ended) onRevoked({ orgId, keyId: id });
  };

  const anyone = { access: 'any' } as const;
  api.get('/v1/account', {
    config: anyone,
    schema: {
      tags,
      operationId: 'getAccount',
      summary: 'Who is asking, where, and what may be done: for people and for keys',
      security: security('any'),
      response: answers({ 200: Account }, anyone),
    },
    handler: (request) => own.view(principalOf(request)),
  });

  api.put('/v1/account', {
    config,
    schema: {
      tags,
      operationId: 'renameAccount',
      summary: 'Another name',
      security: security('person'),
      body: ProfileRequest,
      response: answers({ 200: Account }, { ...config, refusals: [400, 413, 415] }),
    },
    handler: async (request) => {
      const principal = principalOf(request);
      await own.rename(principal, request.body.name, visitorOf(request));
      return own.view(principal);
    },
  });

  api.post('/v1/account/sign-out', {
    config,
    schema: {
      tags,
      operationId: 'signOut',
      summary: 'End this sign-in, and close what it has open',
      security: security('person'),
      response: answers({ 204: NoContent }, config),
    },
    handler: async (request, reply) => {
      closeAll([await own.signOut(principalOf(request), visitorOf(request))]);
      return reply.code(204).header('set-cookie', endedCookie(origins)).send(null);
    },
  });

  api.put('/v1/account/password', {
    config,
    schema: {
      tags,
      operationId: 'changePassword',
      summary: 'Another password; every other sign-in of the person ends',
      security: security('person'),
      body: PasswordChangeRequest,
      response: answers({ 204: NoContent }, { ...config, refusals: changes }),
    },
    handler: async (request, reply) => {
      closeAll(await own.changePassword(principalOf(request), request.body, visitorOf(request)));
      return reply.code(204).send(null);
    },
  });

  api.put('/v1/account/organisation', {
    config,
    schema: {
      tags,
      operationId: 'switchOrganisation',
      summary: 'Work in another organisation of the person; the cookie is another one then',
      security: security('person'),
      body: OrganisationChoice,
      response: answers({ 200: SignInAnswer }, { ...config, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      const orgId = request.body.organisationId.toLowerCase();
      const { made, ended } = await own.switchOrganisation(principal, orgId, visitorOf(request));
      closeAll([ended]);
      return enter(request, reply, { state: 'signed-in', personId: principal.subject, signIn: made });
    },
  });

  api.get('/v1/account/sign-ins', {
    config,
    schema: {
      tags,
      operationId: 'listSignIns',
      summary: 'Where the person is signed in, newest first',
      security: security('person'),
      response: answers({ 200: SignInList }, config),
    },
    handler: (request) => own.listSignIns(principalOf(request)),
  });

  api.delete('/v1/account/sign-ins/:id', {
    config,
    schema: {
      tags,
      operationId: 'revokeSignIn',
      summary: 'End a sign-in of the person, and close what it has open',
      security: security('person'),
      params: Type.Object({ id: Id }),
      response: answers({ 204: NoContent }, { ...config, refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const id = request.params.id.toLowerCase();
      const ended = await own.revokeSignIn(principalOf(request), id, visitorOf(request));
      if (ended === null) throw new AppError('not-found', 'there is no such sign-in');
      closeAll([ended]);
      return reply.code(204).send(null);
    },
  });

  addTotpRoutes(api, options);
}

function addTotpRoutes(api: Api, { people }: PeopleRouteOptions): void {
  const { own } = people;

  api.post('/v1/account/totp', {
    config,
    schema: {
      tags,
      operationId: 'enrolTotp',
      summary: 'A secret for an authenticator; it counts once a code of it was shown',
      security: security('person'),
      body: PasswordProof,
      response: answers({ 200: TotpEnrolment }, { ...config, refusals: changes }),
    },
    handler: (request) => own.enrolTotp(principalOf(request), request.body.password, visitorOf(request)),
  });

  api.post('/v1/account/totp/confirm', {
    config,
    schema: {
      tags,
      operationId: 'confirmTotp',
      summary: 'Show the first code; the answer has the back-up codes, this once',
      security: security('person'),
      body: CodeRequest,
      response: answers({ 200: BackupCodes }, { ...config, refusals: changes }),
    },
    handler: async (request) => ({
      codes: [...(await own.confirmTotp(principalOf(request), request.body.code, visitorOf(request)))],
    }),
  });

  api.post('/v1/account/totp/backup-codes', {
    config,
    schema: {
      tags,
      operationId: 'renewBackupCodes',
      summary: 'New back-up codes in place of the old',
      security: security('person'),
      body: PasswordProof,
      response: answers({ 200: BackupCodes }, { ...config, refusals: changes }),
    },
    handler: async (request) => {
      const { password } = request.body;
      return { codes: [...(await own.renewBackupCodes(principalOf(request), password, visitorOf(request)))] };
    },
  });

  api.post('/v1/account/totp/disable', {
    config,
    schema: {
      tags,
      operationId: 'disableTotp',
      summary: 'Sign in with the password alone from now on',
      security: security('person'),
      body: PasswordProof,
      response: answers({ 204: NoContent }, { ...config, refusals: changes }),
    },
    handler: async (request, reply) => {
      await own.disableTotp(principalOf(request), request.body.password, visitorOf(request));
      return reply.code(204).send(null);
    },
  });
}
