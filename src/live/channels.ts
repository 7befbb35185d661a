/**
 * Owns what can be done with channels, whatever the transport: finding a definition by name, asking its rule, checking
 * messages against its schemas, running its handlers, and reaching the broker and the presence behind it. The hub, REST,
 * SSE and long poll all come through here, so that no way in forgets a check. Only types in this file.
 */

import type { AnyChannel, PublishTo } from '#contract/channel-definition.ts';
import type { ChannelOperation, Principal } from '#contract/principal.ts';
import type { Result } from '#base/result.ts';
import type { Broker } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import type { Members, Presence } from '#bus/presence.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { HistoryPage, HistoryQuery, Position } from '#protocol/publication.ts';

/** A name that a definition stands behind. */
export interface FoundChannel {
  readonly name: string;
  readonly definition: AnyChannel;
  readonly params: Readonly<Record<string, string>>;
}

/** What somebody published. */
export interface PublishOutcome {
  /** Null for class live, and when the definition's handler published nothing. */
  readonly position: Position | null;
  readonly isDuplicate: boolean;
}

export interface Channels {
  readonly definitions: readonly AnyChannel[];
  /** Null when no definition has such a name, or a parameter does not match its schema. */
  find(name: string): FoundChannel | null;
  /** The channels that a pattern stands for now, at most `most`; fails where the definition lists none. */
  expand(
    pattern: string,
    identity: Principal,
    most: number,
  ): Promise<Result<readonly FoundChannel[], WireError>>;
  /** Grants and rule. A refusal of `subscribe` on what must not be known to exist is `not-found`. */
  allow(
    found: FoundChannel,
    identity: Principal,
    operation: ChannelOperation,
  ): Promise<Result<null, WireError>>;
  /** What a client says: permission, schema of `in`, handler, else published as it is. */
  publish(
    found: FoundChannel,
    identity: Principal,
    message: { readonly event: string; readonly data: unknown; readonly key?: string | undefined },
  ): Promise<Result<PublishOutcome, WireError>>;
  request(
    found: FoundChannel,
    identity: Principal,
    request: { readonly name: string; readonly data: unknown },
  ): Promise<Result<unknown, WireError>>;
  history(
    found: FoundChannel,
    identity: Principal,
    query: HistoryQuery,
  ): Promise<Result<HistoryPage, WireError>>;
  members(found: FoundChannel, identity: Principal): Promise<Result<Members, WireError>>;
  /** `join` and `leave` of the definition, for a connection that permission was given to. */
  join(found: FoundChannel, identity: Principal): Promise<Result<null, WireError>>;
  leave(found: FoundChannel, identity: Principal): void;
  /** The server's own publications (services.publish), past rules, not past schemas. */
  readonly publishAs: PublishTo;
  /** Where this channel is kept; null for class live, which goes over `bus` under its address. */
  brokerOf(definition: AnyChannel): Broker | null;
  readonly bus: Bus;
  readonly presence: Presence;
}
