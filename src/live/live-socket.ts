/**
 * Owns the WebSocket transport of the hub: `ws` reads and does the closing handshake, what the hub sends is written as
 * it is, already framed, to the socket underneath.
 *
 * Why that cannot corrupt the framing: without permessage-deflate and without fragmented messages, ws hands every frame
 * of its own (close, pong) to the socket whole, header and body in one turn, keeping none back; and every write here
 * is whole frames too. A stream keeps the order of its writes, so frames follow each other and never interleave.
 * Nothing is written after ws has sent or received a close frame, since the state is no longer OPEN then.
 */

import type { Duplex } from 'node:stream';

import type { ServerOptions, WebSocket } from 'ws';

import { assert } from '#base/assert.ts';
import type { Clock } from '#base/clock.ts';
import { closeCodes, type CloseReason } from '#protocol/codes.ts';
import { limits as protocolLimits } from '#protocol/limits.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Outgoing, Transport, ViewerPort } from '#live/transport.ts';

/** What the WebSocketServer of the live endpoint must be made with. */
export const liveServerOptions = {
  noServer: true,
  clientTracking: false,
  // Readings are noise to a compressor, and pre-framed writes need its absence.
  perMessageDeflate: false,
  // Pongs are bounded here: a peer that pings and never reads would grow the socket's queue without end.
  autoPong: false,
  maxPayload: protocolLimits.controlBytes,
  handleProtocols: (offered: Set<string>) => (offered.has(LIVE_SUBPROTOCOL) ? LIVE_SUBPROTOCOL : false),
} satisfies ServerOptions;

/** Connects an open socket to the hub. From here on nobody else may send on it. */
export function connectLiveSocket(
  socket: WebSocket,
  connect: (transport: Transport) => ViewerPort,
  { clock, limits }: { readonly clock: Pick<Clock, 'after'>; readonly limits: HubLimits },
): void {
  const { _socket: raw } = socket as unknown as { readonly _socket: Duplex | null };
  assert(socket.extensions === '', 'the live endpoint runs without compression');
  assert(raw !== null, 'the socket is open');
  let cancelTermination = (): void => {};

  const transport: Transport = {
    write(items: readonly Outgoing[], sent: () => void): void {
      if (socket.readyState !== socket.OPEN) return;
      const only = items[0];
      const bytes =
        items.length === 1 && only !== undefined
          ? only.framed
          : Buffer.concat(items.map((item) => item.framed));
      raw.write(bytes, (failure?: Error | null) => {
        if (failure === undefined || failure === null) sent();
      });
    },
    ping(): void {
      if (socket.readyState === socket.OPEN) socket.ping();
    },
    close(reason: CloseReason): void {
      socket.close(closeCodes[reason], reason);
      cancelTermination = clock.after(limits.closeGraceMs, () => socket.terminate());
    },
  };
  const port = connect(transport);
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (isBinary) port.receiveBinary();
    else port.receiveText(data.toString());
  });
  socket.on('ping', (data: Buffer) => {
    port.heard();
    // A pong may be left out when a later ping is answered (RFC 6455 section 5.5.3).
    if (socket.readyState === socket.OPEN && raw.writableLength <= limits.highWaterBytes) socket.pong(data);
  });
  socket.on('pong', () => port.heard());
  // A broken frame or a broken connection: ws answers with the fitting close code itself, and `close` follows.
  socket.on('error', () => {});
  socket.on('close', () => {
    cancelTermination();
    port.ended();
  });
}
