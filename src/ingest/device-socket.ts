/**
 * Owns the WebSocket of a device (RFC 6455): joins one `ws` socket to one gateway connection. Text frames are control
 * messages, binary frames data; nothing else passes. Bound: what waits to be sent. A device that does not read is cut
 * off, since everything it misses is told again when it resumes.
 */

import type { WebSocket } from 'ws';

import type { DeviceIdentity } from '#contract/readings.ts';
import { closeCodes } from '#protocol/codes.ts';
import type { Gateway } from '#ingest/gateway.ts';

/** Acknowledgements are about 100 bytes: a device this far behind has not read for minutes. */
const UNSENT_BYTES = 1024 * 1024;

/** `known`: who the handshake proved this to be; null leaves it to hello. `greeted` hears when it is certain. */
export function attachDevice(
  gateway: Gateway,
  socket: WebSocket,
  { known, greeted }: { known: DeviceIdentity | null; greeted: () => void },
): void {
  const connection = gateway.connect(
    {
      sendText(text) {
        if (socket.readyState !== socket.OPEN) return;
        if (socket.bufferedAmount > UNSENT_BYTES) socket.terminate();
        else socket.send(text);
      },
      close(reason) {
        // `terminate` follows when the peer does not answer the closing handshake (ws waits 30 s).
        socket.close(closeCodes[reason], reason);
      },
      greeted,
    },
    known,
  );
  socket.on('message', (message: Buffer, isBinary: boolean) => {
    if (isBinary) connection.binary(message);
    else connection.text(message.toString('utf8'));
  });
  // Pongs are bounded like everything else: a device that pings and never reads must not fill the queue.
  socket.on('ping', (payload: Buffer) => {
    if (socket.readyState === socket.OPEN && socket.bufferedAmount <= UNSENT_BYTES) socket.pong(payload);
  });
  socket.on('close', () => connection.gone());
  // ws reports a broken frame here and closes with 1002 or 1009 by itself.
  socket.on('error', () => connection.gone());
}
