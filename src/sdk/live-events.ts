/** Owns the words of the subscriber's state machine: the states it has, what happens to it, and what it wants done. */

import type { Random } from '#base/random.ts';
import type { HubMessage, Progress, ViewerMessage } from '#contract/live-messages.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import type { Position } from '#protocol/publication.ts';
import type { ClockEstimate } from '#sdk/live-clock.ts';
import type { TransportName } from '#sdk/live-transports.ts';

export type LiveState =
  /** Waiting for a ticket, the connection or the welcome. */
  | { readonly name: 'connecting'; readonly transport: TransportName }
  | { readonly name: 'open'; readonly transport: TransportName }
  /** Between attempts; `retryAtMs` is on the monotonic clock, `code` what ended the last connection. */
  | {
      readonly name: 'waiting';
      readonly retryAtMs: number;
      readonly attempt: number;
      readonly code: number | string;
    }
  /** For good: stopped by the caller, or refused in a way that trying again does not change. */
  | { readonly name: 'closed'; readonly code: number | string; readonly message: string };

/** How a channel is followed. */
export interface FollowOptions {
  /** What is known already: what came after it follows, or a reset is told. */
  readonly position?: Position;
  /** Without a position: the newest so many first. At most 256. */
  readonly last?: number;
  /** Also tell who enters and leaves. */
  readonly presence?: boolean;
  /** What others see of this member. At most 1 KiB as JSON. */
  readonly state?: unknown;
  /** A channel token of another back end, where the connection's own identity is not enough. */
  readonly token?: string;
}

type AskMessage = Extract<ViewerMessage, { type: 'publish' | 'request' | 'history' | 'members' | 'state' }>;
type WithoutId<M> = M extends unknown ? Omit<M, 'id'> : never;
/** What is asked of the server, and answered once. The machine numbers it. */
export type AskBody = WithoutId<AskMessage>;
export type Answer = Extract<
  HubMessage,
  { type: 'published' | 'response' | 'history' | 'members' | 'stated' }
>;

export interface Ask {
  /** The caller's own number for it. */
  readonly ref: number;
  readonly body: AskBody;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  /** Done twice it is done once: it may be sent again after a lost connection. */
  readonly isRepeatable: boolean;
}

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
  /** How the look whether a better transport works came out. */
  | { readonly type: 'tried'; readonly connection: number; readonly isOpen: boolean }
  | { readonly type: 'subscribe'; readonly channel: string; readonly options?: FollowOptions }
  | { readonly type: 'unsubscribe'; readonly channel: string }
  | { readonly type: 'ask'; readonly ask: Ask }
  /** Shows a new token now: what it permits has changed. */
  | { readonly type: 'refresh' }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' };

/** What was not delivered, and can no longer be had here: publications after `from` up to `to`. */
export interface LiveGap {
  readonly channel: string;
  /** Null: from the beginning of what this client knows. */
  readonly from: Position | null;
  /** Messages that follow come after it. */
  readonly to: Position;
}

export type LiveEffect =
  | { readonly type: 'fetchTicket'; readonly connection: number }
  | {
      readonly type: 'connect';
      readonly connection: number;
      readonly transport: TransportName;
      readonly ticket: string;
    }
  /** Look whether the first transport works by now; `tried` tells. */
  | { readonly type: 'try'; readonly connection: number; readonly transport: TransportName }
  | { readonly type: 'send'; readonly text: string }
  /** Close the connection and forget it; nothing it still says will be heard. */
  | { readonly type: 'disconnect'; readonly code: number }
  | { readonly type: 'state'; readonly state: LiveState }
  | {
      readonly type: 'subscribed';
      readonly channel: string;
      /** Null: nothing was known before. False: a `gap` follows. */
      readonly recovered: boolean | null;
    }
  | { readonly type: 'gap'; readonly gap: LiveGap }
  | { readonly type: 'message'; readonly message: Extract<HubMessage, { type: 'message' }> }
  | { readonly type: 'presence'; readonly presence: Extract<HubMessage, { type: 'presence' }> }
  | { readonly type: 'answered'; readonly ref: number; readonly answer: Answer }
  | {
      readonly type: 'failed';
      readonly ref: number;
      readonly code: string;
      readonly message: string;
      readonly temporary: boolean;
    }
  | {
      readonly type: 'readings';
      readonly channel: string;
      readonly message: LiveMessage;
      /** Ticks left out for this viewer since the message before (newest wins; the recording is not touched). */
      readonly skipped: number;
    }
  | { readonly type: 'committed'; readonly channel: string; readonly streams: readonly Progress[] }
  | { readonly type: 'clock'; readonly estimate: ClockEstimate }
  /** The channel, or pattern, will not be subscribed again. */
  | {
      readonly type: 'refused';
      readonly channel: string;
      readonly code: string;
      readonly message: string;
    }
  /** Something the server sent could not be used, or an error that answers no request. */
  | { readonly type: 'problem'; readonly code: string; readonly message: string };

export interface LiveCounters {
  /** Publications that came again and were dropped. */
  readonly duplicates: number;
  /** Gaps that were told. */
  readonly gaps: number;
  /** Publications and requests that were refused because too many waited. */
  readonly refusedAsks: number;
}

export interface LiveMachineOptions {
  readonly random: Random;
  /** In the order of their worth; all by default. */
  readonly transports?: readonly TransportName[];
  /** A new token can be shown on a connection that is open. */
  readonly canRefresh?: boolean;
}

/** The time of an event: monotonic for durations, wall for probes. */
export interface LiveTime {
  readonly ms: number;
  readonly us: number;
}
