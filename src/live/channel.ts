/**
 * Owns what a channel is to the hub: something with a number from which viewers pull what they have not seen. The
 * loss class decides what `pull` gives: class live skips to the newest (live-channel.ts); event and state channels
 * bring their own. Only types here.
 */

import type { Bus } from '#bus/bus.ts';
import type { Clock } from '#base/clock.ts';
import type { HubCounters } from '#live/counters.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Outgoing } from '#live/transport.ts';

/** Where a viewer is in a channel. Made and moved by the channel, kept by the viewer. */
export interface Cursor {
  /** The newest tick that was pulled. */
  offset: number;
  /** The newest revision of the channel's state that was pulled. */
  revision: number;
}

/** What one write to one viewer is made of, filled from all its channels. */
export interface Batch {
  readonly items: Outgoing[];
  bytes: number;
  readonly maxBytes: number;
}

export interface Channel {
  readonly name: string;
  /** Stands for the name in messages; never used again by this hub. */
  readonly number: number;
  /** The cursor of a viewer that joins now. */
  start(): Cursor;
  /** Makes what was collected since the last call visible to `pull`. */
  seal(): void;
  /** Moves the cursor on and adds what it passed to the batch. False when something did not fit and must wait. */
  pull(cursor: Cursor, batch: Batch): boolean;
  /** Every viewer has pulled everything: what is kept for laggards may go. */
  release(): void;
  /** Leaves the bus. */
  stop(): void;
}

export interface ChannelContext {
  readonly bus: Bus;
  readonly clock: Pick<Clock, 'nowUs'>;
  readonly limits: HubLimits;
  readonly counters: HubCounters;
}

/** A channel's place in its hub. */
export interface ChannelSeat {
  readonly name: string;
  readonly number: number;
  /** Called when there is something to seal. */
  readonly changed: () => void;
}
