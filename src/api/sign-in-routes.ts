/** Owns the ways from a key to a connection: tickets for WebSockets, and the demo's key for a browser beside the server. */

import { AppError } from '#base/errors.ts';
import { assert } from '#base/assert.ts';
import { SignedIn, Ticket } from '#contract/rest.ts';
import type { TicketHolder } from '#identity/tickets.ts';
import type { Caller } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { isOwnMachine } from '#api/loopback.ts';
import { answers, security } from '#api/route-schemas.ts';

const tags = ['sign-in'];

export function addSignInRoutes(api: Api, options: ApiOptions): void {
  const { identity, demoKey } = options;
  const ticketConfig = { access: 'any' } as const;
  api.post('/v1/tickets', {
    config: ticketConfig,
    schema: {
      tags,
      operationId: 'createTicket',
      summary: 'A single-use ticket for the query of a WebSocket address',
      description:
        'With an access key it opens /v1/live, with a device key /v1/device, as `?ticket=...`, once, within 30 s.',
      security: security('any'),
      response: answers({ 201: Ticket }, ticketConfig),
    },
    handler: async (request, reply) => {
      assert(request.caller !== null, 'the route demands a key');
      const { ticket, expiresAtUs } = identity.issueTicket(holderOf(request.caller));
      return reply.code(201).send({ ticket, expiresAt: new Date(expiresAtUs / 1000).toISOString() });
    },
  });

  const demoConfig = { access: 'public' } as const;
  api.post('/v1/demo/sign-in', {
    config: demoConfig,
    schema: {
      tags,
      operationId: 'signInToDemo',
      summary: 'A reading key for the demo, for a browser on the machine of the server',
      description:
        'Refused unless the server runs a demo, listens on loopback only, and is called from there.',
      response: answers({ 200: SignedIn }, { access: 'public', refusals: [403] }),
    },
    handler: async (request) => {
      const { host, origin, forwarded } = request.headers;
      const isForwarded =
        forwarded !== undefined ||
        Object.keys(request.headers).some((name) => name.startsWith('x-forwarded-'));
      const remoteAddress = request.socket.remoteAddress;
      if (demoKey === null || !isOwnMachine({ remoteAddress, host, origin, isForwarded }))
        throw new AppError('forbidden', 'demo accounts exist on the machine of the server only');
      return { key: await demoKey() };
    },
  });
}

function holderOf(caller: Caller): TicketHolder {
  return caller.kind === 'device'
    ? { purpose: 'device', identity: caller.identity }
    : { purpose: 'live', identity: caller.identity };
}
