/**
 * Owns what a watcher of an extension is given: a signal that says when to stop, the server's services, and two sources
 * that come back by themselves (PostgreSQL's LISTEN, and an HTTP feed). Only types here.
 */

import type { ChannelServices } from '#contract/channel-definition.ts';

export interface WatcherContext {
  /** Aborts when the server stops. Both sources end with it by themselves. */
  readonly signal: AbortSignal;
  readonly services: ChannelServices;
  /**
   * Follows a channel of NOTIFY on a connection of its own. Returns when the signal aborts; throws what a handler
   * throws. The connection coming and going is not an error.
   */
  listenToDatabase(listening: DatabaseListening): Promise<void>;
  /** Follows a feed over HTTP, and connects again where it stood. Returns and throws as `listenToDatabase` does. */
  followFeed(feed: FeedFollowing): Promise<void>;
}

/** Runs a statement on the connection that listens, or on the next one when it is gone. */
export type DatabaseQuery = (
  text: string,
  values?: readonly unknown[],
) => Promise<readonly Readonly<Record<string, unknown>>[]>;

export interface DatabaseListening {
  /** As in `NOTIFY channel`; PostgreSQL keeps 63 bytes of it. */
  readonly channel: string;
  /** A database of your own. Default: the server's, as role kymo_app, which sees what is granted to it. */
  readonly url?: string;
  /**
   * Called whenever listening begins (the first time too), before any notification: what was missed can be read now. And
   * when more notifications came at once than are kept.
   */
  onGap?(query: DatabaseQuery): Promise<void> | void;
  /** One after the other, in the order of commits. */
  onNotification(payload: string, query: DatabaseQuery): Promise<void> | void;
}

export interface FeedMessage {
  /** `message` where the feed says nothing else. */
  readonly event: string;
  readonly data: string;
  /** Of the feed, for Last-Event-ID; empty when it gives none. */
  readonly id: string;
}

export interface FeedFollowing {
  readonly url: string;
  /** Server-Sent Events (default), or a JSON value a line. */
  readonly format?: 'sse' | 'json-lines';
  readonly headers?: Readonly<Record<string, string>>;
  /** Where to begin; later ones are kept here. */
  readonly lastEventId?: string;
  /** A feed that says nothing for so long is connected to anew. Default a minute. */
  readonly silenceMs?: number;
  /** Called after each connection but the first when the feed gives no ids: something may be missing. */
  onGap?(): Promise<void> | void;
  /** One after the other: the feed waits while one is worked on. */
  onMessage(message: FeedMessage): Promise<void> | void;
}
