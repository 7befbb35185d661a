import { expect, test } from 'vitest';

import { frameHeaderBytes, OPCODE_BINARY, OPCODE_TEXT, writeFrameHeader } from '#protocol/websocket-frame.ts';

function header(opcode: number, length: number): string {
  const bytes = new Uint8Array(frameHeaderBytes(length));
  writeFrameHeader(bytes, opcode, length);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

test.each([
  // RFC 6455 section 5.7: "Hello" unmasked, 256 bytes of binary data, 64 KiB of binary data.
  [OPCODE_TEXT, 5, '8105'],
  [OPCODE_BINARY, 256, '827e0100'],
  [OPCODE_BINARY, 65_536, '827f0000000000010000'],
  [OPCODE_TEXT, 0, '8100'],
  [OPCODE_TEXT, 125, '817d'],
  [OPCODE_TEXT, 126, '817e007e'],
  [OPCODE_BINARY, 65_535, '827effff'],
  [OPCODE_BINARY, 2 ** 32 + 5, '827f0000000100000005'],
])('opcode %i, %i bytes: %s', (opcode, length, expected) => {
  expect(header(opcode, length)).toBe(expected);
});
