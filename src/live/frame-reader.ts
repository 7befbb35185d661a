/**
 * Owns reading a client's WebSocket frames (RFC 6455 section 5) from the bytes of its connection: masks, fragments, control
 * frames between them, UTF-8, close codes. It keeps at most one unfinished frame and one unfinished message, together below
 * `maxMessageBytes` and a header; a connection that says nothing costs one small object. Handlers are shared by all connections.
 */

import { isUtf8 } from 'node:buffer';

import { assert } from '#base/assert.ts';

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const FINAL = 0x80;
const MAX_CONTROL_BYTES = 125;
/** First room for a fragmented message. */
const MIN_ROOM_BYTES = 256;

/** Why a connection is ended with a frame that may not be there (RFC 6455 section 7.4.1). */
export const frameFaults = { protocol: 1002, notUtf8: 1007, tooLarge: 1009 } as const;
export type FrameFault = keyof typeof frameFaults;

/** What a connection's owner does with what it says. `payload` may be kept. */
export interface FrameHandlers<T> {
  text(owner: T, text: string): void;
  binary(owner: T, payload: Buffer): void;
  ping(owner: T, payload: Buffer): void;
  pong(owner: T): void;
  /** The code that was given; null: none. Nothing is read after it. */
  close(owner: T, code: number | null): void;
  /** The peer broke the framing. Nothing is read after it. */
  broken(owner: T, fault: FrameFault): void;
}

/** One connection's state. Plain data that shared functions work on: ten thousand of them wait and say nothing. */
export interface FrameReader<T> {
  readonly owner: T;
  readonly handlers: FrameHandlers<T>;
  readonly maxMessageBytes: number;
  /** Bytes of a frame that is not complete yet. */
  rest: Buffer | null;
  /** Room for a fragmented message, of which `partialBytes` have come: fragments of no length cost no copy of the others. */
  partial: Buffer | null;
  partialBytes: number;
  isPartialText: boolean;
  isOver: boolean;
}

export function createFrameReader<T>(
  owner: T,
  handlers: FrameHandlers<T>,
  maxMessageBytes: number,
): FrameReader<T> {
  assert(maxMessageBytes > MAX_CONTROL_BYTES && maxMessageBytes < 2 ** 31, 'control frames fit');
  return {
    owner,
    handlers,
    maxMessageBytes,
    rest: null,
    partial: null,
    partialBytes: 0,
    isPartialText: false,
    isOver: false,
  };
}

/** Takes what the socket read, in any pieces; unmasks in place. */
export function readFrames<T>(reader: FrameReader<T>, chunk: Buffer): void {
  if (reader.isOver) return;
  const bytes: Buffer = reader.rest === null ? chunk : Buffer.concat([reader.rest, chunk]);
  reader.rest = null;
  let at = 0;
  while (bytes.length - at >= 2) {
    const first = bytes[at]!;
    const second = bytes[at + 1]!;
    const opcode = first & 0x0f;
    if (!isAllowed(first, second, reader.partial !== null)) return breakOff(reader, 'protocol');
    let length = second & 0x7f;
    const headerBytes = length < 126 ? 6 : length === 126 ? 8 : 14;
    if (bytes.length - at < headerBytes) break;
    if (length === 126) length = bytes.readUInt16BE(at + 2);
    else if (length === 127) length = bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
    // Control frames stand between fragments and do not count to the message.
    const before = opcode < CLOSE && reader.partial !== null ? reader.partialBytes : 0;
    if (before + length > reader.maxMessageBytes) return breakOff(reader, 'tooLarge');
    const from = at + headerBytes;
    const to = from + length;
    if (to > bytes.length) break;
    at = to;
    unmask(bytes, from, to);
    const payload = bytes.subarray(from, to);
    const isFinal = first >= FINAL;
    if (opcode >= CLOSE || (isFinal && opcode !== CONTINUATION)) take(reader, opcode, payload);
    else takeFragment(reader, opcode, { payload, isFinal });
    if (reader.isOver) return;
  }
  if (at < bytes.length) reader.rest = at === 0 ? bytes : bytes.subarray(at);
}

