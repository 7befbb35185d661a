/**
 * Owns which Redis channels this instance is subscribed to: those that somebody here listens to, once each, and again
 * after every loss of the link. As many as there are listeners; whoever makes those bounds them.
 */

import type { Log } from '#base/log.ts';
import { messageOf } from '#base/errors.ts';
import type { Listening } from '#bus/broker.ts';
import { LinkLost, unavailable, type RedisLink } from '#bus/redis-link.ts';

export interface RedisListener {
  /** Must not throw. The bytes are only valid during the call. */
  message(payload: Buffer): void;
  /** The subscription was lost for a while and is there again. */
  resumed(): void;
}

export interface RedisSubscriptions {
  add(channel: string, listener: RedisListener): Listening;
  /** Stops all that was added here, and refuses what comes later. */
  close(): void;
  /** The same subscriptions, closed on their own. */
  scope(): RedisSubscriptions;
}

interface Own {
  readonly listener: RedisListener;
  isReady: boolean;
  resolve(): void;
  reject(error: Error): void;
}

interface Channel {
  readonly name: string;
  readonly listeners: Set<Own>;
  /** Generations of the link in which it was asked for, and confirmed. */
  sentIn: number;
  confirmedIn: number;
}

/** Channels in one SUBSCRIBE: a command of some 50 kB at most. */
const BATCH = 500;

export function createRedisSubscriptions(link: RedisLink, log: Log): RedisSubscriptions {
  const channels = new Map<string, Channel>();
  // The client takes a channel for subscribed until it has the answer that it is not: a SUBSCRIBE before would not be sent.
  const leaving = new Set<string>();
  let wanted: Channel[] = [];

  const want = (some: Iterable<Channel>): void => {
    if (wanted.length === 0) queueMicrotask(flush);
    for (const channel of some) wanted.push(channel);
  };
  const flush = (): void => {
    const { isUp, generation } = link;
    const asked = wanted.filter(
      (one) => channels.get(one.name) === one && one.sentIn !== generation && !leaving.has(one.name),
    );
    wanted = [];
    if (!isUp) return;
    for (let i = 0; i < asked.length; i += BATCH) {
      const batch = asked.slice(i, i + BATCH);
      for (const channel of batch) channel.sentIn = generation;
      link.subscribe(batch.map(({ name }) => name)).then(
        () => confirm(batch, generation),
        (error: unknown) => {
          // A lost link is asked again when it is back; anything else is a refusal that only a person can change.
          if (!(error instanceof LinkLost) && link.generation === generation && link.isUp)
            log.error('Redis refuses a subscription', { reason: messageOf(error) });
        },
      );
    }
  };
  const leave = (name: string): void => {
    leaving.add(name);
    void link.unsubscribe(name).then(() => {
      leaving.delete(name);
      const channel = channels.get(name);
      if (channel !== undefined) want([channel]);
    });
  };
  const confirm = (batch: readonly Channel[], generation: number): void => {
    if (!link.isUp || link.generation !== generation) return;
    for (const channel of batch) {
      // A channel that was left and asked for again meanwhile is another object, with a subscription of its own.
      if (channels.get(channel.name) !== channel) continue;
      channel.confirmedIn = generation;
      const listening = [...channel.listeners];
      for (const own of listening) {
        if (!channel.listeners.has(own)) continue;
        if (own.isReady) own.listener.resumed();
        else {
          own.isReady = true;
          own.resolve();
        }
      }
    }
  };
  link.listen({ up: () => want(channels.values()), down: () => undefined });
  link.receive((name, payload) => {
    const channel = channels.get(name);
    if (channel === undefined) return;
    const listening = [...channel.listeners];
    // Before it is ready, a listener may hear the end of a subscription that was left, with a hole up to its own.
    for (const own of listening) if (own.isReady && channel.listeners.has(own)) own.listener.message(payload);
  });
  const add = (name: string, listener: RedisListener): Listening => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    let channel = channels.get(name);
    if (channel === undefined) {
      channel = { name, listeners: new Set(), sentIn: 0, confirmedIn: 0 };
      channels.set(name, channel);
      want([channel]);
    }
    const own: Own = { listener, isReady: false, resolve, reject };
    channel.listeners.add(own);
    if (link.isUp && channel.confirmedIn === link.generation) {
      own.isReady = true;
      resolve();
    }
    const home = channel;
    const stop = (): void => {
      if (!home.listeners.delete(own)) return;
      reject(unavailable('the listening was stopped'));
      if (home.listeners.size > 0 || channels.get(name) !== home) return;
      channels.delete(name);
      if (link.isUp && home.sentIn === link.generation) leave(name);
    };
    return { ready: promise, stop };
  };
  const scope = (): RedisSubscriptions => {
    const open = new Set<Listening>();
    let isClosed = false;
    return {
      add(name, listener) {
        if (isClosed) {
          const ready = Promise.reject<void>(unavailable('this end is closed'));
          ready.catch(() => undefined);
          return { ready, stop: () => undefined };
        }
        const listening = add(name, listener);
        open.add(listening);
        return {
          ready: listening.ready,
          stop() {
            open.delete(listening);
            listening.stop();
          },
        };
      },
      close() {
        isClosed = true;
        for (const { stop } of open) stop();
        open.clear();
      },
      scope,
    };
  };
  return scope();
}
