/**
 * Owns what foreign pages are told (CORS, Fetch standard section 3.2): nothing by default, so that their browsers keep
 * answers from them; of listed origins, that they may read and which headers they may send. Cookies are never asked for
 * (no Access-Control-Allow-Credentials), since none says who somebody is. Streams refuse foreign pages outright.
 */

import type { FastifyInstance } from 'fastify';

import { AppError } from '#base/errors.ts';
import { judgeOrigin, refusalOfOrigin, type OriginRule } from '#api/origin.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Pages of foreign origins are refused here, not just kept from reading the answer. */
    refusesForeignPages?: boolean;
  }
}

/** What a listed page may send beside what any page may, and read beside the body. */
const preflight = {
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': 'authorization, content-type, idempotency-key, last-event-id',
  // Ten minutes: a changed list is felt soon (Chromium keeps an answer for two hours at most).
  'access-control-max-age': '600',
} as const;
const exposed = 'kymo-next, retry-after, x-request-id';

export function answerForeignPages(app: FastifyInstance, rule: OriginRule): void {
  app.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers;
    const verdict = judgeOrigin(rule, request.headers);
    if (verdict === 'foreign' && request.routeOptions.config.refusesForeignPages === true)
      throw new AppError('forbidden', refusalOfOrigin(origin ?? ''));
    if (verdict !== 'allowed' || origin === undefined) return;
    reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', exposed);
    if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined) {
      reply.code(204).headers(preflight).header('vary', 'origin').send();
      // A hook that has answered says so by returning the reply.
      return reply;
    }
  });
  if (rule.allowed.size === 0) return;
  // A cache between must not give one origin's answer to another.
  app.addHook('onSend', async (_request, reply) => {
    const vary = [reply.getHeader('vary') ?? []].flat().join(', ');
    if (!/\borigin\b/.test(vary)) reply.header('vary', vary === '' ? 'origin' : `${vary}, origin`);
  });
}
