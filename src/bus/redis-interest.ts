/**
 * Owns what this instance knows of listeners elsewhere, so that a publisher can spare itself encoding and sending. Redis
 * is asked once how many subscribe to a channel; from then on each instance announces what it begins to listen to. "Nobody"
 * is forgotten whenever an announcement may have been missed. Bounded: channels that were not asked about for long go.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import type { RedisLink } from '#bus/redis-link.ts';
import type { RedisSubscriptions } from '#bus/redis-subscriptions.ts';
import { listOf } from '#bus/redis-link.ts';

export interface RedisInterestOptions {
  readonly link: RedisLink;
  readonly subscriptions: RedisSubscriptions;
  readonly clock: Clock;
  readonly prefix: string;
}

export interface RedisInterest {
  /** False only when no other instance listens. `isOurs`: this instance is subscribed itself, which does not count. */
  isPossible(channel: string, isOurs: boolean): boolean;
  /** True when `isPossible` was asked about the channel and the answer is no. */
  isRuledOut(channel: string): boolean;
  /** Tells the others that this instance listens to the channel, once it does. */
  announce(channel: string): void;
  close(): void;
}

interface Known {
  isPossible: boolean;
  askedAtMs: number;
  /** Counts announcements: an answer that was under way meanwhile says nothing. */
  version: number;
}

/** Channels that are known about: a quarter of a kilobyte each. */
const MAX_CHANNELS = 20_000;
/** Who has listeners is asked about again after so long, since nobody announces that it stopped. */
const ASK_AGAIN_MS = 5_000;
/** Channels in one question, and bytes of one announcement. */
const BATCH = 200;

export function createRedisInterest({
  link,
  subscriptions,
  clock,
  prefix,
}: RedisInterestOptions): RedisInterest {
  const known = new LRUCache<string, Known>({ max: MAX_CHANNELS });
  const questions = new Map<string, boolean>();
  const announcements = new Set<string>();
  const announcing = `${prefix}interest`;
  let hearsOthers = false;
  let isScheduled = false;

  link.listen({
    up: () => undefined,
    down() {
      hearsOthers = false;
      known.clear();
    },
  });
  const listening = subscriptions.add(announcing, {
    message(message) {
      for (const channel of message.toString().split('\n')) {
        const entry = known.peek(channel);
        if (entry === undefined) continue;
        entry.isPossible = true;
        entry.version++;
      }
    },
    resumed() {
      hearsOthers = true;
    },
  });
  listening.ready.then(
    () => {
      hearsOthers = true;
    },
    () => undefined,
  );
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    queueMicrotask(() => {
      isScheduled = false;
      const asked = [...questions];
      questions.clear();
      for (let i = 0; i < asked.length; i += BATCH) ask(asked.slice(i, i + BATCH));
      const told = [...announcements];
      announcements.clear();
      // One that is lost with the link is made again when the subscription is.
      for (let i = 0; i < told.length; i += BATCH)
        link.call(['PUBLISH', announcing, told.slice(i, i + BATCH).join('\n')]).catch(() => undefined);
    });
  };
  const ask = (batch: readonly (readonly [string, boolean])[]): void => {
    const asked = batch.flatMap(([channel, isOurs]) => {
      const entry = known.peek(channel);
      return entry === undefined ? [] : [{ channel, isOurs, entry, version: entry.version }];
    });
    link.call(['PUBSUB', 'NUMSUB', ...asked.map(({ channel }) => channel)]).then(
      (reply) => {
        const counts = listOf(reply);
        for (const [i, { channel, isOurs, entry, version }] of asked.entries())
          if (hearsOthers && known.peek(channel) === entry && entry.version === version)
            entry.isPossible = Number(counts[2 * i + 1]) > (isOurs ? 1 : 0);
      },
      () => undefined,
    );
  };
  return {
    isPossible(channel, isOurs) {
      if (!hearsOthers) return true;
      const nowMs = clock.monotonicMs();
      let entry = known.get(channel);
      if (entry === undefined) {
        entry = { isPossible: true, askedAtMs: Number.NEGATIVE_INFINITY, version: 0 };
        known.set(channel, entry);
      }
      if (entry.isPossible && nowMs - entry.askedAtMs >= ASK_AGAIN_MS) {
        entry.askedAtMs = nowMs;
        questions.set(channel, isOurs);
        schedule();
      }
      return entry.isPossible;
    },
    isRuledOut: (channel) => hearsOthers && known.peek(channel)?.isPossible === false,
    announce(channel) {
      announcements.add(channel);
      schedule();
    },
    close: () => listening.stop(),
  };
}
