/** Owns what the HTTP faces of channels are given: the engine, and the way into the hub that streams and polls share. */

import type { Principal } from '#contract/principal.ts';
import type { Channels } from '#live/channels.ts';
import type { ConnectOptions, Transport, ViewerPort } from '#live/transport.ts';

export interface LiveOptions {
  readonly channels: Channels;
  /** `Hub.connect`. */
  readonly connect: (transport: Transport, principal: Principal, connection: ConnectOptions) => ViewerPort;
  /** Whether what once identified somebody was taken back. */
  readonly isRevoked: (principal: Principal) => boolean;
  /** The longest silence on an event stream; default 15 s. */
  readonly keepAliveMs?: number;
}
