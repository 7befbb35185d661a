/** Owns answers that are JSON text already, as a cache keeps them: they are sent as they are. */

import type { FastifyReply } from 'fastify';

/** For `return`: the type is that of what the text holds, which the route's schema says. */
export function jsonText(reply: FastifyReply, text: string): never {
  void reply.header('content-type', 'application/json; charset=utf-8');
  return text as never;
}
