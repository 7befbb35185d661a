/**
 * Owns the client's side of WebSocket framing (RFC 6455 section 5) as far as a load generator needs it: writing masked
 * frames whose payload was built already masked, and parsing a server's unfragmented, unmasked frames. A general client
 * costs several times more per frame, and would compete with the server under test for the processor.
 */

import { assert } from '#base/assert.ts';

/**
 * The masking key of every frame, and the same four bytes as a little-endian word. Fixed, so that payloads are built
 * masked in one pass; not zero, because servers skip unmasking for a zero key and would look cheaper than they are.
 */
const MASK_KEY = Buffer.from([0x5a, 0xc3, 0x1e, 0x97]);
export const MASK_WORD = MASK_KEY.readUInt32LE(0);

/** Longest header: two bytes, eight of length, four of key. */
export const MAX_HEADER_BYTES = 14;
/** A server's longest message is a live message of a busy channel; beyond this something else is speaking. */
const MAX_SERVER_MESSAGE_BYTES = 4 * 1024 * 1024;

const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
export type Opcode = keyof typeof opcodes;

/** Writes the header of a final, masked frame so that it ends at `payloadAt`; returns where the frame starts. */
export function writeHeaderBefore(
  bytes: Buffer,
  payloadAt: number,
  frame: { readonly opcode: Opcode; readonly payloadBytes: number },
): number {
  const { payloadBytes } = frame;
  const lengthBytes = payloadBytes < 126 ? 0 : payloadBytes < 65_536 ? 2 : 8;
  const start = payloadAt - 6 - lengthBytes;
  assert(start >= 0, 'room for the header before the payload');
  bytes[start] = 0x80 | opcodes[frame.opcode];
  if (lengthBytes === 0) bytes[start + 1] = 0x80 | payloadBytes;
  else if (lengthBytes === 2) {
    bytes[start + 1] = 0x80 | 126;
    bytes.writeUInt16BE(payloadBytes, start + 2);
  } else {
    bytes[start + 1] = 0x80 | 127;
    bytes.writeUInt32BE(0, start + 2);
    bytes.writeUInt32BE(payloadBytes, start + 6);
  }
  MASK_KEY.copy(bytes, payloadAt - 4);
  return start;
}

/** A whole masked frame; for control and text messages, which are few. */
export function maskedFrame(opcode: Opcode, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(MAX_HEADER_BYTES + payload.length);
  for (let i = 0; i < payload.length; i++) bytes[MAX_HEADER_BYTES + i] = payload[i]! ^ MASK_KEY[i & 3]!;
  return bytes.subarray(writeHeaderBefore(bytes, MAX_HEADER_BYTES, { opcode, payloadBytes: payload.length }));
}

export interface ServerFrameHandlers {
  /** Called for text and binary messages and for ping and close; `payload` is only valid during the call. */
  message(opcode: Opcode, payload: Buffer): void;
  /** The bytes are no server frames; nothing more is parsed. */
  broken(why: string): void;
}

/** Returns the function that takes what the socket read. */
export function createServerFrameParser(handlers: ServerFrameHandlers): (chunk: Buffer) => void {
  let rest: Buffer | null = null;
  let isBroken = false;
  const fail = (why: string): void => {
    isBroken = true;
    rest = null;
    handlers.broken(why);
  };
  return (chunk) => {
    if (isBroken) return;
    const bytes = rest === null ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 2) {
      const opcode = opcodeNames.get(bytes[at]! & 0x0f);
      if ((bytes[at]! & 0xf0) !== 0x80 || opcode === undefined) return fail('fragmented or unknown frame');
      const short = bytes[at + 1]!;
      if (short > 127) return fail('a server frame may not be masked');
      const headerBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length - at < headerBytes) break;
      const length =
        short < 126
          ? short
          : short === 126
            ? bytes.readUInt16BE(at + 2)
            : bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
      if (length > MAX_SERVER_MESSAGE_BYTES) return fail('oversized frame');
      const end = at + headerBytes + length;
      if (end > bytes.length) break;
      handlers.message(opcode, bytes.subarray(at + headerBytes, end));
      at = end;
    }
    rest = at === bytes.length ? null : bytes.subarray(at);
  };
}

const opcodeNames: ReadonlyMap<number, Opcode> = new Map(
  Object.entries(opcodes).map(([name, code]) => [code, name as Opcode]),
);
