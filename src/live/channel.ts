/**
 * Owns what a channel is to the hub: something with a number from which viewers pull what they have not seen. The
 * loss class decides what `pull` gives: class live skips to the newest (live-channel.ts, readings-channel.ts), event and
 * state channels go by the broker's offsets (event-channel.ts). Only types here.
 */

import type { Clock } from '#base/clock.ts';
import type { Channels } from '#live/channels.ts';
import type { LossClass } from '#contract/channel-definition.ts';
import type { Position } from '#protocol/publication.ts';
import type { HubCounters } from '#live/counters.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Outgoing } from '#live/transport.ts';

/** Where a viewer is in a channel. Made and moved by the channel, kept by the viewer. */
export interface Cursor {
  /** The newest tick or publication that was pulled. */
  offset: number;
  /** The newest revision of the channel's state that was pulled. */
  revision: number;
  /** Which of the channel's histories the offset speaks of: it grows by one with each reset. */
  generation: number;
  /** All that was missed at the start has been pulled: from now on a viewer may not fall behind. */
  isCaughtUp: boolean;
}

/** Whoever pulls: the channel tells it when a page of history that it waits for is there. */
export interface Puller {
  wake(): void;
}

/** What one write to one viewer is made of, filled from all its channels. */
export interface Batch {
  readonly items: Outgoing[];
  bytes: number;
  readonly maxBytes: number;
  readonly puller: Puller;
  /** Channels whose missed messages have all been pulled with this batch. */
  caughtUp: string[] | null;
}

/** `more`: something did not fit and must wait. `behind`: what the viewer misses is kept no more, and may not be left out. */
export type Pulled = 'all' | 'more' | 'behind';

/** What a viewer says it knows, or wants of the past. */
export interface StartWish {
  readonly position: Position | null;
  readonly last: number | null;
}

export interface Started {
  readonly cursor: Cursor;
  /** Null for class live. */
  readonly position: Position | null;
  /** Null where no position was given, and for class live. */
  readonly isRecovered: boolean | null;
}

export interface Channel {
  readonly name: string;
  /** Stands for the name in binary messages; never used again by this hub. */
  readonly number: number;
  readonly lossClass: LossClass;
  /** The cursor of a viewer that joins now. Rejects with AppError when the history cannot be reached. */
  start(wish: StartWish): Promise<Started>;
  /** Where the cursor is, for who asks again; null for class live. */
  positionOf(cursor: Cursor): Position | null;
  /** Makes what was collected since the last call visible to `pull`. */
  seal(): void;
  /** Moves the cursor on and adds what it passed to the batch. */
  pull(cursor: Cursor, batch: Batch): Pulled;
  /** True when `pull` would say so. */
  isBehind(cursor: Cursor): boolean;
  /** Every viewer has pulled everything: what is kept for laggards may go. */
  release(): void;
  /** Called about once a second: looks whether something was missed, when nothing was heard for long. */
  look(nowMs: number): void;
  /** Leaves the bus. */
  stop(): void;
}

export interface ChannelContext {
  readonly channels: Channels;
  readonly clock: Clock;
  readonly limits: HubLimits;
  readonly counters: HubCounters;
  /** Unexpected failures, for the log. */
  readonly onFailure: (cause: unknown) => void;
}

/** A channel's place in its hub. */
export interface ChannelSeat {
  readonly name: string;
  /** Whose channel it is and which: `addressOf`. */
  readonly address: string;
  readonly number: number;
  /** Called when there is something to seal. */
  readonly changed: () => void;
}
