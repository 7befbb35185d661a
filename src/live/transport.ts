/**
 * Owns the seam between the hub and whatever carries its messages: WebSocket, SSE and long poll. A transport only writes
 * and closes; what it hears it tells the ViewerPort that the hub gave it. No state here.
 */

import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { Position } from '#protocol/publication.ts';

/** One message on its way out, encoded once and shared by all who receive it. Nobody may change the bytes. */
export interface Outgoing {
  readonly isText: boolean;
  /** The message itself: JSON as UTF-8, or a binary live message. A view into `framed`. */
  readonly message: Uint8Array;
  /** The message as one unmasked WebSocket frame (RFC 6455 section 5.2). */
  readonly framed: Uint8Array;
  /** `readings`: a binary live message. */
  readonly type: HubMessage['type'] | 'readings';
  /** Null: about the connection, not about a channel. */
  readonly channel: string | null;
  /** Where who took this message is in the channel: of `message`, `subscribed` and `reset` of class event and state. */
  readonly position: Position | null;
}

export interface Transport {
  /**
   * Sends the items in order with one write. `sent` is called once when all their bytes have left this process, and
   * never when the connection ends before; by it the hub counts what is unsent.
   */
  write(items: readonly Outgoing[], sent: () => void): void;
  /** Says goodbye with the code and ends the connection after a short grace. Later writes are ignored. */
  close(reason: CloseReason): void;
  /** Asks the other side for a sign of life outside the protocol's messages (`heard`), where there is such a thing. */
  ping?(): void;
  /** Called once for each subscription to class event or state, when all that was missed has been given to `write`. */
  caughtUp?(channel: string): void;
}

/** What the hub must know of a connection beside who it is. */
export interface ConnectOptions {
  /** Where it comes from, for counting failed keys. */
  readonly address?: string;
  /** It cannot be heard (SSE, long poll): silence does not close it. */
  readonly isOneWay?: boolean;
  /** It only looks in (long poll): it is no member of what it subscribes to. */
  readonly isVisitor?: boolean;
  /** It carries text only: channels with binary messages are refused. */
  readonly isTextOnly?: boolean;
  /** Called once when a connection without identity has said who it is. */
  readonly greeted?: () => void;
}

/** What a transport tells the hub. Nothing here throws. */
export interface ViewerPort {
  receiveText(text: string): void;
  /** The same for a message that code made and is sure of: how SSE and long poll subscribe. Counts as a request. */
  receive(message: ViewerMessage): void;
  /** A binary message: viewers have nothing to send in that form. */
  receiveBinary(): void;
  /** A sign of life outside the protocol's messages, such as a WebSocket ping. Counts as a request. */
  heard(): void;
  /** The connection is gone. */
  ended(): void;
}
