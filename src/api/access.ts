/**
 * Owns who may call a route. Every route declares it (`config.access`) and what its address names (`config.subject`); one
 * that does not is refused at start, so no route is open by accident. Keys come in the Authorization header only, never in
 * an address (DESIGN section 6). A cookie counts for pages of this server alone: a request that has one and comes from
 * elsewhere, or changes something and does not say where it comes from, is refused.
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { actions, authorise, may, type Action, type Resource } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { Principals } from '#identity/principals.ts';
import { judgeOrigin, refusalOfOrigin, type OriginRule } from '#api/origin.ts';
import { signInToken } from '#api/sign-in-cookie.ts';

/**
 * An action: whoever may do it. `public`: anyone. `device`: a device key. `any`: whoever can show who they are, foreign
 * tokens too; the route's own rule does the rest. `person`: whoever signed in. `stream`: as `any`, or a ticket in the query,
 * which the route itself redeems.
 */
export type Access = Action | 'public' | 'device' | 'any' | 'person' | 'stream';

/**
 * What the address of a route with an action names, by its parameter `id`. `organisation`: nothing smaller. `own`: the
 * route's answer holds only what the caller may see, also to a patient.
 */
export const subjects = ['organisation', 'own', 'patient', 'session', 'stream', 'device', 'job'] as const;
export type Subject = (typeof subjects)[number];

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
    /** Default `organisation`. */
    subject?: Subject;
  }
  interface FastifyRequest {
    principal: Principal | null;
  }
}

export interface GuardParts {
  readonly principals: Pick<Principals, 'authenticate' | 'authenticateSignIn'>;
  /** Which pages are this server's own. */
  readonly origins: OriginRule;
  /** Whose recording a session or stream is; null: nobody's; undefined: there is none. Asked for patients' accounts only. */
  readonly ownerOf: (
    orgId: string,
    recording: { readonly kind: 'session' | 'stream'; readonly id: string },
  ) => Promise<string | null | undefined>;
}

/** Authenticates every request of `app` before anything of it is read. */
export function guardRoutes(app: FastifyInstance, parts: GuardParts): void {
  app.decorateRequest('principal', null);
  app.addHook('onRoute', (route) => {
    assert(route.config?.access !== undefined, `the route ${route.url} says who may call it`);
  });
  app.addHook('onRequest', async (request) => {
    // An unknown address has no route and nothing to protect.
    const { access, subject = 'organisation' } = request.routeOptions.config;
    if (access === undefined || access === 'public') return;
    if (access === 'stream' && request.headers.authorization === undefined && hasTicket(request)) return;
    const principal = await authenticate(request, parts);
    request.principal = principal;
    if (access === 'any' || access === 'stream') return;
    if (access === 'person') {
      if (principal.kind !== 'user')
        throw new AppError('forbidden', 'this is for people who signed in, not for keys');
      return;
    }
    if (access === 'device') {
      if (principal.kind !== 'device') throw new AppError('forbidden', 'this needs a device key (kd_...)');
      return;
    }
    if (principal.kind === 'device')
      throw new AppError('forbidden', 'a device sends readings and takes commands; this is for people');
    if (principal.kind === 'token') throw new AppError('forbidden', 'a foreign token opens channels only');
    // What somebody may not do at all is refused without looking whose it is.
    const mayAtAll = may(principal, access);
    authorise(principal, access, mayAtAll ? await resourceOf(request, { principal, subject, parts }) : null);
  });
}

/** Whoever is behind a request to a route that is not `public`. */
export function principalOf(request: FastifyRequest): Principal {
  assert(request.principal !== null, 'the route demands a key or token');
  return request.principal;
}

/** The device behind a request to a `device` route. */
export function deviceOf(request: FastifyRequest): DeviceIdentity {
  const { kind, orgId, subject } = principalOf(request);
  assert(kind === 'device', 'the route demands a device key');
  return { deviceId: subject, orgId };
}

/** True for what is an action, and not a way to show who one is. */
export function isAction(access: Access): access is Action {
  return (actions as readonly string[]).includes(access);
}

function hasTicket({ query }: FastifyRequest): boolean {
  const { ticket } = query as { readonly ticket?: unknown };
  return typeof ticket === 'string' && ticket !== '';
}

async function authenticate(
  request: FastifyRequest,
  { principals, origins }: GuardParts,
): Promise<Principal> {
  const key = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (key !== undefined) {
    const principal = await principals.authenticate(key, request.ip);
    if (principal === null)
      throw new AppError('unauthenticated', 'the key or token is unknown, expired or revoked');
    return principal;
  }
  const token = signInToken(request.headers.cookie, origins);
  if (token === null)
    throw new AppError(
      'unauthenticated',
      'sign in, or send a key: Authorization: Bearer ka_... (or kd_... for a device)',
    );
  refuseForgery(request, origins);
  const principal = await principals.authenticateSignIn(token, request.ip);
  if (principal === null) throw new AppError('unauthenticated', 'this sign-in has ended: sign in again');
  return principal;
}

/** Browsers send cookies with what any page asks for; where a request comes from, a page cannot forge. */
function refuseForgery({ method, headers }: FastifyRequest, origins: OriginRule): void {
  const verdict = judgeOrigin(origins, headers);
  if (verdict === 'same') return;
  if (verdict === 'none' && (method === 'GET' || method === 'HEAD')) return;
  throw new AppError(
    'forbidden',
    verdict === 'none'
      ? 'what changes something with a cookie says where it comes from: send Origin, or use a key'
      : refusalOfOrigin(headers.origin ?? ''),
  );
}

/** What a patient's account must own to go on. Nobody else's way is lengthened by a query. */
async function resourceOf(
  request: FastifyRequest,
  { principal, subject, parts }: { principal: Principal; subject: Subject; parts: GuardParts },
): Promise<Resource | null> {
  if (principal.role !== 'patient') return null;
  if (subject === 'own') return { patientId: principal.patientId };
  const { id } = request.params as { readonly id?: unknown };
  if (typeof id !== 'string') return null;
  if (subject === 'patient') return { patientId: id.toLowerCase() };
  if (subject !== 'session' && subject !== 'stream') return null;
  const owner = await parts.ownerOf(principal.orgId, { kind: subject, id: id.toLowerCase() });
  if (owner === undefined) throw new AppError('not-found', 'there is no such thing, or it is not yours');
  return { patientId: owner };
}
