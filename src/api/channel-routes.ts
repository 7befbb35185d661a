/**
 * Owns the REST faces of channels: for each definition its history, publishing, members, requests, event stream and long
 * poll, and streams and polls over many channels. All go through the engine, so that no way in forgets a check; bodies
 * are checked there against the definition's schemas, which are the ones that OpenAPI shows.
 */

import type { FastifyRequest, RouteOptions } from 'fastify';
import { Type, type TSchema } from 'typebox';

import { AppError } from '#base/errors.ts';
import { channelName, type AnyChannel } from '#contract/channel-definition.ts';
import type { Principal } from '#contract/principal.ts';
import { publicationLimits, type HistoryPage, type HistoryQuery } from '#protocol/publication.ts';
import type { Channels, FoundChannel } from '#live/channels.ts';
import { principalOf } from '#api/access.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { valueOf } from '#api/channel-requests.ts';
import {
  ChannelMembers,
  facesOf,
  HistoryQueryText,
  ManyPollQuery,
  ManyStreamQuery,
  PollAnswer,
  PollQuery,
  Published,
  StreamQuery,
  type ChannelFace,
} from '#api/channel-schemas.ts';
import { createChannelStreams, type ChannelStreams } from '#api/channel-streams.ts';
import type { LiveOptions } from '#api/live-options.ts';
import { eventStreamType } from '#api/openapi.ts';
import { createPublishRates, type CountPublish } from '#api/publish-rates.ts';
import { answers, security } from '#api/route-schemas.ts';
import { HubMessageSchema } from '#api/socket-routes.ts';
import { compileValidator } from '#api/validation.ts';

const tags = ['channels'];
const DEFAULT_HISTORY_MESSAGES = 100;
/** An event's name and the envelope around what a publication may carry. */
const BODY_BYTES = publicationLimits.payloadBytes + 1_024;

interface Parts {
  readonly live: LiveOptions;
  readonly streams: ChannelStreams;
  readonly countPublish: CountPublish;
}

export function addChannelRoutes(
  api: Api,
  options: Pick<ApiOptions, 'identity' | 'clock'> & { readonly live: LiveOptions },
): void {
  const { live, clock } = options;
  const streams = createChannelStreams(options);
  const parts: Parts = { live, streams, countPublish: createPublishRates(clock) };
  addManyRoutes(api, streams);
  for (const [definition, face] of facesOf(live.channels.definitions))
    for (const route of routesOf(definition, face, parts)) api.route(route);
}

/** The routes that one definition has. */
function routesOf(definition: AnyChannel, face: ChannelFace, parts: Parts): RouteOptions[] {
  const isBinary = definition.encoding === 'readings';
  const routes = [eventsRoute(definition, face, parts)];
  if (!isBinary) routes.push(pollRoute(definition, face, parts), publishRoute(definition, face, parts));
  if (definition.lossClass !== 'live') routes.push(historyRoute(definition, face, parts));
  if ((definition.presence ?? 'none') !== 'none') routes.push(membersRoute(definition, face, parts));
  for (const [name, request] of Object.entries(definition.requests ?? {}))
    routes.push(requestRoute(definition, face, { ...parts, name, request }));
  return routes;
}

/** The channel that the parameters of a request's address name. */
function foundOf(channels: Channels, definition: AnyChannel, request: FastifyRequest): FoundChannel {
  const found = channels.find(channelName(definition, request.params as Record<string, string>));
  if (found?.definition === definition) return found;
  throw new AppError('not-found', 'there is no such channel');
}

const streamConfig = { access: 'stream', refusesForeignPages: true } as const;
const config = { access: 'any', refusesForeignPages: true } as const;

const streamText =
  '`id` is the cursor: sent again as Last-Event-ID (or `cursor`), the stream goes on after it, and `subscribed` says ' +
  '`recovered: true`, or false when something is lost. `event` is the type of the message, `data` the message as JSON ' +
  '(docs/channels-http.md).';

function eventsRoute(definition: AnyChannel, face: ChannelFace, { live, streams }: Parts): RouteOptions {
  const isBinary = definition.encoding === 'readings';
  return {
    method: 'GET',
    url: `${face.path}/events`,
    config: streamConfig,
    exposeHeadRoute: false,
    schema: {
      tags,
      operationId: `stream${face.title}`,
      summary: `${definition.summary}: as server-sent events`,
      description: isBinary ? `${streamText} Readings are events \`binary\` with base64.` : streamText,
      security: security('stream'),
      params: face.params,
      querystring: StreamQuery,
      produces: [eventStreamType],
      events: isBinary ? HubMessageSchema : face.message,
      response: answers({ 200: Type.String() }, { access: 'stream', refusals: [400, 404] }),
    },
    handler: async (request, reply) =>
      streams.stream(request, reply, [foundOf(live.channels, definition, request).name]),
  };
}

