/**
 * Owns the routes of extensions: each below /v1/x/NAME, in the same chain as all others (authentication, check of what
 * comes in, problem details, measurement, OpenAPI), and what it answers is checked too. Bounds: `extensionRouteLimits`.
 */

import { Type, type TSchema } from 'typebox';

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { ChannelServices } from '#contract/channel-definition.ts';
import type { AnyRoute, ExtensionDefinition, RouteAccess, RouteContext } from '#contract/extension.ts';
import { createValueCheck } from '#contract/validation.ts';
import { principalOf, type Access } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import { answers, NoContent, security } from '#api/route-schemas.ts';
import { pagePolicy } from '#api/security-headers.ts';

export const extensionRouteLimits = {
  /** What an answer may take: proxies wait for twice as long. */
  answerMs: 30_000,
  /** Requests that one route works on, those that were given up included: 64 KiB of body each, 16 MiB at worst. */
  underWay: 256,
} as const;

export interface ExtensionParts {
  readonly extensions: readonly { readonly file: string; readonly extension: ExtensionDefinition }[];
  readonly services: ChannelServices;
}

/** Throws AppError `invalid-field` with the file and the route when one cannot be added. */
export function addExtensionRoutes(api: Api, { extensions, services }: ExtensionParts): void {
  for (const { file, extension } of extensions)
    for (const [i, route] of (extension.routes ?? []).entries())
      try {
        addRoute(api, route, { extension, services });
      } catch (cause) {
        throw new AppError('invalid-field', `${file}: /routes/${i} ${messageOf(cause)}`, {
          field: `/routes/${i}`,
          cause,
        });
      }
}

interface Place {
  readonly extension: ExtensionDefinition;
  readonly services: ChannelServices;
}

function addRoute(api: Api, route: AnyRoute, { extension, services }: Place): void {
  const { method, summary } = route;
  const access = accessOf(route.access);
  const config = { access };
  const answer = answerOf(route);
  const call = createBoundedCall(services.clock);
  const check = route.response === undefined ? null : createValueCheck(route.response as TSchema, '');
  api.route({
    method,
    url: `/v1/x/${extension.name}${route.path === '/' ? '' : route.path}`,
    config,
    schema: {
      tags: [extension.name],
      operationId: operationIdOf(extension.name, route),
      summary,
      security: security(access),
      ...(route.params === undefined ? {} : { params: route.params as TSchema }),
      ...(route.query === undefined ? {} : { querystring: route.query as TSchema }),
      ...(route.body === undefined ? {} : { body: route.body as TSchema }),
      ...(route.type === undefined ? {} : { produces: [route.type] }),
      response: answers(answer, { access, refusals: [400] }),
    },
    handler: async (request, reply) => {
      const context: RouteContext<unknown, unknown, unknown> = {
        params: request.params,
        query: request.query,
        body: request.body,
        identity: access === 'public' ? null : principalOf(request),
        services,
      };
      const value = await call(() => (route.handle as (context: unknown) => unknown)(context));
      if (route.type !== undefined) {
        // A page runs its own scripts and talks to this server, as the server's own page does.
        reply.header('content-security-policy', pagePolicy(request.headers.host));
        return reply.type(withCharacters(route.type)).send(bytesOf(value));
      }
      if (check === null) return reply.code(204).send();
      const wrong = check(value);
      if (wrong !== null)
        throw new Error(`the answer does not match its schema: ${wrong.field ?? ''} ${wrong.message}`);
      // As bytes: a text alone would be sent as it is, not as JSON.
      return reply.type('application/json; charset=utf-8').send(Buffer.from(JSON.stringify(value)));
    },
  });
}

/** The two names that extensions have for many actions. */
function accessOf(access: RouteAccess): Access {
  if (access === 'read') return 'session.read';
  return access === 'admin' ? 'organisation.manage' : access;
}

/** Ends each call in time for who asked; it runs on, and is counted until it ends. */
function createBoundedCall(clock: Pick<Clock, 'after'>): (handle: () => unknown) => Promise<unknown> {
  const { answerMs, underWay } = extensionRouteLimits;
  let count = 0;
  return async (handle) => {
    if (count >= underWay)
      throw new AppError('overloaded', 'this route works on too much already', { temporary: true });
    count++;
    const running = (async () => handle())().finally(() => count--);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const stop = clock.after(answerMs, () =>
      reject(new AppError('timed-out', `no answer within ${answerMs} ms`, { temporary: true })),
    );
    try {
      return await Promise.race([running, late]);
    } finally {
      stop();
    }
  };
}

function answerOf(route: AnyRoute): Record<number, TSchema> {
  if (route.type !== undefined) return { 200: Type.String() };
  return route.response === undefined ? { 204: NoContent } : { 200: route.response as TSchema };
}

function bytesOf(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  throw new Error('a route with a type answers with text or bytes');
}

function withCharacters(type: string): string {
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type;
}

/** `stockTickerGetOrdersOrder` for GET /orders/:order of stock-ticker: a name that generators of clients can use. */
function operationIdOf(name: string, { method, path }: AnyRoute): string {
  const words = `${name}-${method.toLowerCase()}-${path}`
    .split(/[^a-zA-Z0-9]+/)
    .filter((word) => word !== '');
  return words.map((word, i) => (i === 0 ? word : word[0]!.toUpperCase() + word.slice(1))).join('');
}
