/** Owns the ways from a key to a connection: tickets for WebSockets, and the demo's key for a browser beside the server. */

import { AppError } from '#base/errors.ts';
import { LimitedTicketRequest, SignedIn, Ticket } from '#contract/rest.ts';
import type { IssuedTicket } from '#identity/tickets.ts';
import { deviceOf, principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { answers, security } from '#api/route-schemas.ts';
import { isFromOwnMachine } from '#api/visitor.ts';

const tags = ['sign-in'];
/** How long the connection that a limited ticket opens may last, unless it says. */
const DEFAULT_LIMITED_SECONDS = 3_600;

export function addSignInRoutes(api: Api, options: ApiOptions): void {
  const { identity, demoKey, clock } = options;
  const ticketConfig = { access: 'any' } as const;
  api.post('/v1/tickets', {
    config: ticketConfig,
    schema: {
      tags,
      operationId: 'createTicket',
      summary: 'A single-use ticket for the query of a WebSocket address',
      description:
        'With an access key or a token it opens /v1/live, with a device key /v1/device, as `?ticket=...`, once, within 30 s.',
      security: security('any'),
      response: answers({ 201: Ticket }, ticketConfig),
    },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      const issued = await identity.issueTicket(
        principal.kind === 'device'
          ? { purpose: 'device', identity: deviceOf(request) }
          : { purpose: 'live', identity: principal },
      );
      return reply.code(201).send(shownTicket(issued));
    },
  });

  const limitedConfig = { access: 'channel.vouch' } as const;
  api.post('/v1/tickets/limited', {
    config: limitedConfig,
    schema: {
      tags,
      operationId: 'createLimitedTicket',
      summary: 'A single-use ticket for somebody else, limited to channels and operations',
      description:
        'For a back end that lets its own users in: they open /v1/live with it, once, within 30 s.',
      security: security('channel.vouch'),
      body: LimitedTicketRequest,
      response: answers({ 201: Ticket }, { ...limitedConfig, refusals: [400, 413, 415] }),
    },
    handler: async (request, reply) => {
      const { subject, channels, seconds = DEFAULT_LIMITED_SECONDS } = request.body;
      const maker = principalOf(request);
      const issued = await identity.issueTicket({
        purpose: 'live',
        identity: {
          kind: 'token',
          orgId: maker.orgId,
          subject: `user:${subject}`,
          role: 'service',
          patientId: null,
          permissions: [],
          grants: channels,
          // It ends with the key that vouched for it, by its time and by its revocation.
          expiresAtUs: Math.min(maker.expiresAtUs, clock.nowUs() + seconds * 1e6),
          revocationId: maker.revocationId,
        },
      });
      return reply.code(201).send(shownTicket(issued));
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
      if (demoKey === null || !isFromOwnMachine(request))
        throw new AppError('forbidden', 'demo accounts exist on the machine of the server only');
      return { key: await demoKey() };
    },
  });
}

function shownTicket({ ticket, expiresAtUs }: IssuedTicket): Ticket {
  return { ticket, expiresAt: new Date(expiresAtUs / 1000).toISOString() };
}