function pollRoute(definition: AnyChannel, face: ChannelFace, { live, streams }: Parts): RouteOptions {
  return {
    method: 'GET',
    url: `${face.path}/poll`,
    config,
    exposeHeadRoute: false,
    schema: {
      tags,
      operationId: `poll${face.title}`,
      summary: `${definition.summary}: what came after the cursor, or comes within the wait`,
      security: security('any'),
      params: face.params,
      querystring: PollQuery,
      response: answers({ 200: face.poll }, { access: 'any', refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const { name } = foundOf(live.channels, definition, request);
      return reply.type('application/json').send(await streams.poll(request, reply, [name]));
    },
  };
}

/** Bodies are checked by the engine, which names the field of the event's own schema. */
const uncheckedBody: NonNullable<RouteOptions['validatorCompiler']> = ({ schema, httpPart }) =>
  httpPart === 'body' ? (value: unknown) => ({ value }) : compileValidator({ schema, httpPart });

function publishRoute(definition: AnyChannel, face: ChannelFace, parts: Parts): RouteOptions {
  const { live, countPublish } = parts;
  return {
    method: 'POST',
    url: `${face.path}/messages`,
    config,
    bodyLimit: BODY_BYTES,
    validatorCompiler: uncheckedBody,
    schema: {
      tags,
      operationId: `publishTo${face.title}`,
      summary: `${definition.summary}: publish`,
      description:
        'With an `Idempotency-Key` (at most 64 characters) the same request sent again publishes once; it is then ' +
        'answered with 200 and the first position. A server key may also publish what the channel tells subscribers.',
      security: security('any'),
      params: face.params,
      headers: IdempotencyHeaders,
      body: face.publish,
      response: answers(
        { 200: Published, 201: Published },
        { access: 'any', refusals: [400, 404, 409, 413, 415] },
      ),
    },
    handler: async (request, reply) => {
      const principal = principalOf(request);
      countPublish(principal);
      const found = foundOf(live.channels, definition, request);
      const message = { ...publicationOf(request.body), key: idempotencyKey(request) };
      const { position, isDuplicate } = valueOf(await live.channels.publish(found, principal, message));
      return reply
        .code(isDuplicate ? 200 : 201)
        .send({ ...(position === null ? {} : { position }), isDuplicate });
    },
  };
}

const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(Type.String({ minLength: 1, maxLength: 66 })),
});

function idempotencyKey(request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key'];
  if (typeof header !== 'string') return undefined;
  // The draft of the IETF (httpapi-idempotency-key-header) writes it as a quoted string.
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (key.length >= 1 && key.length <= publicationLimits.keyCharacters) return key;
  throw new AppError(
    'invalid-field',
    `Idempotency-Key is 1 to ${publicationLimits.keyCharacters} characters`,
    {
      field: '/idempotency-key',
    },
  );
}

function publicationOf(body: unknown): { readonly event: string; readonly data: unknown } {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    const { event, data, ...rest } = body as Record<string, unknown>;
    const extra = Object.keys(rest)[0];
    if (extra !== undefined)
      throw new AppError('invalid-field', `body /${extra} is not a field of this request`, {
        field: `/${extra}`.slice(0, 256),
      });
    if (typeof event === 'string') return { event, data };
  }
  throw new AppError('invalid-field', 'body must be {"event": ..., "data": ...}', { field: '/event' });
}

function historyRoute(definition: AnyChannel, face: ChannelFace, { live }: Parts): RouteOptions {
  return {
    method: 'GET',
    url: `${face.path}/messages`,
    config,
    schema: {
      tags,
      operationId: `list${face.title}`,
      summary: `${definition.summary}: what is kept, oldest first`,
      security: security('any'),
      params: face.params,
      querystring: HistoryQueryText,
      response: answers({ 200: face.history }, { access: 'any', refusals: [400, 404] }),
    },
    handler: async (request, reply) => {
      const found = foundOf(live.channels, definition, request);
      const query = historyQuery(request.query as { after?: number; before?: number; limit?: number });
      const page = valueOf(await live.channels.history(found, principalOf(request), query));
      return reply.type('application/json').send(historyText(found.name, page));
    },
  };
}

