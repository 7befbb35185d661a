/**
 * Owns the AsyncAPI 3.0 document: every message of the two WebSocket endpoints and of every channel, made from the schemas
 * that the server validates with and from the channels' definitions, so it cannot say what the server does not do.
 */

import { historyOf, type AnyChannel } from '#contract/channel-definition.ts';
import { hubMessageSchemas, viewerMessageSchemas } from '#contract/live-messages.ts';
import { deviceMessageSchemas, serverMessageSchemas } from '#protocol/messages.ts';
import { DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import { refer, type JsonSchema } from '#api/openapi.ts';

interface Document {
  readonly channels: Record<string, JsonSchema>;
  readonly operations: Record<string, JsonSchema>;
  readonly schemas: Map<string, JsonSchema>;
}

/** The document of a server with these definitions. */
export function describeMessages(definitions: readonly AnyChannel[], version: string): JsonSchema {
  const document: Document = { channels: {}, operations: {}, schemas: new Map() };
  addEndpoint(document, {
    id: 'live',
    address: '/v1/live',
    title: 'Live endpoint',
    description:
      `WebSocket for whoever follows channels (subprotocol ${LIVE_SUBPROTOCOL}, optional): JSON in text frames, told apart ` +
      'by `type`. Session readings come as binary frames. SSE (/v1/events) and long poll (/v1/poll) carry the same messages.',
    received: viewerMessageSchemas,
    sent: hubMessageSchemas,
  });
  addEndpoint(document, {
    id: 'device',
    address: '/v1/device',
    title: 'Device endpoint',
    description:
      `WebSocket for devices (subprotocol ${DEVICE_SUBPROTOCOL}): these control messages are JSON in text frames, readings ` +
      'travel in binary frames (docs/protocol.md).',
    received: deviceMessageSchemas,
    sent: serverMessageSchemas,
  });
  for (const definition of definitions) addChannel(document, definition);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Kymo',
      version,
      description:
        'Everything that travels over the WebSockets, and the channels that are followed through them. Operations are seen ' +
        'from the server: it receives what clients send.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      here: {
        host: '{host}',
        protocol: 'wss',
        description:
          'The server that gave you this document; `ws` where it is on your own machine without TLS.',
        variables: { host: { default: 'localhost:7900' } },
      },
    },
    channels: document.channels,
    operations: document.operations,
    components: {
      schemas: Object.fromEntries([...document.schemas].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
}

interface Endpoint {
  readonly id: string;
  readonly address: string;
  readonly title: string;
  readonly description: string;
  readonly received: Readonly<Record<string, object>>;
  readonly sent: Readonly<Record<string, object>>;
}

function addEndpoint(document: Document, endpoint: Endpoint): void {
  const { id, address, title, description, received, sent } = endpoint;
  // One name may go both ways with other fields (`history`, `heartbeat`).
  const messages = {
    ...messagesOf(received, { prefix: 'to', document }),
    ...messagesOf(sent, { prefix: 'from', document }),
  };
  document.channels[id] = {
    address,
    title,
    description,
    messages,
    bindings: {
      ws: {
        method: 'GET',
        query: {
          type: 'object',
          properties: {
            ticket: { type: 'string', description: 'of POST /v1/tickets, instead of a key in a header' },
          },
        },
      },
    },
  };
  addOperations(document, id, messages);
}

function messagesOf(
  schemas: Readonly<Record<string, object>>,
  { prefix, document }: { readonly prefix: 'to' | 'from'; readonly document: Document },
): Record<string, JsonSchema> {
  const messages = Object.entries(schemas).map(([type, schema]) => [
    `${prefix}-${type}`,
    { name: type, title: type, payload: refer(schema as JsonSchema, document.schemas) },
  ]);
  return Object.fromEntries(messages) as Record<string, JsonSchema>;
}

function addOperations(document: Document, id: string, messages: Record<string, JsonSchema>): void {
  const names = Object.keys(messages);
  for (const [action, prefix] of [
    ['receive', 'to-'],
    ['send', 'from-'],
  ] as const) {
    const own = names.filter((name) => name.startsWith(prefix));
    if (own.length === 0) continue;
    document.operations[`${id}-${action}`] = {
      action,
      channel: { $ref: `#/channels/${id}` },
      messages: own.map((name) => ({ $ref: `#/channels/${id}/messages/${name}` })),
    };
  }
}

interface ParameterSchema {
  readonly description?: string;
  readonly pattern?: string;
}

/** What is lost when, in words. */
const lossClasses = {
  live: 'Class live: the newest wins, nothing is kept.',
  event: 'Class event: every message, in order, recoverable by position.',
  state: 'Class state: the last value, given on subscribe.',
} as const;

function addChannel(document: Document, definition: AnyChannel): void {
  const { name, summary, params, lossClass, presence = 'none', audience = 'organisation' } = definition;
  const id = name.replaceAll(/[{}]/g, '').replaceAll('/', '-');
  const messages: Record<string, JsonSchema> = {};
  if (definition.encoding === 'readings')
    messages['from-readings'] = {
      name: 'readings',
      title: 'readings',
      contentType: 'application/octet-stream',
      payload: { type: 'string', format: 'binary', description: 'frames of readings (docs/protocol.md)' },
    };
  for (const [event, schema] of Object.entries(definition.out))
    messages[`from-${event}`] = {
      name: event,
      title: event,
      payload: messageOf(name, event, refer(schema as JsonSchema, document.schemas)),
    };
  for (const [event, schema] of Object.entries(definition.in ?? {}))
    messages[`to-${event}`] = {
      name: event,
      title: event,
      description: 'Sent as `data` of a `publish` message, or by POST.',
      payload: refer(schema as JsonSchema, document.schemas),
    };
  for (const [request, { summary: title, input, output }] of Object.entries(definition.requests ?? {})) {
    messages[`to-request-${request}`] = {
      name: request,
      title,
      payload: refer(input as JsonSchema, document.schemas),
    };
    messages[`from-response-${request}`] = {
      name: request,
      title: `Answer to ${request}`,
      payload: refer(output as JsonSchema, document.schemas),
    };
  }
  const parameters = Object.entries(params as Record<string, ParameterSchema>).map(
    ([key, { description, pattern }]) => [
      key,
      { description: [description ?? key, pattern === undefined ? '' : `(${pattern})`].join(' ').trim() },
    ],
  );
  document.channels[id] = {
    address: name,
    title: summary,
    description: [lossClasses[lossClass], keptOf(definition), `Followed with a \`subscribe\` on /v1/live.`]
      .filter(Boolean)
      .join(' '),
    ...(parameters.length === 0 ? {} : { parameters: Object.fromEntries(parameters) as JsonSchema }),
    messages,
    'x-kymo': {
      lossClass,
      isDurable: definition.durable === true,
      presence,
      audience,
      history: historyOf(definition),
    },
  };
  addOperations(document, id, messages);
}

function keptOf(definition: AnyChannel): string {
  if (definition.durable === true) return 'Kept in the database for good.';
  const { messages, seconds } = historyOf(definition);
  return messages === 0
    ? ''
    : `The last ${messages === 1 ? 'one is' : `${messages} are`} kept for ${seconds} s.`;
}

/** The envelope of one event as subscribers get it. */
function messageOf(channel: string, event: string, data: JsonSchema): JsonSchema {
  return {
    type: 'object',
    required: ['type', 'channel', 'timeUs', 'event', 'data'],
    properties: {
      v: { const: 1 },
      type: { const: 'message' },
      channel: { type: 'string', description: channel },
      offset: { type: 'integer', minimum: 1, description: 'left out for class live' },
      timeUs: { type: 'integer', description: 'server time in microseconds since 1970' },
      event: { const: event },
      by: { type: 'string', description: 'subject of who sent it; left out when the server did' },
      data,
    },
  };
}
