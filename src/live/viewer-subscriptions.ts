/**
 * Owns what one viewer follows: at most `subscriptionsPerViewer` channels, each asked for, permitted, joined and given
 * up. Every request gets exactly one answer. Channels take turns in being first, so that none starves when a batch
 * is full.
 */

import { fail, type Result } from '#base/result.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Batch, Channel, Cursor } from '#live/channel.ts';
import { isChannelName } from '#live/channel-names.ts';

export interface SubscriptionsContext {
  readonly maxSubscriptions: number;
  /** Rejects only on an unexpected failure, which is reported before it comes here. */
  authorize(channelName: string): Promise<Result<unknown, WireError>>;
  join(channelName: string): Channel;
  leave(channelName: string): void;
  subscribed(id: number, channel: Channel): void;
  unsubscribed(id: number, channelName: string): void;
  refuse(error: WireError, id: number): void;
}

export interface Subscriptions {
  /** How many channels are joined. */
  readonly joinedCount: number;
  subscribe(id: number, channelName: string): void;
  unsubscribe(id: number, channelName: string): void;
  /** Fills the batch from all channels. False when something did not fit. */
  pull(batch: Batch): boolean;
  /** Leaves every channel and forgets what is being asked. */
  end(): void;
}

interface Joined {
  readonly channel: Channel;
  readonly cursor: Cursor;
}

interface Subscription {
  readonly name: string;
  /** Null while permission is asked. */
  joined: Joined | null;
}

export function createSubscriptions(context: SubscriptionsContext): Subscriptions {
  const byName = new Map<string, Subscription>();
  let joined: Joined[] = [];
  // Where the next batch begins.
  let firstTurn = 0;
  let isEnded = false;

  const refuse = (id: number, code: WireError['code'], message: string): void =>
    context.refuse({ code, message, field: '/channel' }, id);

  const settle = (id: number, subscription: Subscription, result: Result<unknown, WireError>): void => {
    const { name } = subscription;
    if (isEnded) return;
    if (byName.get(name) !== subscription) return refuse(id, 'conflict', 'unsubscribed meanwhile');
    if (!result.ok) {
      byName.delete(name);
      return context.refuse({ field: '/channel', ...result.error }, id);
    }
    const channel = context.join(name);
    subscription.joined = { channel, cursor: channel.start() };
    joined.push(subscription.joined);
    context.subscribed(id, channel);
  };
  return {
    get joinedCount() {
      return joined.length;
    },
    subscribe(id, name) {
      const existing = byName.get(name);
      if (existing !== undefined) {
        if (existing.joined === null) refuse(id, 'conflict', 'this subscription is being made');
        else context.subscribed(id, existing.joined.channel);
        return;
      }
      if (!isChannelName(name)) return refuse(id, 'not-found', 'no channel has this name');
      if (byName.size >= context.maxSubscriptions)
        return refuse(id, 'limit-exceeded', `at most ${context.maxSubscriptions} subscriptions a connection`);
      const subscription: Subscription = { name, joined: null };
      byName.set(name, subscription);
      const failed = { code: 'internal', message: 'the permission could not be checked' } as const;
      context.authorize(name).then(
        (result) => settle(id, subscription, result),
        () => settle(id, subscription, fail(failed)),
      );
    },
    unsubscribe(id, name) {
      const subscription = byName.get(name);
      byName.delete(name);
      if (subscription !== undefined && subscription.joined !== null) {
        joined = joined.filter((one) => one !== subscription.joined);
        context.leave(name);
      }
      context.unsubscribed(id, name);
    },
    pull(batch) {
      for (let i = 0; i < joined.length; i++) {
        const at = (firstTurn + i) % joined.length;
        const { channel, cursor } = joined[at]!;
        if (channel.pull(cursor, batch)) continue;
        firstTurn = at;
        return false;
      }
      return true;
    },
    end() {
      isEnded = true;
      byName.clear();
      for (const { channel } of joined) context.leave(channel.name);
      joined = [];
    },
  };
}
