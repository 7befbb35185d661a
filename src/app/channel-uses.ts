/**
 * Owns what the server itself does with channels: its built-in definitions, commands on their way to devices, and the
 * news of sessions and lost devices. They publish through the engine, which is made after them.
 */

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { ReadCache } from '#clinic/read-cache.ts';
import type { DeviceAsking } from '#clinic/visit-commands.ts';
import { addressOf, channelName, type AnyChannel } from '#contract/channel-definition.ts';
import type { CommandSource } from '#ingest/gateway-output.ts';
import type { DeviceQueries } from '#store/device-queries.ts';
import type { ChannelEngine } from '#app/channel-engine.ts';
import { createBuiltInChannels } from '#app/channels/built-in.ts';
import { commandLimits, type Requested } from '#app/channels/device-commands.ts';
import { createCommandDelivery, type DeliveryCounters } from '#app/command-delivery.ts';
import { createLostDevices } from '#app/lost-devices.ts';
import { createSessionNews, type SessionNews } from '#app/session-news.ts';

export interface ChannelUses {
  readonly definitions: readonly AnyChannel[];
  readonly commands: CommandSource;
  readonly commandCounters: DeliveryCounters;
  readonly sessions: SessionNews;
  /** For commands of the server itself, kept by the transaction that causes them. */
  readonly asking: DeviceAsking;
  close(): Promise<void>;
}

export function createChannelUses(options: {
  readonly engine: () => Pick<ChannelEngine, 'channels' | 'durable'>;
  readonly devices: DeviceQueries;
  readonly cache: Pick<ReadCache, 'invalidate'>;
  readonly clock: Clock;
  readonly log: Log;
}): ChannelUses {
  const { engine, devices, cache, clock, log } = options;
  const builtIn = createBuiltInChannels((of, command) => delivery.requested(of, command));
  const lost = createLostDevices({
    publishAs: (...message) => engine().channels.publishAs(...message),
    devices,
    clock,
    log,
  });
  const delivery = createCommandDelivery({
    channels: () => ({
      publishAs: engine().channels.publishAs,
      broker: engine().durable,
      commands: builtIn.commands,
    }),
    lost: lost.left,
    clock,
    log,
  });
  return {
    definitions: builtIn.definitions,
    commands: delivery,
    commandCounters: delivery.counters,
    sessions: createSessionNews({
      channels: () => ({ publishAs: engine().channels.publishAs, durable: engine().durable }),
      cache,
      clock,
      log,
    }),
    asking: {
      expiresMs: commandLimits.expiresDefaultMs,
      asked({ orgId, device }, appended, payload) {
        const name = channelName(builtIn.commands, { device });
        engine().durable.announce(addressOf(builtIn.commands, orgId, name), appended, payload);
        const { data } = JSON.parse(new TextDecoder().decode(payload)) as { readonly data: Requested };
        delivery.requested({ orgId, device }, data);
      },
    },
    async close() {
      delivery.close();
      lost.close();
    },
  };
}
