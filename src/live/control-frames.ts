/** Owns the control frames that a server sends (RFC 6455 section 5.5): at most 125 bytes, in one piece, unmasked. Pure. */

import { assert } from '#base/assert.ts';
import { writeFrameHeader } from '#protocol/websocket-frame.ts';

const OPCODE_CLOSE = 8;
const OPCODE_PING = 9;
const OPCODE_PONG = 10;
const HEADER_BYTES = 2;
const MAX_PAYLOAD_BYTES = 125;

/** `code` null: a close frame that gives none. `reason` is short ASCII: one of our own names. */
export function encodeClose(code: number | null, reason: string): Buffer {
  const payloadBytes = code === null ? 0 : 2 + reason.length;
  const frame = controlFrame(OPCODE_CLOSE, payloadBytes);
  if (code !== null) {
    frame.writeUInt16BE(code, HEADER_BYTES);
    frame.write(reason, HEADER_BYTES + 2, 'latin1');
  }
  return frame;
}

/** Empty, and the same for everybody. */
export const pingFrame: Uint8Array = controlFrame(OPCODE_PING, 0);

export function encodePong(payload: Uint8Array): Buffer {
  const frame = controlFrame(OPCODE_PONG, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

function controlFrame(opcode: number, payloadBytes: number): Buffer {
  assert(payloadBytes <= MAX_PAYLOAD_BYTES, 'a control frame is short');
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  writeFrameHeader(frame, opcode, payloadBytes);
  return frame;
}
