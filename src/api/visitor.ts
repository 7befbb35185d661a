/** Owns where a request comes from: what a sign-in keeps of it, and whether it is from the server's own machine. */

import type { FastifyRequest } from 'fastify';

import type { Visitor } from '#identity/identity-events.ts';
import { isOwnMachine } from '#api/loopback.ts';

export function visitorOf(request: FastifyRequest): Visitor {
  return {
    address: request.ip,
    userAgent: request.headers['user-agent'] ?? '',
    isOwnMachine: isFromOwnMachine(request),
  };
}

/** A browser or program on the machine of the server, and not by way of a proxy. */
export function isFromOwnMachine({ headers, socket }: FastifyRequest): boolean {
  const { host, origin, forwarded } = headers;
  const isForwarded =
    forwarded !== undefined || Object.keys(headers).some((name) => name.startsWith('x-forwarded-'));
  return isOwnMachine({ remoteAddress: socket.remoteAddress, host, origin, isForwarded });
}
