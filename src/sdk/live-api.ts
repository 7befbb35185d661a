/** Owns what the subscriber client is to a program: what it takes, what it gives, and what it promises. */

import type { Clock } from '#base/clock.ts';
import type { Random } from '#base/random.ts';
import type { PresentMember, Progress } from '#contract/live-messages.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import type { Position } from '#protocol/publication.ts';
import type { ClockEstimate } from '#sdk/live-clock.ts';
import type { LiveCounters, LiveGap, LiveState } from '#sdk/live-events.ts';
import type { Fetch } from '#sdk/live-http.ts';
import type { OpenSocket } from '#sdk/live-link.ts';
import type { ChannelMessage, SubscribeOptions } from '#sdk/live-subscribers.ts';
import type { TransportName } from '#sdk/live-transports.ts';

export interface LiveOptions {
  /** Address of the endpoint, e.g. `wss://kymo.example/v1/live`. */
  readonly url: string;
  /** A new single-use ticket for every attempt. An AppError that is not temporary ends the client. */
  readonly ticket?: () => Promise<string>;
  /**
   * Instead of `ticket`: an access key, or a token of your own back end. Asked at every attempt, and again before what it
   * gave ends. An AppError that is not temporary ends the client.
   */
  readonly token?: () => Promise<string> | string;
  /**
   * Which may be used, the best first. All by default, but long poll needs `token`. Without it, server-sent events carry
   * what is followed, and nothing can be published or asked over them.
   */
  readonly transports?: readonly TransportName[];
  /** Frames of `message` are views into the received bytes; `skipped` ticks were left out for this viewer. */
  readonly onReadings?: (channel: string, message: LiveMessage, skipped: number) => void;
  readonly onCommitted?: (channel: string, streams: readonly Progress[]) => void;
  readonly onState?: (state: LiveState) => void;
  /** After every (re)subscription. */
  readonly onSubscribed?: (channel: string) => void;
  /** Something of a channel was lost and will not come. */
  readonly onReset?: (gap: LiveGap) => void;
  /** The channel may not be followed and is given up. */
  readonly onRefused?: (channel: string, code: string, message: string) => void;
  readonly onClock?: (estimate: ClockEstimate) => void;
  /** A message that could not be used; the connection goes on. */
  readonly onProblem?: (code: string, message: string) => void;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Opens the socket; the platform's WebSocket unless a test brings its own. */
  readonly openSocket?: OpenSocket;
  /** The platform's `fetch` unless a test brings its own. */
  readonly fetch?: Fetch;
}

export interface PublishOptions {
  /** Sent again under the same key, it is published once: with a key, a publication outlives a lost connection. */
  readonly key?: string;
  readonly timeoutMs?: number;
}

export interface RequestOptions {
  readonly timeoutMs?: number;
  /** Done twice it is done once: it may be sent again after a lost connection. */
  readonly isRepeatable?: boolean;
}

export interface Published {
  /** Null where the channel has no positions, or its handler published nothing. */
  readonly position: Position | null;
  readonly isDuplicate: boolean;
}

/** `after`: the oldest beyond that offset. `before`: the newest below it. Neither: the newest. At most `limit` (256). */
export interface HistoryRange {
  readonly after?: number;
  readonly before?: number;
  readonly limit?: number;
}

export interface ChannelHistory<M extends ChannelMessage = ChannelMessage> {
  /** Of the newest publication there is. */
  readonly position: Position;
  /** Offset of the oldest that is kept. */
  readonly oldest: number;
  readonly messages: readonly M[];
}

export interface ChannelMembers {
  /** Also those who are not listed. */
  readonly count: number;
  readonly members: readonly PresentMember[];
}

export interface Subscription {
  readonly channel: string;
  /** All up to here was delivered; null before the first word of the server, and where there is no history. */
  readonly position: Position | null;
  unsubscribe(): void;
  publish(event: string, data: unknown, options?: PublishOptions): Promise<Published>;
  request(name: string, data: unknown, options?: RequestOptions): Promise<unknown>;
  history(range?: HistoryRange): Promise<ChannelHistory>;
  members(): Promise<ChannelMembers>;
  /** Changes what others see of this member. */
  setState(state: unknown): Promise<void>;
}

/** What is asked rejects with AppError: the server's code, `timed-out`, `unreachable`, `overloaded` or `stopped`. */
export interface LiveClient {
  readonly state: LiveState;
  readonly counters: LiveCounters;
  /** The server's clock, null before the first probe. */
  readonly serverClock: ClockEstimate | null;
  /**
   * Follows a channel, or those of a pattern (`*` for a segment), until `unsubscribe`, over reconnects. At most 64; refusal
   * is told to `onRefused`. What a second subscription of the same channel wishes to begin with is not looked at.
   */
  subscribe(channel: string, options?: SubscribeOptions): Subscription;
  /** Ends all subscriptions of the channel. */
  unsubscribe(channel: string): void;
  publish(channel: string, event: string, data: unknown, options?: PublishOptions): Promise<Published>;
  request(channel: string, name: string, data: unknown, options?: RequestOptions): Promise<unknown>;
  history(channel: string, range?: HistoryRange): Promise<ChannelHistory>;
  members(channel: string): Promise<ChannelMembers>;
  setState(channel: string, state: unknown): Promise<void>;
  /** Tells of every state from now on, until the returned function is called. */
  watchState(watcher: (state: LiveState) => void): () => void;
  /** Shows a new token on the open connection, for when what may be done has changed. Needs `token`. */
  refresh(): void;
  /** Ends for good; later callbacks are not called, what was asked is rejected. */
  close(): void;
}
