/**
 * Owns the cheapest parser of a server's WebSocket frames (RFC 6455 section 5.2) that still checks them: it names where
 * each frame's payload lies in what the socket read and copies nothing, but for a frame that is not complete yet. The
 * frames of a benchmark's servers are unfragmented; anything else stops the scan.
 */

export const OPCODE_TEXT = 1;
export const OPCODE_BINARY = 2;
export const OPCODE_CLOSE = 8;
export const OPCODE_PING = 9;
export const OPCODE_PONG = 10;

/** A server's longest message is what it recovers at once; beyond this something else is speaking. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;

const KNOWN_OPCODES: ReadonlySet<number> = new Set([
  OPCODE_TEXT,
  OPCODE_BINARY,
  OPCODE_CLOSE,
  OPCODE_PING,
  OPCODE_PONG,
]);

/** A frame's payload is `bytes` from `from` to `to`, valid during the call only. */
export type FrameHandler = (opcode: number, bytes: Buffer, from: number, to: number) => void;

/** Takes the first `length` bytes of `chunk`. Returns null, or what is wrong; after that it must not be called. */
export type FrameScanner = (chunk: Buffer, length: number) => string | null;

export function createFrameScanner(frame: FrameHandler): FrameScanner {
  let rest: Buffer | null = null;
  return (chunk, length) => {
    let bytes = chunk;
    let end = length;
    if (rest !== null) {
      bytes = Buffer.concat([rest, chunk.subarray(0, length)]);
      end = bytes.length;
      rest = null;
    }
    let at = 0;
    while (end - at >= 2) {
      const first = bytes[at]!;
      const opcode = first & 0x0f;
      if ((first & 0xf0) !== 0x80 || !KNOWN_OPCODES.has(opcode)) return 'a fragmented or unknown frame';
      let size = bytes[at + 1]!;
      if (size > 127) return 'a masked frame from a server';
      let from = at + 2;
      if (size === 126) {
        if (end - at < 4) break;
        size = bytes.readUInt16BE(from);
        from += 2;
      } else if (size === 127) {
        if (end - at < 10) break;
        size = bytes.readUInt32BE(from) * 2 ** 32 + bytes.readUInt32BE(from + 4);
        from += 8;
      }
      if (size > MAX_FRAME_BYTES) return 'an oversized frame';
      const to = from + size;
      if (to > end) break;
      frame(opcode, bytes, from, to);
      at = to;
    }
    // The socket reads into the same memory again.
    if (at < end) rest = Buffer.from(bytes.subarray(at, end));
    return null;
  };
}
