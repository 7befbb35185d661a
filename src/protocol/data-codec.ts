/**
 * Owns the binary data message, device to server. Layout (little endian; docs/protocol.md has the table):
 *   message header, 16 bytes: u8 kind = 1, u8 version, u8 flags (1 live-only, 2 historical), u8 frame count 1..32,
 *     u32 zero, i64 sentUs (device clock at sending)
 *   each frame, 32 bytes: u16 ref, u16 count, u16 flags (1 explicit times), u16 zero, u64 firstSeq, i64 firstUs,
 *     u32 periodNs, u32 payload bytes; then, with explicit times, count x u32 microseconds after firstUs; then the
 *     payload: the readings row by row, as the stream's encoding packs them.
 * Decoding allocates nothing by a length field: frames are views into the received message.
 */

import { assert } from '#base/assert.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { readSafeInt, writeSafeInt } from '#protocol/integers.ts';
import type { ErrorCode } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import { PROTOCOL_VERSION } from '#protocol/version.ts';

export const DATA_KIND = 1;
export const MESSAGE_HEADER_BYTES = 16;
export const FRAME_HEADER_BYTES = 32;
const FLAG_LIVE_ONLY = 1;
const FLAG_HISTORICAL = 2;
const FRAME_FLAG_EXPLICIT_TIMES = 1;

/** Readings [firstSeq, firstSeq + count) of one (stream, epoch). */
export interface DataFrame {
  readonly ref: number;
  readonly firstSeq: number;
  readonly count: number;
  /** Device time of the first reading, microseconds. */
  readonly firstUs: number;
  /** Reading i was taken at firstUs + round(i * periodNs / 1000), unless `deltasUs` says otherwise. */
  readonly periodNs: number;
  /** count x u32 little endian, microseconds after firstUs; null when the readings are evenly spaced. */
  readonly deltasUs: Uint8Array | null;
  /** count x axes values, packed by the stream's encoding. */
  readonly payload: Uint8Array;
}

export interface DataMessage {
  /** Shown, never stored, never acknowledged; the device sends these readings again later. */
  readonly liveOnly: boolean;
  /** A replay of what was recorded earlier: stored, not shown as live. */
  readonly historical: boolean;
  readonly sentUs: number;
  readonly frames: readonly DataFrame[];
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field?: string;
}

/** Bytes that `frame` takes in a data message; also what it costs in credit. */
export function frameBytes(frame: Pick<DataFrame, 'count' | 'deltasUs' | 'payload'>): number {
  return FRAME_HEADER_BYTES + (frame.deltasUs === null ? 0 : frame.deltasUs.length) + frame.payload.length;
}

/** Device time of reading `index` of a frame, microseconds. */
export function readingTimeUs(
  frame: Pick<DataFrame, 'firstUs' | 'periodNs' | 'deltasUs'>,
  index: number,
): number {
  if (frame.deltasUs === null) return frame.firstUs + Math.floor((index * frame.periodNs + 500) / 1000);
  const d = frame.deltasUs;
  const at = index * 4;
  return frame.firstUs + (d[at]! | (d[at + 1]! << 8) | (d[at + 2]! << 16)) + d[at + 3]! * 16_777_216;
}

/** The message as bytes. Asserts the limits: a sender that breaks them has a bug. */
export function encodeData(message: DataMessage): Uint8Array<ArrayBuffer> {
  const { frames } = message;
  assert(frames.length >= 1 && frames.length <= limits.framesPerMessage, '1 to 32 frames a message');
  assert(!message.liveOnly || !message.historical, 'a message is live-only or historical, not both');
  assert(isTime(message.sentUs), 'a time is an integer in range');
  let size = MESSAGE_HEADER_BYTES;
  for (const frame of frames) size += frameBytes(frame);
  assert(size <= limits.messageBytes, 'a data message fits its limit');
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes[0] = DATA_KIND;
  bytes[1] = PROTOCOL_VERSION;
  bytes[2] = (message.liveOnly ? FLAG_LIVE_ONLY : 0) | (message.historical ? FLAG_HISTORICAL : 0);
  bytes[3] = frames.length;
  writeSafeInt(view, 8, message.sentUs);
  let at = MESSAGE_HEADER_BYTES;
  for (const frame of frames) at = encodeFrame(frame, bytes, view, at);
  return bytes;
}

function encodeFrame(frame: DataFrame, bytes: Uint8Array, view: DataView, start: number): number {
  assert(frame.count >= 1 && frame.count <= limits.readingsPerFrame, '1 to 500 readings a frame');
  assert(frame.deltasUs === null || frame.deltasUs.length === frame.count * 4, 'one delta a reading');
  assert(frame.payload.length > 0 && frame.payload.length % frame.count === 0, 'whole readings');
  assert(isUnsigned(frame.ref, 0xffff), 'a reference is 16 bits');
  assert(
    isUnsigned(frame.periodNs, 0xffffffff),
    'a period is 32 bits of nanoseconds; longer ones need times',
  );
  assert(isUnsigned(frame.firstSeq, lastFirstSeq(frame.count)), 'sequence numbers end at 2^53 - 2');
  assert(isTime(frame.firstUs), 'a time is an integer in range');
  view.setUint16(start, frame.ref, true);
  view.setUint16(start + 2, frame.count, true);
  view.setUint16(start + 4, frame.deltasUs === null ? 0 : FRAME_FLAG_EXPLICIT_TIMES, true);
  writeSafeInt(view, start + 8, frame.firstSeq);
  writeSafeInt(view, start + 16, frame.firstUs);
  view.setUint32(start + 24, frame.periodNs, true);
  view.setUint32(start + 28, frame.payload.length, true);
  let at = start + FRAME_HEADER_BYTES;
  if (frame.deltasUs !== null) {
    bytes.set(frame.deltasUs, at);
    at += frame.deltasUs.length;
  }
  bytes.set(frame.payload, at);
  return at + frame.payload.length;
}