function historyQuery(query: { after?: number; before?: number; limit?: number }): HistoryQuery {
  const { after, before, limit = DEFAULT_HISTORY_MESSAGES } = query;
  if (after !== undefined && before !== undefined)
    throw new AppError('invalid-field', 'either `after` or `before`, not both', { field: '/before' });
  if (after !== undefined) return { after, limit };
  return before === undefined ? { newest: true, limit } : { before, limit };
}

/** Bodies are kept as JSON objects, so each becomes a message by what is put before its first field. */
function historyText(channel: string, { epoch, newest, oldest, publications }: HistoryPage): string {
  const head = JSON.stringify({ channel, position: { epoch, offset: newest }, oldest });
  const messages = publications.map(
    ({ offset, timeUs, payload }) =>
      `{"offset":${offset},"timeUs":${timeUs},${Buffer.from(payload).toString().slice(1)}`,
  );
  return `${head.slice(0, -1)},"messages":[${messages.join(',')}]}`;
}

function membersRoute(definition: AnyChannel, face: ChannelFace, { live }: Parts): RouteOptions {
  return {
    method: 'GET',
    url: `${face.path}/members`,
    config,
    schema: {
      tags,
      operationId: `listMembersOf${face.title}`,
      summary: `${definition.summary}: who is there now`,
      security: security('any'),
      params: face.params,
      response: answers({ 200: ChannelMembers }, { access: 'any', refusals: [400, 404] }),
    },
    handler: async (request) => {
      const found = foundOf(live.channels, definition, request);
      const { count, members } = valueOf(await live.channels.members(found, principalOf(request)));
      return {
        channel: found.name,
        count,
        members: members.map((one) => ({ ...one, state: JSON.parse(one.state) as unknown })),
      };
    },
  };
}

interface RequestParts extends Parts {
  readonly name: string;
  readonly request: { readonly summary: string; readonly input: TSchema; readonly output: TSchema };
}

function requestRoute(definition: AnyChannel, face: ChannelFace, parts: RequestParts): RouteOptions {
  const { live, countPublish, name, request: asked } = parts;
  return {
    method: 'POST',
    url: `${face.path}/requests/${name}`,
    config,
    bodyLimit: BODY_BYTES,
    validatorCompiler: uncheckedBody,
    schema: {
      tags,
      operationId: `request${name.charAt(0).toUpperCase()}${name.slice(1).replaceAll('-', '')}Of${face.title}`,
      summary: asked.summary,
      security: security('any'),
      params: face.params,
      body: asked.input,
      response: answers({ 200: asked.output }, { access: 'any', refusals: [400, 404, 409, 413, 415] }),
    },
    handler: async (request, reply) => {
      const principal: Principal = principalOf(request);
      countPublish(principal);
      const found = foundOf(live.channels, definition, request);
      const answer = valueOf(await live.channels.request(found, principal, { name, data: request.body }));
      return reply.type('application/json').send(JSON.stringify(answer ?? null));
    },
  };
}

/** Streams and polls over channels of any definitions. */
function addManyRoutes(api: Api, streams: ChannelStreams): void {
  api.get('/v1/events', {
    config: streamConfig,
    exposeHeadRoute: false,
    schema: {
      tags,
      operationId: 'streamChannels',
      summary: 'Any channels as server-sent events, under one cursor',
      description: streamText,
      security: security('stream'),
      querystring: ManyStreamQuery,
      produces: [eventStreamType],
      events: HubMessageSchema,
      response: answers({ 200: Type.String() }, { access: 'stream', refusals: [400, 404] }),
    },
    handler: async (request, reply) => streams.stream(request, reply, request.query.channel),
  });
  api.get('/v1/poll', {
    config,
    exposeHeadRoute: false,
    schema: {
      tags,
      operationId: 'pollChannels',
      summary: 'What any channels hold after a cursor, or what comes first within a wait',
      description: 'Nothing is kept between polls: any instance answers the next.',
      security: security('any'),
      querystring: ManyPollQuery,
      response: answers({ 200: PollAnswer }, { access: 'any', refusals: [400, 404] }),
    },
    handler: async (request, reply) =>
      reply.type('application/json').send(await streams.poll(request, reply, request.query.channel)),
  });
}
