/**
 * Owns what HTTP says of the WebSocket endpoints: the OpenAPI document lists them with their messages, and a request that
 * does not ask for an upgrade hears 426 (RFC 9110 section 15.5.22). The upgrades themselves are the application's.
 */

import type { RouteOptions } from 'fastify';
import { Type, type TSchema } from 'typebox';

import { AppError } from '#base/errors.ts';
import { hubMessageSchemas, viewerMessageSchemas } from '#contract/live-messages.ts';
import { deviceMessageSchemas, serverMessageSchemas } from '#protocol/messages.ts';
import { DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import type { Api } from '#api/api-options.ts';
import { familyOf } from '#api/message-families.ts';
import { failureOf } from '#api/problems.ts';
import { answers } from '#api/route-schemas.ts';

const config = { access: 'public' } as const;
const tags = ['sockets'];

export const HubMessageSchema = familyOf('Hub', hubMessageSchemas);
const ViewerMessageSchema = familyOf('Viewer', viewerMessageSchemas);
const DeviceMessageSchema = familyOf('Device', deviceMessageSchemas);
const ServerMessageSchema = familyOf('Server', serverMessageSchemas);

interface SocketRoute {
  readonly url: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly subprotocol: string;
  readonly sends: TSchema;
  readonly receives: TSchema;
  readonly keys: readonly string[];
}

const routes: readonly SocketRoute[] = [
  {
    url: '/v1/live',
    operationId: 'openLiveSocket',
    summary: 'Follow channels, publish and ask, over a WebSocket',
    description:
      'JSON in text messages; readings in binary ones (docs/protocol.md). Without a header or a ticket the first ' +
      'message is `hello`, within 5 s. Pages of foreign origins are refused.',
    subprotocol: LIVE_SUBPROTOCOL,
    sends: ViewerMessageSchema,
    receives: HubMessageSchema,
    keys: ['accessKey', 'deviceKey', 'token', 'ticket'],
  },
  {
    url: '/v1/device',
    operationId: 'openDeviceSocket',
    summary: 'Send readings, over a WebSocket',
    description: 'Control messages as JSON in text messages, readings in binary ones (docs/protocol.md).',
    subprotocol: DEVICE_SUBPROTOCOL,
    sends: DeviceMessageSchema,
    receives: ServerMessageSchema,
    keys: ['deviceKey', 'ticket'],
  },
];

const SocketQuery = Type.Object({
  ticket: Type.Optional(
    Type.String({ description: 'a ticket of POST /v1/tickets, for what can send no header' }),
  ),
});
const SocketHeaders = Type.Object({
  'sec-websocket-protocol': Type.Optional(Type.String()),
});

export function addSocketRoutes(api: Api): void {
  for (const route of routes) api.route(describedRoute(route));
}

function describedRoute({ url, keys, subprotocol, sends, receives, ...about }: SocketRoute): RouteOptions {
  return {
    method: 'GET',
    url,
    config,
    exposeHeadRoute: false,
    schema: {
      tags,
      ...about,
      // Also without any: `hello` may say who it is.
      security: [...keys.map((key) => ({ [key]: [] })), {}],
      querystring: SocketQuery,
      headers: SocketHeaders,
      socket: { subprotocol, sends, receives },
      response: {
        101: Type.Null({ description: 'The connection is a WebSocket now.' }),
        ...answers({}, { access: 'any', refusals: [426] }),
      },
    },
    handler: async (request, reply) => {
      const refusal = new AppError('malformed-message', `${url} is a WebSocket: ask for an upgrade`);
      return reply
        .code(426)
        .headers({ upgrade: 'websocket', connection: 'Upgrade' })
        .type('application/problem+json')
        .send({ ...failureOf(refusal, request.id).problem, status: 426 });
    },
  };
}
