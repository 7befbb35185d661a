/**
 * Owns the binary live message, server to viewer: the readings of one channel that arrived in one tick of fan-out.
 * Encoded once and shared by all viewers of the channel. Layout (little endian):
 *   header, 32 bytes: u8 kind = 2, u8 version, u16 zero, u32 channel number, u64 offset (counts this channel's live
 *     messages on the publishing instance), i64 publishedUs (server clock), u64 zero
 *   each frame, 80 bytes: 16 stream id, 8 epoch (big endian, as written), u16 count, u16 flags (1 explicit times,
 *     2 live-only), u32 payload bytes, u64 firstSeq, i64 firstUs, u32 periodNs, u32 zero, i64 sentUs (device clock),
 *     i64 arrivalUs (server clock), i64 offsetUs (server minus device clock); then times and payload as in
 *     data-codec.ts. A jump of `offset` means ticks skipped for a slow viewer: newest wins, it is not a gap.
 */

import { fail, ok, type Result } from '#base/result.ts';
import type { DataFrame, WireError } from '#protocol/data-codec.ts';
import { readSafeInt, writeSafeInt } from '#protocol/integers.ts';
import { limits } from '#protocol/limits.ts';
import { PROTOCOL_VERSION } from '#protocol/version.ts';

export const LIVE_KIND = 2;
export const LIVE_HEADER_BYTES = 32;
const LIVE_FRAME_BYTES = 80;
const FLAG_EXPLICIT_TIMES = 1;
const FLAG_LIVE_ONLY = 2;

export interface LiveFrame extends Omit<DataFrame, 'ref'> {
  /** UUID in its usual text form. */
  readonly streamId: string;
  /** 16 hexadecimal digits. */
  readonly epoch: string;
  readonly liveOnly: boolean;
  /** Device clock when the message was sent. */
  readonly sentUs: number;
  /** Server clock when the message arrived. */
  readonly arrivalUs: number;
  /** Add to a device time to get server time. 0 until the device has measured it. */
  readonly offsetUs: number;
}

export interface LiveMessage {
  readonly channel: number;
  readonly offset: number;
  readonly publishedUs: number;
  readonly frames: readonly LiveFrame[];
}

/** Bytes that `frame` takes in a live message. */
export function liveFrameBytes(frame: LiveFrame): number {
  return LIVE_FRAME_BYTES + (frame.deltasUs === null ? 0 : frame.deltasUs.length) + frame.payload.length;
}

/** Only the frames, without the header: what travels on the bus, where channel numbers mean nothing. */
export function encodeLiveFrames(frames: readonly LiveFrame[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const frame of frames) size += liveFrameBytes(frame);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const frame of frames) {
    writeHex(bytes, at, frame.streamId.replaceAll('-', ''));
    writeHex(bytes, at + 16, frame.epoch);
    view.setUint16(at + 24, frame.count, true);
    view.setUint16(
      at + 26,
      (frame.deltasUs === null ? 0 : FLAG_EXPLICIT_TIMES) | (frame.liveOnly ? FLAG_LIVE_ONLY : 0),
      true,
    );
    view.setUint32(at + 28, frame.payload.length, true);
    writeSafeInt(view, at + 32, frame.firstSeq);
    writeSafeInt(view, at + 40, frame.firstUs);
    view.setUint32(at + 48, frame.periodNs, true);
    writeSafeInt(view, at + 56, frame.sentUs);
    writeSafeInt(view, at + 64, frame.arrivalUs);
    writeSafeInt(view, at + 72, frame.offsetUs);
    at += LIVE_FRAME_BYTES;
    if (frame.deltasUs !== null) {
      bytes.set(frame.deltasUs, at);
      at += frame.deltasUs.length;
    }
    bytes.set(frame.payload, at);
    at += frame.payload.length;
  }
  return bytes;
}

/** Writes a live message's header into the first LIVE_HEADER_BYTES of `bytes`. */
export function writeLiveHeader(bytes: Uint8Array, header: Omit<LiveMessage, 'frames'>): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, LIVE_HEADER_BYTES);
  bytes[0] = LIVE_KIND;
  bytes[1] = PROTOCOL_VERSION;
  view.setUint32(4, header.channel, true);
  writeSafeInt(view, 8, header.offset);
  writeSafeInt(view, 16, header.publishedUs);
}

/** Parses one binary message of the live endpoint. Frames are views into `bytes`. */
export function decodeLive(bytes: Uint8Array): Result<LiveMessage, WireError> {
  if (bytes.length < LIVE_HEADER_BYTES) return malformed('shorter than a header');
  if (bytes[0] !== LIVE_KIND) return malformed('unknown kind of binary message');
  if (bytes[1] !== PROTOCOL_VERSION) return fail({ code: 'unsupported-version', message: 'unknown version' });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offset = readSafeInt(view, 8);
  const publishedUs = readSafeInt(view, 16);
  if (offset === null || publishedUs === null) return malformed('number out of range');
  const frames: LiveFrame[] = [];
  for (let at = LIVE_HEADER_BYTES; at < bytes.length;) {
    const frame = decodeLiveFrame(bytes, view, at);
    if (!frame.ok) return frame;
    frames.push(frame.value);
    at += liveFrameBytes(frame.value);
  }
  return ok({ channel: view.getUint32(4, true), offset, publishedUs, frames });
}

function decodeLiveFrame(bytes: Uint8Array, view: DataView, at: number): Result<LiveFrame, WireError> {
  if (at + LIVE_FRAME_BYTES > bytes.length) return malformed('truncated frame header');
  const count = view.getUint16(at + 24, true);
  const flags = view.getUint16(at + 26, true);
  const payloadBytes = view.getUint32(at + 28, true);
  const deltasAt = at + LIVE_FRAME_BYTES;
  const payloadAt = deltasAt + ((flags & FLAG_EXPLICIT_TIMES) !== 0 ? count * 4 : 0);
  if (count < 1 || count > limits.readingsPerFrame || payloadAt + payloadBytes > bytes.length)
    return malformed('truncated or oversized frame');
  const firstSeq = readSafeInt(view, at + 32);
  const firstUs = readSafeInt(view, at + 40);
  const sentUs = readSafeInt(view, at + 56);
  const arrivalUs = readSafeInt(view, at + 64);
  const offsetUs = readSafeInt(view, at + 72);
  if (firstSeq === null || firstUs === null || sentUs === null || arrivalUs === null || offsetUs === null)
    return malformed('number out of range');
  const id = readHex(bytes, at, 16);
  return ok({
    streamId: `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`,
    epoch: readHex(bytes, at + 16, 8),
    count,
    firstSeq,
    firstUs,
    periodNs: view.getUint32(at + 48, true),
    deltasUs: payloadAt === deltasAt ? null : bytes.subarray(deltasAt, payloadAt),
    payload: bytes.subarray(payloadAt, payloadAt + payloadBytes),
    liveOnly: (flags & FLAG_LIVE_ONLY) !== 0,
    sentUs,
    arrivalUs,
    offsetUs,
  });
}

const hexDigits: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

function readHex(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) text += hexDigits[bytes[at + i]!];
  return text;
}

function writeHex(bytes: Uint8Array, at: number, hex: string): void {
  for (let i = 0; i * 2 < hex.length; i++) bytes[at + i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16);
}

function malformed(message: string): { ok: false; error: WireError } {
  return fail({ code: 'malformed-message', message });
}
