/**
 * Owns the interface to who is in a channel. Being there is a lease that its instance renews for all its members at once:
 * when the instance dies, they are gone after `leaseMs`, whatever happened. Changes are told at most once; who must be
 * right reads `members` again, at least every lease. Implementations: memory, Redis; both pass presence-conformance.ts.
 */

export interface Member {
  /** One connection in one channel: unique over all instances. */
  readonly id: string;
  /** Who it is: the subject of its identity. */
  readonly subject: string;
  /** What it says of itself, as JSON text of at most `presenceLimits.stateBytes`; `null` when nothing. */
  readonly state: string;
}

export interface Members {
  /** How many there are, also beyond what is listed. */
  readonly count: number;
  readonly members: readonly Member[];
}

export type PresenceChange =
  | { readonly type: 'entered'; readonly member: Member }
  | { readonly type: 'left'; readonly id: string };

export interface Presence {
  /** Puts a member in, or replaces what it says of itself. */
  enter(address: string, member: Member): Promise<void>;
  leave(address: string, id: string): Promise<void>;
  /** At most `limit` of them. Those whose lease ended are not counted. */
  members(address: string, limit: number): Promise<Members>;
  /** Told of changes by any instance, its own too. Must not throw. */
  listen(address: string, changed: (change: PresenceChange) => void): () => void;
  close(): Promise<void>;
}

export const presenceLimits = {
  /** Three renewals fit: an instance that stalls for two seconds is not thought dead. */
  leaseMs: 10_000,
  stateBytes: 1_024,
  /** Members that one answer lists; larger channels give counts. */
  listed: 500,
} as const;
