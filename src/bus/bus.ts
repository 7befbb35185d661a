/**
 * Owns the interface between ingest and live: topics with at-most-once, in-order delivery to whoever listens now.
 * It is fast and keeps nothing; what must not be lost has an offset and a history elsewhere. A handler must not throw.
 */

export type BusHandler = (payload: Uint8Array, topic: string) => void;

export interface Bus {
  /** Delivers to every current listener of the topic, in this process or another. The payload is not copied: freeze it. */
  publish(topic: string, payload: Uint8Array): void;
  /**
   * False only when nobody listens, so that a publisher can spare itself the encoding. Over a network it is the truth of a
   * moment ago, also for what is then published to the topic; who never asks about a topic reaches all who are ready.
   */
  hasListeners(topic: string): boolean;
  /** Starts listening; the returned function stops. Within one process it is ready at once. */
  subscribe(topic: string, handler: BusHandler, notices?: BusNotices): () => void;
  close(): Promise<void>;
}

export interface BusNotices {
  /** Called once: from here on comes what others publish. */
  ready?(): void;
  /** What others published for a while did not come, and now does again. */
  resumed?(): void;
}
