/**
 * Owns the interface between ingest and live: topics with at-most-once, in-order delivery to whoever listens now.
 * It is fast and keeps nothing; what must not be lost has an offset and a history elsewhere. A handler must not throw.
 */

export type BusHandler = (payload: Uint8Array, topic: string) => void;

export interface Bus {
  /** Delivers to every current listener of the topic, in this process or another. The payload is not copied: freeze it. */
  publish(topic: string, payload: Uint8Array): void;
  /** False only when it is certain that nobody listens, so that a publisher can spare itself the encoding. */
  hasListeners(topic: string): boolean;
  /** Starts listening; the returned function stops. */
  subscribe(topic: string, handler: BusHandler): () => void;
  close(): Promise<void>;
}
