/**
 * Owns the seam between the hub and whatever carries its messages: WebSocket now, SSE and long poll beside it. A
 * transport only writes and closes; what it hears it tells the ViewerPort that the hub gave it. No state here.
 */

import type { CloseReason } from '#protocol/codes.ts';

/** One message on its way out, encoded once and shared by all who receive it. Nobody may change the bytes. */
export interface Outgoing {
  readonly isText: boolean;
  /** The message itself: JSON as UTF-8, or a binary live message. A view into `framed`. */
  readonly message: Uint8Array;
  /** The message as one unmasked WebSocket frame (RFC 6455 section 5.2). */
  readonly framed: Uint8Array;
}

export interface Transport {
  /**
   * Sends the items in order with one write. `sent` is called once when all their bytes have left this process, and
   * never when the connection ends before; by it the hub counts what is unsent.
   */
  write(items: readonly Outgoing[], sent: () => void): void;
  /** Says goodbye with the code and ends the connection after a short grace. Later writes are ignored. */
  close(reason: CloseReason): void;
}

/** What a transport tells the hub. Nothing here throws. */
export interface ViewerPort {
  receiveText(text: string): void;
  /** A binary message: viewers have nothing to send in that form. */
  receiveBinary(): void;
  /** A sign of life outside the protocol's messages, such as a WebSocket ping. Counts as a request. */
  heard(): void;
  /** The connection is gone. */
  ended(): void;
}
