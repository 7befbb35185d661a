/**
 * Owns what several instances share through Redis: bus, broker and presence over one link, under one prefix. Loaded only
 * where Redis is configured. While Redis is away, listeners in the same process still get what is published on the bus;
 * brokers and presence refuse after a bounded wait; when it is back, all listeners are told to look what they missed.
 */

import { randomBytes } from 'node:crypto';

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { systemRandom, type Random } from '#base/random.ts';
import { brokerScripts } from '#bus/redis-broker-scripts.ts';
import { presenceScripts } from '#bus/redis-presence-scripts.ts';
import { createRedisBroker, type RedisBroker } from '#bus/redis-broker.ts';
import { createRedisBus, type RedisBus } from '#bus/redis-bus.ts';
import { cacheScripts, createRedisCache, type RedisCache } from '#bus/redis-cache.ts';
import { countScripts, createRedisCounts, type RedisCounts } from '#bus/redis-counts.ts';
import { createRedisInterest } from '#bus/redis-interest.ts';
import { connectRedisLink } from '#bus/redis-link.ts';
import { createRedisPresence, type RedisPresence } from '#bus/redis-presence.ts';
import { createRedisShelf, type RedisShelf } from '#bus/redis-shelf.ts';
import { createRedisSubscriptions } from '#bus/redis-subscriptions.ts';
import { presenceLimits } from '#bus/presence.ts';
import { publicationLimits } from '#protocol/publication.ts';

export interface RedisOptions {
  /** redis://, rediss:// or unix://, with user, password and database number where they are needed. */
  readonly url: string;
  /** In front of every key and channel, so that several installations can share a Redis. */
  readonly prefix?: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random;
  readonly connectMs?: number;
  readonly pingMs?: number;
  readonly silentMs?: number;
  /** How long a publication waits for a Redis that is away. */
  readonly waitMs?: number;
  readonly leaseMs?: number;
  readonly keySeconds?: number;
}

export interface RedisState {
  readonly isUp: boolean;
  /** Why it is not; null while it is. */
  readonly problem: string | null;
}

export interface Redis {
  readonly bus: RedisBus;
  readonly broker: RedisBroker;
  readonly presence: RedisPresence;
  readonly shelf: RedisShelf;
  readonly cache: RedisCache;
  readonly counts: RedisCounts;
  readonly state: RedisState;
  /** Times that the link was lost, and attempts to connect. */
  readonly counters: { readonly lost: number; readonly attempts: number };
  /** Takes the members of this instance out, then ends the connections. */
  close(): Promise<void>;
}

const DEFAULTS = {
  prefix: 'kymo:',
  random: systemRandom,
  connectMs: 5_000,
  pingMs: 1_000,
  // Longer than a fork for a snapshot stalls a Redis of some gigabytes.
  silentMs: 3_000,
  // A half-open connection is found and replaced within it; the engine gives a call up after 5 s.
  waitMs: 4_500,
  leaseMs: presenceLimits.leaseMs,
  keySeconds: publicationLimits.keySeconds,
};

/** Rejects with AppError `store-unavailable` when Redis cannot be reached now; later losses are mended here. */
export async function connectRedis(given: RedisOptions): Promise<Redis> {
  const options = { ...DEFAULTS, ...given };
  const { prefix, clock, log } = options;
  const scripts = [...brokerScripts, ...presenceScripts, ...cacheScripts, ...countScripts];
  const link = await connectRedisLink({ ...options, scripts });
  const subscriptions = createRedisSubscriptions(link, log);
  const tag = randomBytes(8);
  // New with each process: its numbers begin again.
  const instanceId = tag.toString('hex');
  const shared = { link, subscriptions, clock, log, prefix, instanceId };
  const interest = createRedisInterest(shared);
  const bus = createRedisBus({ ...shared, interest, tag });
  const broker = createRedisBroker({ ...shared, waitMs: options.waitMs, keySeconds: options.keySeconds });
  const presence = await createRedisPresence({ ...shared, leaseMs: options.leaseMs, waitMs: options.waitMs });
  return {
    bus,
    broker,
    presence,
    shelf: createRedisShelf(link, prefix),
    counts: createRedisCounts(link, prefix),
    cache: createRedisCache({ link, prefix, clock, instanceId }),
    get state() {
      return { isUp: link.isUp, problem: link.problem };
    },
    counters: link.counters,
    async close() {
      await broker.close();
      await bus.close();
      await presence.close();
      interest.close();
      subscriptions.close();
      await link.close();
    },
  };
}
