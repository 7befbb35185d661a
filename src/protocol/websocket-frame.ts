/**
 * Owns the header of a server-to-client WebSocket frame (RFC 6455 section 5.2): final, unmasked, uncompressed, the
 * length in 7, 16 or 64 bits. With it a message and its header stand in one buffer and cost one write.
 */

import { assert } from '#base/assert.ts';

const FIN = 0x80;
export const OPCODE_TEXT = 1;
export const OPCODE_BINARY = 2;

/** Bytes of the frame header of a message of `length` bytes. */
export function frameHeaderBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

/** Writes the header of a message of `length` bytes to the start of `bytes`. */
export function writeFrameHeader(bytes: Uint8Array, opcode: number, length: number): void {
  assert(Number.isSafeInteger(length) && length >= 0, 'a length is a count');
  bytes[0] = FIN | opcode;
  if (length < 126) bytes[1] = length;
  else if (length < 65_536) {
    bytes[1] = 126;
    bytes[2] = length >>> 8;
    bytes[3] = length & 0xff;
  } else {
    bytes[1] = 127;
    const view = new DataView(bytes.buffer, bytes.byteOffset, 10);
    view.setUint32(2, Math.floor(length / 4_294_967_296));
    view.setUint32(6, length % 4_294_967_296);
  }
}
