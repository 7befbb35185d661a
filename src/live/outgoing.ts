/**
 * Owns the encoding of outgoing messages as server-to-client WebSocket frames (RFC 6455 section 5.2): final, unmasked,
 * uncompressed, the length in 7, 16 or 64 bits. The frame header stands directly before the message in one buffer, so
 * that a message is copied once and written as it is to every viewer.
 */

import { assert } from '#base/assert.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import { LIVE_HEADER_BYTES, writeLiveHeader, type LiveMessage } from '#protocol/live-codec.ts';
import type { Outgoing } from '#live/transport.ts';

const FIN = 0x80;
const OPCODE_TEXT = 1;
const OPCODE_BINARY = 2;

/** Bytes of the frame header of a message of `length` bytes. */
export function frameHeaderBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

function allocateFrame(opcode: number, length: number): { framed: Buffer; start: number } {
  assert(Number.isSafeInteger(length) && length >= 0, 'a length is a count');
  const start = frameHeaderBytes(length);
  const framed = Buffer.allocUnsafe(start + length);
  framed[0] = FIN | opcode;
  if (start === 2) framed[1] = length;
  else if (start === 4) {
    framed[1] = 126;
    framed.writeUInt16BE(length, 2);
  } else {
    framed[1] = 127;
    framed.writeUInt32BE(Math.floor(length / 4_294_967_296), 2);
    framed.writeUInt32BE(length % 4_294_967_296, 6);
  }
  return { framed, start };
}

/** A control message of the hub as JSON in a text frame. */
export function encodeControl(message: HubMessage): Outgoing {
  const json = JSON.stringify(message);
  const { framed, start } = allocateFrame(OPCODE_TEXT, Buffer.byteLength(json));
  framed.write(json, start);
  return { isText: true, framed, message: framed.subarray(start) };
}

/** The frames of one tick, as they came from the bus, behind one live header in a binary frame. */
export function encodeTick(header: Omit<LiveMessage, 'frames'>, payloads: readonly Uint8Array[]): Outgoing {
  let length = LIVE_HEADER_BYTES;
  for (const payload of payloads) length += payload.length;
  const { framed, start } = allocateFrame(OPCODE_BINARY, length);
  const message = framed.subarray(start);
  // The header writer leaves reserved bytes alone, and the buffer is not cleared memory.
  message.fill(0, 0, LIVE_HEADER_BYTES);
  writeLiveHeader(message, header);
  let at = LIVE_HEADER_BYTES;
  for (const payload of payloads) {
    message.set(payload, at);
    at += payload.length;
  }
  return { isText: false, framed, message };
}
