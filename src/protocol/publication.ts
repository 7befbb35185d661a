/**
 * Owns the words for what a channel remembers: publications with offsets, and positions among them. Offsets of a channel
 * are 1, 2, 3, ... within an epoch; another epoch means that the history is another one (lost, restored, begun anew), and
 * offsets of different epochs say nothing about each other. Only types and bounds here.
 */

/** Where somebody is in a channel's history: all up to `offset` is known, 0 is before the first. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export interface Publication {
  readonly offset: number;
  /** Server time at which it was accepted. */
  readonly timeUs: number;
  /** The body as UTF-8 JSON (contract/live-messages.ts `PublicationBody`), shared by all readers: nobody changes it. */
  readonly payload: Uint8Array;
}

/** How much a channel remembers. What exceeds either bound goes, oldest first. */
export interface HistoryBounds {
  readonly messages: number;
  readonly seconds: number;
}

/** `after`: the oldest `limit` beyond that offset. `newest`: the last `limit`. `before`: the last `limit` below that offset. */
export type HistoryQuery =
  | { readonly after: number; readonly limit: number }
  | { readonly newest: true; readonly limit: number }
  | { readonly before: number; readonly limit: number };

/** Publications in the order of their offsets, and what the history holds at this moment. */
export interface HistoryPage {
  readonly epoch: string;
  /** Offset of the newest publication there ever was in this epoch; 0: none yet. */
  readonly newest: number;
  /** Offset of the oldest that is kept; `newest + 1` when none is. */
  readonly oldest: number;
  readonly publications: readonly Publication[];
}

export const publicationLimits = {
  /** Bytes of one publication's body: what one control message may carry. */
  payloadBytes: 16 * 1024,
  /** Publications in one page of history. */
  pageMessages: 256,
  /** The most that a definition may ask for: 16 MiB a channel at worst. */
  historyMessages: 1_000,
  /** A day; longer memory is what `durable` channels are for. */
  historySeconds: 86_400,
  /** An idempotency key is remembered this long by brokers that forget (Centrifugo: 5 min). */
  keySeconds: 300,
  keyCharacters: 64,
} as const;

/** What a durable log says of a message that was given to it. */
export interface Appended {
  readonly position: Position;
  readonly timeUs: number;
  /** A message under the same key was there before: this is its place. */
  readonly isDuplicate: boolean;
  /** Nothing came after it when this was asked. */
  readonly isNewest: boolean;
}
