/**
 * Owns the bus over Redis: topics by PUBLISH and SUBSCRIBE. Who listens in this process is called directly and needs no
 * Redis; other instances get what is published while the link is up, and nothing is kept for later. A topic that is known
 * to have no listener elsewhere costs nothing. Bounded by the bytes on their way to Redis; what comes beyond is dropped.
 */

import type { Listening } from '#bus/broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { Bus, BusNotices } from '#bus/bus.ts';
import type { RedisInterest } from '#bus/redis-interest.ts';
import type { RedisLink } from '#bus/redis-link.ts';
import type { RedisSubscriptions } from '#bus/redis-subscriptions.ts';

export interface RedisBusOptions {
  readonly link: RedisLink;
  readonly subscriptions: RedisSubscriptions;
  readonly interest: RedisInterest;
  readonly prefix: string;
  /** 8 bytes that name this process, so that it knows its own messages. */
  readonly tag: Buffer;
}

export interface RedisBusCounters {
  readonly sent: number;
  readonly received: number;
  /** Not sent since Redis did not take the earlier ones fast enough. */
  readonly dropped: number;
  /** Not sent since the link was down. */
  readonly unsent: number;
}

export interface RedisBus extends Bus {
  readonly counters: RedisBusCounters;
}

/** Bytes that Redis has not answered for: a second of 16 MB/s, far beyond what one instance sends. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;
const TAG_BYTES = 8;

export function createRedisBus({ link, subscriptions, interest, prefix, tag }: RedisBusOptions): RedisBus {
  const here = createMemoryBus();
  const counters = { sent: 0, received: 0, dropped: 0, unsent: 0 };
  const topics = new Map<string, Topic>();
  let pendingBytes = 0;
  let isClosed = false;
  const channelOf = (topic: string): string => `${prefix}t:${topic}`;

  const send = (topic: string, payload: Uint8Array): void => {
    if (!link.isUp) {
      counters.unsent++;
      return;
    }
    const bytes = TAG_BYTES + payload.length;
    if (pendingBytes > 0 && pendingBytes + bytes > MAX_PENDING_BYTES) {
      counters.dropped++;
      return;
    }
    counters.sent++;
    pendingBytes += bytes;
    const settled = (): void => {
      pendingBytes -= bytes;
    };
    // Lost with the link, and nobody is owed it.
    link.call(['PUBLISH', channelOf(topic), Buffer.concat([tag, payload])]).then(settled, settled);
  };
  const open = (topic: string): Topic => {
    const channel = channelOf(topic);
    const subscribers = new Set<BusNotices>();
    const listening = subscriptions.add(channel, {
      message(message) {
        if (tag.equals(message.subarray(0, TAG_BYTES))) return;
        counters.received++;
        here.publish(topic, new Uint8Array(message.subarray(TAG_BYTES)));
      },
      resumed() {
        interest.announce(channel);
        for (const notices of subscribers) notices.resumed?.();
      },
    });
    listening.ready.then(
      () => interest.announce(channel),
      () => undefined,
    );
    return { subscribers, listening };
  };
  return {
    counters,
    publish(topic, payload) {
      if (isClosed) return;
      if (!interest.isRuledOut(channelOf(topic))) send(topic, payload);
      here.publish(topic, payload);
    },
    hasListeners: (topic) =>
      here.hasListeners(topic) || interest.isPossible(channelOf(topic), topics.has(topic)),
    subscribe(topic, handler, notices = {}) {
      if (isClosed) return () => undefined;
      const stopHere = here.subscribe(topic, handler);
      const known = topics.get(topic) ?? open(topic);
      topics.set(topic, known);
      // An object of its own, so that the same notices may be given twice.
      const own = { ...notices };
      known.subscribers.add(own);
      known.listening.ready.then(
        () => {
          if (known.subscribers.has(own)) own.ready?.();
        },
        () => undefined,
      );
      return () => {
        if (!known.subscribers.delete(own)) return;
        stopHere();
        if (known.subscribers.size > 0 || topics.get(topic) !== known) return;
        topics.delete(topic);
        known.listening.stop();
      };
    },
    async close() {
      isClosed = true;
      for (const { listening, subscribers } of topics.values()) {
        subscribers.clear();
        listening.stop();
      }
      topics.clear();
      await here.close();
    },
  };
}

interface Topic {
  readonly subscribers: Set<BusNotices>;
  readonly listening: Listening;
}
