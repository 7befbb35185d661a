/** Owns the words of the subscriber's state machine: the states it has, what happens to it, and what it wants done. */

import type { Progress } from '#contract/live-messages.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import type { ClockEstimate } from '#sdk/live-clock.ts';

export type LiveState =
  /** Waiting for a ticket, the socket or the welcome. */
  | { readonly name: 'connecting' }
  | { readonly name: 'open' }
  /** Between attempts; `retryAtMs` is on the monotonic clock, `code` what ended the last connection. */
  | {
      readonly name: 'waiting';
      readonly retryAtMs: number;
      readonly attempt: number;
      readonly code: number | string;
    }
  /** For good: stopped by the caller, or refused in a way that trying again does not change. */
  | { readonly name: 'closed'; readonly code: number | string; readonly message: string };

export type LiveEvent =
  | { readonly type: 'start' }
  | { readonly type: 'ticket'; readonly connection: number; readonly ticket: string }
  | {
      readonly type: 'ticketFailed';
      readonly connection: number;
      readonly code: string;
      readonly message: string;
      readonly temporary: boolean;
    }
  | { readonly type: 'text'; readonly connection: number; readonly text: string }
  | { readonly type: 'binary'; readonly connection: number; readonly bytes: Uint8Array }
  | {
      readonly type: 'closed';
      readonly connection: number;
      readonly code: number;
      readonly reason: string;
    }
  | { readonly type: 'subscribe'; readonly channel: string }
  | { readonly type: 'unsubscribe'; readonly channel: string }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' };

export type LiveEffect =
  | { readonly type: 'fetchTicket'; readonly connection: number }
  | { readonly type: 'connect'; readonly connection: number; readonly ticket: string }
  | { readonly type: 'send'; readonly text: string }
  /** Close the socket and forget it; nothing it still says will be heard. */
  | { readonly type: 'disconnect'; readonly code: number }
  | { readonly type: 'state'; readonly state: LiveState }
  | { readonly type: 'subscribed'; readonly channel: string }
  | {
      readonly type: 'readings';
      readonly channel: string;
      readonly message: LiveMessage;
      /** Ticks left out for this viewer since the message before (newest wins; the recording is not touched). */
      readonly skipped: number;
    }
  | { readonly type: 'committed'; readonly channel: string; readonly streams: readonly Progress[] }
  | { readonly type: 'clock'; readonly estimate: ClockEstimate }
  /** The channel will not be subscribed again. */
  | {
      readonly type: 'refused';
      readonly channel: string;
      readonly code: string;
      readonly message: string;
    }
  /** Something the server sent could not be used, or an error that answers no request. */
  | { readonly type: 'problem'; readonly code: string; readonly message: string };

/** The time of an event: monotonic for durations, wall for probes. */
export interface LiveTime {
  readonly ms: number;
  readonly us: number;
}
