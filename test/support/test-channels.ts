/** Owns the channel definitions that tests of the hub follow, and an engine on memory for them. */

import { Type } from 'typebox';

import type { Clock } from '#base/clock.ts';
import type { Broker } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import type { Presence } from '#bus/presence.ts';
import { defineChannel, type AnyChannel } from '#contract/channel-definition.ts';
import type { ChannelOperation, Principal } from '#contract/principal.ts';
import type { Channels } from '#live/channels.ts';
import { createChannels } from '#live/create-channels.ts';

/** Whether somebody may do something; throws AppError to refuse otherwise. */
export type TestRule = (
  channel: string,
  identity: Principal,
  operation: ChannelOperation,
) => boolean | Promise<boolean>;

const Uuid = Type.String({ pattern: '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$' });
const Room = Type.String({ pattern: '^[a-z0-9-]{1,40}$' });
const Text = Type.Object({ text: Type.String() }, { additionalProperties: false });

/** One of each loss class, and the readings of a session. `rooms`: those that patterns stand for. */
export function testDefinitions(rule: TestRule, rooms: readonly string[] = ['a', 'b', 'c']): AnyChannel[] {
  const params = { room: Room };
  const allow = (
    { channel, identity }: { readonly channel: string; readonly identity: Principal },
    operation: ChannelOperation,
  ) => rule(channel, identity, operation);
  const message = { message: Text };
  return [
    defineChannel({
      name: 'session/{session}/readings',
      summary: 'Readings of a session',
      params: { session: Uuid },
      lossClass: 'live',
      encoding: 'readings',
      out: {},
      allow,
    }),
    defineChannel({
      name: 'room/{room}',
      summary: 'Every message',
      params,
      lossClass: 'event',
      history: { messages: 200, seconds: 600 },
      presence: 'members',
      out: message,
      in: message,
      allow,
      list: async () => rooms.map((room) => ({ room })),
      requests: {
        echo: {
          summary: 'Says it again',
          input: Text,
          output: Text,
          handle: async (_context, data: { text: string }) => data,
        },
      },
    }),
    defineChannel({
      name: 'board/{room}',
      summary: 'The last value',
      params,
      lossClass: 'state',
      out: message,
      in: message,
      presence: 'count',
      allow,
    }),
    defineChannel({
      name: 'pointer/{room}',
      summary: 'Newest wins',
      params,
      lossClass: 'live',
      out: message,
      in: message,
      allow,
    }),
  ];
}

export interface TestChannelsOptions {
  readonly clock: Clock;
  readonly rule?: TestRule;
  readonly definitions?: readonly AnyChannel[];
  readonly bus?: Bus;
  readonly broker?: Broker;
  readonly presence?: Presence;
  readonly onFailure?: (cause: unknown) => void;
}

export function createTestChannels(options: TestChannelsOptions): Channels {
  const { clock, rule = () => true, onFailure = () => undefined } = options;
  return createChannels({
    definitions: options.definitions ?? testDefinitions(rule),
    bus: options.bus ?? createMemoryBus(),
    brokers: { volatile: options.broker ?? createMemoryBroker({ clock }), durable: null },
    presence: options.presence ?? createMemoryPresence(),
    services: {
      clock,
      log: {
        debug: () => undefined,
        info: () => undefined,
        warn: () => undefined,
        error: () => undefined,
      },
      sessionExists: async () => true,
      deviceExists: async () => true,
      sessionIds: async () => [],
    },
    clock,
    onFailure,
  });
}
