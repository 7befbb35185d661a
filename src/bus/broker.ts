/**
 * Owns the interface to what channels of class `event` and `state` are kept in. A broker gives offsets where the history
 * is, in one step with the delivery, so that two instances never give the same; who listens is told at most once, and a
 * missing offset tells that something is missing, which the history fills. Implementations: memory, Redis, PostgreSQL
 * (durable-broker.ts). All pass broker-conformance.ts. Methods throw AppError `store-unavailable` (temporary) while what
 * they need cannot be reached.
 */

import type {
  HistoryBounds,
  HistoryPage,
  HistoryQuery,
  Position,
  Publication,
} from '#protocol/publication.ts';

export interface PublishRequest {
  /** Whose channel it is and which: `addressOf` (contract/channel-definition.ts). */
  readonly address: string;
  readonly payload: Uint8Array;
  readonly history: HistoryBounds;
  /** A second publication to the address under the same key is not made; it gets the first one's position. Null: always new. */
  readonly key: string | null;
}

export interface Published {
  readonly position: Position;
  readonly isDuplicate: boolean;
}

export interface BrokerListener {
  /** In the order of offsets, at most once each; some may be missing. Must not throw. */
  publication(epoch: string, publication: Publication): void;
  /** The way from the publishers was interrupted and is there again: what was published meanwhile did not come. */
  resumed(): void;
}

export interface Listening {
  /** From here on publications come. Rejects only when the listening was stopped before. */
  readonly ready: Promise<void>;
  stop(): void;
}

export interface Broker {
  publish(request: PublishRequest): Promise<Published>;
  /**
   * An address nobody published to has an empty history with an epoch of its own. A limit beyond
   * `publicationLimits.pageMessages` counts as that; 0 asks for the position alone.
   */
  history(address: string, query: HistoryQuery): Promise<HistoryPage>;
  listen(address: string, listener: BrokerListener): Listening;
  close(): Promise<void>;
}
