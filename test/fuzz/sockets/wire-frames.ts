/**
 * Owns WebSocket frames as a hostile client makes them (RFC 6455 section 5.2), every bit of the header to be set at will,
 * and the reading of what the server answers.
 */

export interface ClientFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  readonly fin?: boolean;
  /** The three reserved bits. */
  readonly rsv?: number;
  readonly isMasked?: boolean;
  /** Stated instead of the true length. */
  readonly length?: bigint;
}

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const MASK = Uint8Array.of(0x12, 0x34, 0x56, 0x78);

export function encodeFrame({
  opcode,
  payload,
  fin = true,
  rsv = 0,
  isMasked = true,
  length,
}: ClientFrame): Buffer {
  const stated = length ?? BigInt(payload.length);
  const sizeBytes = stated < 126n ? 0 : stated < 65_536n ? 2 : 8;
  const frame = Buffer.alloc(2 + sizeBytes + (isMasked ? 4 : 0) + payload.length);
  frame[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  frame[1] = (isMasked ? 0x80 : 0) | (sizeBytes === 0 ? Number(stated) : sizeBytes === 2 ? 126 : 127);
  if (sizeBytes === 2) frame.writeUInt16BE(Number(stated), 2);
  if (sizeBytes === 8) frame.writeBigUInt64BE(BigInt.asUintN(64, stated), 2);
  let at = 2 + sizeBytes;
  if (isMasked) {
    frame.set(MASK, at);
    at += 4;
  }
  for (let i = 0; i < payload.length; i++) frame[at + i] = payload[i]! ^ (isMasked ? MASK[i & 3]! : 0);
  return frame;
}

/** A frame of the server; its reserved bits and masking are checked by who asks. */
export interface ServerFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly isMasked: boolean;
  readonly payload: Buffer;
}

/** The whole frames at the beginning of `bytes`, and what is left of it. */
export function decodeFrames(bytes: Buffer): { frames: ServerFrame[]; rest: Buffer } {
  const frames: ServerFrame[] = [];
  let rest = bytes;
  for (;;) {
    if (rest.length < 2) return { frames, rest };
    const short = rest[1]! & 0x7f;
    const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (rest.length < headBytes) return { frames, rest };
    const length =
      short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short;
    if (rest.length < headBytes + length) return { frames, rest };
    frames.push({
      opcode: rest[0]! & 0x0f,
      fin: (rest[0]! & 0x80) !== 0,
      rsv: (rest[0]! >> 4) & 7,
      isMasked: (rest[1]! & 0x80) !== 0,
      payload: rest.subarray(headBytes, headBytes + length),
    });
    rest = rest.subarray(headBytes + length);
  }
}
