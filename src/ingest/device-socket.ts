/**
 * Owns the WebSocket of a device (RFC 6455): joins one `ws` socket to one gateway connection. Text frames are control
 * messages, binary frames data; nothing else passes. Bound: what waits to be sent. A device that does not read is cut
 * off, since everything it misses is told again when it resumes.
 */

import type { Duplex } from 'node:stream';

import type { ServerOptions, WebSocket } from 'ws';

import { assert } from '#base/assert.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { closeCodes } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import { DEVICE_SUBPROTOCOL } from '#protocol/version.ts';
import { frameHeaderBytes, OPCODE_TEXT, writeFrameHeader } from '#protocol/websocket-frame.ts';
import type { Gateway } from '#ingest/gateway.ts';

/** RFC 6455 section 7.4.1. */
const NORMAL_CLOSURE = 1000;

/** What the WebSocketServer of the device endpoint must be made with. */
export const deviceServerOptions = {
  noServer: true,
  clientTracking: false,
  // Readings are noise to a compressor.
  perMessageDeflate: false,
  // Pongs are bounded in `attachDevice`.
  autoPong: false,
  maxPayload: limits.messageBytes,
  /** How long a closing handshake may take before the socket is destroyed. */
  closeTimeout: 2_000,
  handleProtocols: (offered: Set<string>) => (offered.has(DEVICE_SUBPROTOCOL) ? DEVICE_SUBPROTOCOL : false),
} satisfies ServerOptions & { closeTimeout: number };

/** Acknowledgements are about 100 bytes: a device this far behind has not read for minutes. */
const UNSENT_BYTES = 1024 * 1024;

/** `known`: who the handshake proved this to be; null leaves it to hello. `greeted` hears when it is certain. */
export function attachDevice(
  gateway: Gateway,
  socket: WebSocket,
  { address, known, greeted }: { address: string; known: DeviceIdentity | null; greeted: () => void },
): void {
  const { _socket: raw } = socket as unknown as { readonly _socket: Duplex | null };
  assert(raw !== null, 'the socket is open');
  const connection = gateway.connect(
    {
      address,
      sendText(text) {
        if (socket.readyState !== socket.OPEN) return;
        if (socket.bufferedAmount > UNSENT_BYTES) socket.terminate();
        else raw.write(frameOf(text));
      },
      close(reason) {
        // A peer that does not answer the closing handshake is cut off by ws (deviceServerOptions.closeTimeout).
        if (reason === null) socket.close(NORMAL_CLOSURE);
        else socket.close(closeCodes[reason], reason);
      },
      greeted,
    },
    known,
  );
  socket.on('message', (message: Buffer, isBinary: boolean) => {
    // Whoever was closed may go on sending until its close frame comes.
    if (socket.readyState !== socket.OPEN) return;
    if (isBinary) connection.binary(ownBytes(message));
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

/**
 * The text as one whole frame, written past ws, which would write header and text apart: acknowledgements are most of
 * what a server sends. Framing stays whole, since ws too hands each of its frames to the socket in one turn.
 */
function frameOf(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const start = frameHeaderBytes(length);
  const frame = Buffer.allocUnsafe(start + length);
  writeFrameHeader(frame, OPCODE_TEXT, length);
  frame.write(text, start);
  return frame;
}

/** A message that is much smaller than what it is a view of: its frames may wait in memory for the store. */
const WASTE_FACTOR = 4;

/**
 * The message in memory of about its own size. ws hands out views of what the socket read, up to 64 KiB, so that
 * a small frame that waits would keep everything that came with it, unpaid by any credit.
 */
export function ownBytes(message: Buffer): Uint8Array {
  // Not Buffer.from: small buffers are views of a shared pool again.
  return message.buffer.byteLength > WASTE_FACTOR * message.length ? new Uint8Array(message) : message;
}
