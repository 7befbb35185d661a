/**
 * Owns what carries channels between those who publish and those who listen: within this process, or through Redis when
 * one is configured, so that several instances behave as one. The Redis client is loaded only then.
 */

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Broker } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import { createMemoryBroker, type MemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import type { Presence } from '#bus/presence.ts';
import type { Redis } from '#bus/redis.ts';
import { createMemoryShelf, type TicketShelf } from '#identity/ticket-shelf.ts';
import type { Config } from '#app/config.ts';
import type { Lifecycle } from '#app/lifecycle.ts';

/** What carries publications and presence to whoever listens. */
export interface Carriers {
  readonly bus: Bus;
  readonly broker: Broker;
  readonly presence: Presence;
}

export interface OpenedCarriers extends Carriers {
  readonly shelf: TicketShelf;
  /** What there is to measure: one of the two. */
  readonly memory: MemoryBroker | null;
  readonly redis: Redis | null;
  /** Checks of `/readyz`. Without Redis an instance goes on with what it can do alone, above all recording. */
  checks(): Readonly<Record<string, string>>;
}

/** Rejects with AppError `store-unavailable` when the configured Redis cannot be reached. */
export async function openCarriers(options: {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}): Promise<OpenedCarriers> {
  const { config, clock, log, lifecycle } = options;
  if (config['redis-url'] === '') {
    const broker = createMemoryBroker({ clock });
    return {
      bus: createMemoryBus(),
      broker,
      presence: createMemoryPresence(),
      shelf: createMemoryShelf(clock),
      memory: broker,
      redis: null,
      checks: () => ({}),
    };
  }
  const { connectRedis } = await import('#bus/redis.ts');
  const redis = await connectRedis({
    url: config['redis-url'],
    prefix: config['redis-prefix'],
    clock,
    log,
  });
  lifecycle.add('Redis', () => redis.close());
  return {
    bus: redis.bus,
    broker: redis.broker,
    presence: redis.presence,
    shelf: redis.shelf,
    memory: null,
    redis,
    checks: () => ({ redis: redis.state.isUp ? 'ok' : 'degraded: Redis is not there' }),
  };
}
