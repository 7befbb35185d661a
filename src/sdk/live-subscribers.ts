/**
 * Owns who in a program follows which channel: several parts may follow the same one, which is subscribed once. Handlers
 * are called in the order in which they came. At most MAX_SUBSCRIBERS of a channel; more is a leak of the program.
 */

import { assert } from '#base/assert.ts';
import type { PresentMember, Progress } from '#contract/live-messages.ts';
import { matchesPattern } from '#contract/principal.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import type { FollowOptions, LiveEffect, LiveGap } from '#sdk/live-events.ts';

const MAX_SUBSCRIBERS = 1_000;

/** One publication. */
export interface ChannelMessage<E extends string = string, D = unknown> {
  readonly channel: string;
  readonly event: E;
  readonly data: D;
  /** Where it stands in the channel's history; null in class live, which has none. */
  readonly offset: number | null;
  /** Server time, microseconds. */
  readonly timeUs: number;
  /** Subject of who sent it; null when the server did. */
  readonly by: string | null;
  /** Class live: how many were left out for this viewer before this one. */
  readonly skipped: number;
}

export interface PresenceChange {
  readonly channel: string;
  readonly count: number;
  /** Large channels only count. */
  readonly entered: readonly PresentMember[];
  /** Ids of members. */
  readonly left: readonly string[];
}

export interface SubscribeOptions<M extends ChannelMessage = ChannelMessage> extends FollowOptions {
  readonly onMessage?: (message: M) => void;
  readonly onPresence?: (change: PresenceChange) => void;
  /** After every (re)subscription that lost nothing. */
  readonly onSubscribed?: (channel: string) => void;
  /** A subscription was taken up again where it ended: all that was missed follows. */
  readonly onRecovered?: (channel: string) => void;
  /** Something was lost and will not come: what the program knows of the channel must be read anew. */
  readonly onReset?: (gap: LiveGap) => void;
  /** It may not be followed and is given up. */
  readonly onRefused?: (code: string, message: string, channel: string) => void;
  /** Of binary channels: frames are views into the received bytes; `skipped` ticks were left out for this viewer. */
  readonly onReadings?: (message: LiveMessage, skipped: number, channel: string) => void;
  readonly onCommitted?: (streams: readonly Progress[], channel: string) => void;
}

export type Subscriber = SubscribeOptions;

export interface Subscribers {
  add(channel: string, subscriber: Subscriber): void;
  /** True when it was the last. */
  remove(channel: string, subscriber: Subscriber): boolean;
  removeAll(channel: string): void;
  tell(effect: LiveEffect): void;
}

export function createSubscribers(): Subscribers {
  const byName = new Map<string, Set<Subscriber>>();
  const patterns = new Set<string>();

  // Collected before any is called: they subscribe and unsubscribe meanwhile.
  const followersOf = (channel: string): Subscriber[] => {
    const found = [...(byName.get(channel) ?? [])];
    for (const pattern of patterns)
      if (pattern !== channel && matchesPattern(pattern, channel)) found.push(...(byName.get(pattern) ?? []));
    return found;
  };
  const each = (channel: string, call: (subscriber: Subscriber) => void): void =>
    followersOf(channel).forEach(call);
  const removeAll = (channel: string): void => {
    byName.delete(channel);
    patterns.delete(channel);
  };
  return {
    add(channel, subscriber) {
      let those = byName.get(channel);
      if (those === undefined) {
        those = new Set();
        byName.set(channel, those);
        if (channel.includes('*')) patterns.add(channel);
      }
      assert(those.size < MAX_SUBSCRIBERS, `${channel} is followed ${MAX_SUBSCRIBERS} times in one program`);
      those.add(subscriber);
    },
    remove(channel, subscriber) {
      const those = byName.get(channel);
      if (those === undefined || !those.delete(subscriber) || those.size > 0) return false;
      removeAll(channel);
      return true;
    },
    removeAll,
    tell(effect) {
      switch (effect.type) {
        case 'subscribed': {
          const { channel, recovered } = effect;
          each(channel, ({ onSubscribed, onRecovered }) => {
            onSubscribed?.(channel);
            if (recovered === true) onRecovered?.(channel);
          });
          return;
        }
        case 'gap':
          each(effect.gap.channel, ({ onReset }) => onReset?.(effect.gap));
          return;
        case 'message': {
          const { channel, event, data, offset = null, timeUs, by = null, skipped = 0 } = effect.message;
          const message: ChannelMessage = { channel, event, data, offset, timeUs, by, skipped };
          each(channel, ({ onMessage }) => onMessage?.(message));
          return;
        }
        case 'presence': {
          const { channel, count, entered, left } = effect.presence;
          each(channel, ({ onPresence }) => onPresence?.({ channel, count, entered, left }));
          return;
        }
        case 'readings':
          each(effect.channel, ({ onReadings }) =>
            onReadings?.(effect.message, effect.skipped, effect.channel),
          );
          return;
        case 'committed':
          each(effect.channel, ({ onCommitted }) => onCommitted?.(effect.streams, effect.channel));
          return;
        case 'refused': {
          const { channel, code, message } = effect;
          const followers = followersOf(channel);
          // Before they are told, so that they may subscribe again.
          removeAll(channel);
          for (const { onRefused } of followers) onRefused?.(code, message, channel);
          return;
        }
        default:
      }
    },
  };
}
