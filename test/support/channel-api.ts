/**
 * Owns an API that serves nothing but channels, on the real engine with everything in memory, for tests of their HTTP
 * faces. Whoever shows `user-NAME` as a key is NAME of organisation `org`; `back-end` is a server key.
 */

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import { Type } from 'typebox';

import { guardRoutes } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import { addChannelRoutes } from '#api/channel-routes.ts';
import { answerForeignPages } from '#api/cross-origin.ts';
import type { LiveOptions } from '#api/live-options.ts';
import { describeRoutes, type OpenApi } from '#api/openapi.ts';
import { answerFrameworkError, answerWithProblems } from '#api/problems.ts';
import { compileValidator } from '#api/validation.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import type { Broker } from '#bus/broker.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import { defineChannel, type AnyChannel } from '#contract/channel-definition.ts';
import type { Principal } from '#contract/principal.ts';
import type { Identity } from '#identity/identity.ts';
import type { Principals } from '#identity/principals.ts';
import type { Channels } from '#live/channels.ts';
import { createChannels } from '#live/create-channels.ts';

const Name = Type.String({ pattern: '^[a-z0-9-]{1,40}$' });
const Said = Type.Object({ text: Type.String() }, { additionalProperties: false });

/** People talk; all is kept for a while. */
export const roomChannel = defineChannel({
  name: 'room/{room}',
  summary: 'A room where people talk',
  params: { room: Name },
  lossClass: 'event',
  history: { messages: 1_000, seconds: 600 },
  presence: 'members',
  out: { said: Said },
  in: { said: Said },
  requests: {
    double: {
      summary: 'Twice a number',
      input: Type.Object({ n: Type.Number() }),
      output: Type.Object({ n: Type.Number() }),
      handle: async (_context, { n }: { n: number }) => {
        if (n === 13) throw new AppError('conflict', 'not that one', { field: '/data/n' });
        return { n: n * 2 };
      },
    },
  },
  list: async () => [{ room: 'one' }, { room: 'two' }],
  allow: ({ identity, params }) =>
    identity.subject !== 'stranger' && (params.room !== 'private' || identity.subject === 'alice'),
});

/** The last value of something. */
export const gaugeChannel = defineChannel({
  name: 'gauge/{gauge}',
  summary: 'The newest value of a gauge',
  params: { gauge: Name },
  lossClass: 'state',
  out: { value: Type.Object({ value: Type.Number() }) },
  in: { value: Type.Object({ value: Type.Number() }) },
  allow: () => true,
});

/** What is shown and forgotten. */
export const pointerChannel = defineChannel({
  name: 'pointer/{pointer}',
  summary: 'Where a pointer is',
  params: { pointer: Name },
  lossClass: 'live',
  out: { at: Type.Object({ x: Type.Number() }) },
  in: { at: Type.Object({ x: Type.Number() }) },
  allow: () => true,
});

export function principalNamed(subject: string): Principal {
  return {
    kind: subject === 'back-end' ? 'server' : 'token',
    orgId: 'org',
    subject,
    role: 'service',
    patientId: null,
    permissions: [],
    grants: null,
    expiresAtUs: Number.POSITIVE_INFINITY,
    revocationId: null,
  };
}

export interface ChannelApi {
  readonly api: Api;
  readonly openApi: OpenApi;
  readonly channels: Channels;
  /** A ticket for NAME. */
  issueTicket(name: string): string;
  readonly revoked: Set<string>;
}

export interface ChannelApiOptions {
  readonly definitions?: readonly AnyChannel[];
  readonly clock?: Clock;
  readonly broker?: Broker;
  /** Makes the way into the hub from the engine. */
  readonly connect: (channels: Channels) => LiveOptions['connect'];
  readonly allowedOrigins?: readonly string[];
}

/** Bytes in a row are the same for every run: tickets are `ticket-1`, `ticket-2`. */
export function createChannelApi(options: ChannelApiOptions): ChannelApi {
  const { clock = systemClock, definitions = [roomChannel, gaugeChannel, pointerChannel] } = options;
  const bus = createMemoryBus();
  const channels = createChannels({
    definitions,
    bus,
    brokers: { volatile: options.broker ?? createMemoryBroker({ clock }), durable: null },
    presence: createMemoryPresence(),
    services: {
      clock,
      log: silentLog,
      sessionExists: async () => false,
      deviceExists: async () => false,
      sessionIds: async () => [],
    },
    clock,
    onFailure: (cause) => {
      throw cause;
    },
  });
  const api = Fastify({
    forceCloseConnections: true,
    frameworkErrors: (error, request, reply) => void answerFrameworkError(error, request, reply),
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as Api;
  api.setValidatorCompiler(compileValidator);
  api.setSerializerCompiler(() => JSON.stringify);
  answerWithProblems(api, silentLog);
  const origins = { allowed: new Set(options.allowedOrigins), isSecure: false };
  answerForeignPages(api, origins);
  guardRoutes(api, { principals, origins, ownerOf: async () => undefined });
  const openApi = describeRoutes(api, '1');
  const tickets = new Map<string, Principal>();
  const revoked = new Set<string>();
  addChannelRoutes(api, {
    identity: {
      ...nobody,
      redeemLiveTicket: async (ticket) => {
        const holder = tickets.get(ticket) ?? null;
        tickets.delete(ticket);
        return holder;
      },
    },
    clock,
    live: {
      channels,
      connect: options.connect(channels),
      isRevoked: ({ subject }) => revoked.has(subject),
    },
  });
  return {
    api,
    openApi,
    channels,
    revoked,
    issueTicket(name) {
      const ticket = `ticket-${tickets.size + 1}`;
      tickets.set(ticket, principalNamed(name));
      return ticket;
    },
  };
}

const nobody = {
  authenticateDevice: async () => null,
  authenticateAccess: async () => null,
} as unknown as Identity;

const principals: Principals = {
  async authenticate(key) {
    const name = /^user-([a-z]+)$/.exec(key)?.[1];
    return name === undefined && key !== 'back-end' ? null : principalNamed(name ?? key);
  },
  authenticateSignIn: async () => null,
  channelGrant: async () => null,
};