/** Parses one binary message. Frames are views into `bytes`: copy what must outlive it. */
export function decodeData(bytes: Uint8Array): Result<DataMessage, WireError> {
  if (bytes.length > limits.messageBytes)
    return error('message-too-large', 'a data message is at most 256 KiB');
  if (bytes.length < MESSAGE_HEADER_BYTES) return error('malformed-message', 'shorter than a message header');
  if (bytes[0] !== DATA_KIND) return error('malformed-message', 'unknown kind of binary message', '/kind');
  if (bytes[1] !== PROTOCOL_VERSION) return error('unsupported-version', 'unknown version', '/version');
  const flags = bytes[2]!;
  const liveOnly = (flags & FLAG_LIVE_ONLY) !== 0;
  const historical = (flags & FLAG_HISTORICAL) !== 0;
  if (flags > 3 || (liveOnly && historical)) return error('invalid-field', 'contradicting flags', '/flags');
  const frameCount = bytes[3]!;
  if (frameCount < 1 || frameCount > limits.framesPerMessage)
    return error('limit-exceeded', '1 to 32 frames a message', '/frames');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(4, true) !== 0)
    return error('invalid-field', 'reserved bytes must be zero', '/reserved');
  const sentUs = readSafeInt(view, 8);
  if (sentUs === null || !isTime(sentUs)) return error('invalid-field', 'time out of range', '/sentUs');
  const frames: DataFrame[] = [];
  let at = MESSAGE_HEADER_BYTES;
  for (let i = 0; i < frameCount; i++) {
    const frame = decodeFrame(bytes, view, at);
    if (!frame.ok) return fail({ ...frame.error, field: `/frames/${i}${frame.error.field ?? ''}` });
    frames.push(frame.value);
    at += frameBytes(frame.value);
  }
  if (at !== bytes.length) return error('malformed-message', 'bytes after the last frame');
  return ok({ liveOnly, historical, sentUs, frames });
}

function decodeFrame(bytes: Uint8Array, view: DataView, start: number): Result<DataFrame, WireError> {
  if (start + FRAME_HEADER_BYTES > bytes.length) return error('malformed-message', 'truncated frame header');
  const count = view.getUint16(start + 2, true);
  if (count < 1 || count > limits.readingsPerFrame)
    return error('limit-exceeded', '1 to 500 readings a frame', '/count');
  const flags = view.getUint16(start + 4, true);
  if (flags > FRAME_FLAG_EXPLICIT_TIMES || view.getUint16(start + 6, true) !== 0)
    return error('invalid-field', 'unknown flags', '/flags');
  const firstSeq = readSafeInt(view, start + 8);
  if (firstSeq === null || firstSeq < 0 || firstSeq > lastFirstSeq(count))
    return error('invalid-field', 'sequence numbers are 0 to 2^53 - 2', '/firstSeq');
  const firstUs = readSafeInt(view, start + 16);
  if (firstUs === null || !isTime(firstUs)) return error('invalid-field', 'time out of range', '/firstUs');
  const deltaBytes = flags === 0 ? 0 : count * 4;
  const payloadBytes = view.getUint32(start + 28, true);
  const deltasAt = start + FRAME_HEADER_BYTES;
  const payloadAt = deltasAt + deltaBytes;
  if (payloadAt + payloadBytes > bytes.length)
    return error('malformed-message', 'truncated payload', '/payload');
  if (payloadBytes === 0 || payloadBytes % count !== 0)
    return error('invalid-field', 'payload is not a whole number of readings', '/payload');
  return ok({
    ref: view.getUint16(start, true),
    firstSeq,
    count,
    firstUs,
    periodNs: view.getUint32(start + 24, true),
    deltasUs: deltaBytes === 0 ? null : bytes.subarray(deltasAt, payloadAt),
    payload: bytes.subarray(payloadAt, payloadAt + payloadBytes),
  });
}

/**
 * The largest first number of a frame: the number after its last is stated in acknowledgements, so it must be one too.
 * Subtracted, not added: beyond 2^53 a sum would be rounded back into the range.
 */
function lastFirstSeq(count: number): number {
  return limits.seqExclusive - 1 - count;
}

function isTime(value: number): boolean {
  return Number.isSafeInteger(value) && Math.abs(value) < limits.timeUsExclusive;
}

function isUnsigned(value: number, maximum: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= maximum;
}

function error(code: ErrorCode, message: string, field?: string): { ok: false; error: WireError } {
  return fail(field === undefined ? { code, message } : { code, message, field });
}
