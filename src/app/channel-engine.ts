/**
 * Owns the joining of the channel engine: what carries channels (carriers.ts), what keeps the durable
 * ones, what definitions may ask of the server, and the definitions themselves.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { createDurableBroker, type DurableBroker } from '#bus/durable-broker.ts';
import type { AnyChannel, ChannelServices } from '#contract/channel-definition.ts';
import { createChannelCounters, type ChannelCounters } from '#live/channel-counters.ts';
import type { Channels } from '#live/channels.ts';
import { createChannels } from '#live/create-channels.ts';
import { createChannelLog } from '#store/channel-log.ts';
import { createDeviceQueries } from '#store/device-queries.ts';
import type { Pools } from '#store/pools.ts';
import type { SessionQueries } from '#store/session-queries.ts';
import type { Carriers } from '#app/carriers.ts';
import { createChannelServices } from '#app/channel-services.ts';

export interface ChannelEngineOptions {
  readonly definitions: readonly AnyChannel[];
  readonly carriers: Carriers;
  readonly pools: Pick<Pools, 'app'>;
  readonly sessions: SessionQueries;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ChannelEngine {
  readonly channels: Channels;
  readonly durable: DurableBroker;
  readonly counters: Readonly<ChannelCounters>;
  /** What definitions, routes and watchers may use. */
  readonly services: ChannelServices;
}

export function createChannelEngine(options: ChannelEngineOptions): ChannelEngine {
  const { definitions, carriers, pools, sessions, clock, log } = options;
  const { bus, broker, presence } = carriers;
  const durable = createDurableBroker({ log: createChannelLog(pools.app), bus, clock });
  const counters = createChannelCounters();
  const services = createChannelServices({
    sessions,
    devices: createDeviceQueries(pools.app),
    clock,
    log,
  });
  const channels = createChannels({
    definitions,
    bus,
    brokers: { volatile: broker, durable },
    presence,
    services,
    clock,
    counters,
    onFailure: (cause, channel) =>
      log.error('a channel failed', {
        channel,
        error: cause instanceof Error ? cause.stack : messageOf(cause),
      }),
  });
  return { channels, durable, counters, services: { ...services, publish: channels.publishAs } };
}