function take<T>(reader: FrameReader<T>, opcode: number, payload: Buffer): void {
  const { owner, handlers } = reader;
  if (opcode === TEXT) {
    if (isUtf8(payload)) handlers.text(owner, payload.toString());
    else breakOff(reader, 'notUtf8');
  } else if (opcode === BINARY) handlers.binary(owner, payload);
  else if (opcode === PING) handlers.ping(owner, payload);
  else if (opcode === PONG) handlers.pong(owner);
  else {
    const code = closeCodeOf(payload);
    if (typeof code === 'string') return breakOff(reader, code);
    finish(reader);
    handlers.close(owner, code);
  }
}

function takeFragment<T>(
  reader: FrameReader<T>,
  opcode: number,
  { payload, isFinal }: { readonly payload: Buffer; readonly isFinal: boolean },
): void {
  if (opcode !== CONTINUATION) {
    reader.isPartialText = opcode === TEXT;
    reader.partialBytes = 0;
  }
  const before = reader.partialBytes;
  const bytes = before + payload.length;
  let room = reader.partial;
  if (room === null || bytes > room.length) {
    // Twice as much each time: thousands of fragments of one byte are copied a few times, not thousands.
    const grown = Buffer.allocUnsafeSlow(
      Math.min(reader.maxMessageBytes, Math.max(2 * bytes, MIN_ROOM_BYTES)),
    );
    room?.copy(grown, 0, 0, before);
    room = grown;
  }
  payload.copy(room, before);
  reader.partialBytes = bytes;
  reader.partial = isFinal ? null : room;
  if (isFinal) take(reader, reader.isPartialText ? TEXT : BINARY, room.subarray(0, bytes));
}

function breakOff<T>(reader: FrameReader<T>, fault: FrameFault): void {
  finish(reader);
  reader.handlers.broken(reader.owner, fault);
}

function finish<T>(reader: FrameReader<T>): void {
  reader.isOver = true;
  reader.rest = reader.partial = null;
}

/** The first two bytes of a frame: no extension was negotiated, clients mask, control frames are whole and short. */
function isAllowed(first: number, second: number, isWithinMessage: boolean): boolean {
  const opcode = first & 0x0f;
  if ((first & 0x70) !== 0 || second < 0x80) return false;
  if (opcode >= CLOSE) return opcode <= PONG && first >= FINAL && (second & 0x7f) <= MAX_CONTROL_BYTES;
  return opcode === CONTINUATION ? isWithinMessage : opcode <= BINARY && !isWithinMessage;
}

/** The key is the four bytes before `from`. */
function unmask(bytes: Buffer, from: number, to: number): void {
  const a = bytes[from - 4]!;
  const b = bytes[from - 3]!;
  const c = bytes[from - 2]!;
  const d = bytes[from - 1]!;
  let i = from;
  for (; i + 3 < to; i += 4) {
    bytes[i]! ^= a;
    bytes[i + 1]! ^= b;
    bytes[i + 2]! ^= c;
    bytes[i + 3]! ^= d;
  }
  if (i < to) bytes[i]! ^= a;
  if (i + 1 < to) bytes[i + 1]! ^= b;
  if (i + 2 < to) bytes[i + 2]! ^= c;
}

/** The code of a close frame: null when it has none, or what is wrong with it (RFC 6455 sections 5.5.1 and 7.4). */
function closeCodeOf(payload: Buffer): number | null | FrameFault {
  if (payload.length === 0) return null;
  if (payload.length === 1) return 'protocol';
  const code = payload.readUInt16BE(0);
  const isReserved = code === 1004 || code === 1005 || code === 1006;
  if (!((code >= 1000 && code <= 1014 && !isReserved) || (code >= 3000 && code <= 4999))) return 'protocol';
  return isUtf8(payload.subarray(2)) ? code : 'notUtf8';
}
