/**
 * Owns the headers that tell a browser what it may do with an answer (OWASP Secure Headers). The page runs its own
 * scripts and workers only and talks to this server only; everything else may not run at all and is not kept.
 */

import type { FastifyInstance } from 'fastify';

import type { ApiOptions } from '#api/api-options.ts';

const common = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
} as const;

const apiPolicy = "default-src 'none'; frame-ancestors 'none'";

/** A name or address with an optional port, as RFC 3986 section 3.2.2 writes them: nothing that could end a directive. */
const hostPattern = /^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** Content-Security-Policy of the page. Older browsers do not count a WebSocket to the page's own host as 'self'. */
export function pagePolicy(host: string | undefined): string {
  const sockets = host !== undefined && hostPattern.test(host) ? ` ws://${host} wss://${host}` : '';
  return [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    `connect-src 'self'${sockets}`,
    // Mantine's run-time style elements are switched off (web/main.tsx); what scripts set on an element is not inline.
    "style-src 'self'",
    // Swagger UI's style sheet has its icons within it; an image can neither run nor send anything.
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Sets the headers of every answer; a route may set its own policy and caching before. */
export function setSecurityHeaders(app: FastifyInstance, options: Pick<ApiOptions, 'tls'>): void {
  app.addHook('onSend', async (_request, reply) => {
    reply.headers(common);
    if (!reply.hasHeader('content-security-policy')) reply.header('content-security-policy', apiPolicy);
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    if (options.tls !== null) reply.header('strict-transport-security', 'max-age=31536000');
  });
}
