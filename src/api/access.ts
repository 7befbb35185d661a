/**
 * Owns who may call a route. Every route declares it (`config.access`); one that does not is refused at start, so no
 * route is open by accident. Keys come in the Authorization header only, never in an address (DESIGN section 6).
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import type { Principal } from '#contract/principal.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { AccessIdentity } from '#identity/access.ts';
import type { Identity } from '#identity/identity.ts';
import { kindOfKey } from '#identity/keys.ts';
import { principalOfAccess, principalOfDevice, type Principals } from '#identity/principals.ts';

/**
 * `public`: anyone. `read`: an access key of a reader. `admin`: one with that scope. `manage`: that, or a server key.
 * `device`: a device key. `any`: whoever can show who they are, foreign tokens too; the route's own rule does the rest.
 * `stream`: the same, or a ticket in the query, which the route itself redeems.
 */
export type Access = 'public' | 'read' | 'admin' | 'manage' | 'device' | 'any' | 'stream';

export type Caller =
  | { readonly kind: 'access'; readonly identity: AccessIdentity }
  | { readonly kind: 'device'; readonly identity: DeviceIdentity }
  | { readonly kind: 'token'; readonly identity: Principal };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    caller: Caller | null;
  }
}

/** Authenticates every request of `app` before anything of it is read. */
export function guardRoutes(
  app: FastifyInstance,
  parts: { readonly identity: Identity; readonly principals: Principals },
): void {
  app.decorateRequest('caller', null);
  app.addHook('onRoute', (route) => {
    assert(route.config?.access !== undefined, `the route ${route.url} says who may call it`);
  });
  app.addHook('onRequest', async (request) => {
    // An unknown address has no route and nothing to protect.
    const access = request.routeOptions.config.access;
    if (access === undefined || access === 'public') return;
    if (access === 'stream' && request.headers.authorization === undefined && hasTicket(request)) return;
    request.caller = await callerOf(request, parts);
    refuseOthers(request.caller, access);
  });
}

/** The access key's holder behind a request to a `read`, `admin` or `manage` route. */
export function readerOf(request: FastifyRequest): AccessIdentity {
  assert(request.caller?.kind === 'access', 'the route demands an access key');
  return request.caller.identity;
}

/** The device behind a request to a `device` route. */
export function deviceOf(request: FastifyRequest): DeviceIdentity {
  assert(request.caller?.kind === 'device', 'the route demands a device key');
  return request.caller.identity;
}

/** Whoever is behind a request to a route that is not `public`. */
export function principalOf(request: FastifyRequest): Principal {
  const { caller } = request;
  assert(caller !== null, 'the route demands a key or token');
  if (caller.kind === 'token') return caller.identity;
  return caller.kind === 'device' ? principalOfDevice(caller.identity) : principalOfAccess(caller.identity);
}

function hasTicket({ query }: FastifyRequest): boolean {
  const { ticket } = query as { readonly ticket?: unknown };
  return typeof ticket === 'string' && ticket !== '';
}

async function callerOf(
  request: FastifyRequest,
  { identity, principals }: { readonly identity: Identity; readonly principals: Principals },
): Promise<Caller> {
  const key = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (key === undefined)
    throw new AppError(
      'unauthenticated',
      'send a key: Authorization: Bearer ka_... (or kd_... for a device)',
    );
  const kind = kindOfKey(key);
  if (kind === 'device') {
    const device = await identity.authenticateDevice(key, request.ip);
    if (device !== null) return { kind, identity: device };
  } else if (kind === 'access') {
    const reader = await identity.authenticateAccess(key, request.ip);
    if (reader !== null) return { kind, identity: reader };
  } else {
    const bearer = await principals.authenticate(key, request.ip);
    if (bearer !== null) return { kind: 'token', identity: bearer };
  }
  throw new AppError('unauthenticated', 'the key or token is unknown, expired or revoked');
}

function refuseOthers(caller: Caller, access: Exclude<Access, 'public'>): void {
  if (access === 'any' || access === 'stream') return;
  if (access === 'device') {
    if (caller.kind !== 'device') throw new AppError('forbidden', 'this needs a device key (kd_...)');
    return;
  }
  if (caller.kind !== 'access') throw new AppError('forbidden', 'this needs an access key (ka_...)');
  const { scope } = caller.identity;
  if (access === 'admin' && scope !== 'admin')
    throw new AppError('forbidden', 'this needs an access key with scope admin');
  if (access === 'manage' && scope === 'read')
    throw new AppError('forbidden', 'this needs an access key with scope admin or server');
  if (access === 'read' && scope === 'server')
    throw new AppError('forbidden', 'a server key publishes and vouches for users; it reads no recordings');
}
