/**
 * Owns hostile bytes: data messages whose every field may be wrong (the encoder of the product asserts what it writes, so
 * it cannot make them), and bytes with something flipped, cut, doubled or put at an edge.
 */

import type { Chance } from '#test/fuzz/chance.ts';
import { FRAME_HEADER_BYTES, MESSAGE_HEADER_BYTES } from '#protocol/data-codec.ts';

const bigNumbers: readonly bigint[] = [
  0n,
  1n,
  -1n,
  499n,
  500n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 52n,
  2n ** 53n - 2n ** 32n - 1n,
  2n ** 53n - 2n ** 32n,
  2n ** 53n - 500n,
  2n ** 53n - 2n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  1_700_000_000_000_000n,
  4_294_967_296_000_000n,
];

export interface RawFrame {
  ref: number;
  count: number;
  flags: number;
  reserved: number;
  firstSeq: bigint;
  firstUs: bigint;
  periodNs: number;
  /** As the header states it. */
  payloadBytes: number;
  deltas: Uint8Array;
  payload: Uint8Array;
}

export interface RawMessage {
  kind: number;
  version: number;
  flags: number;
  frameCount: number;
  reserved: number;
  sentUs: bigint;
  frames: RawFrame[];
  tail: Uint8Array;
}

/** The bytes, whatever the fields say. */
export function encodeRaw(message: RawMessage): Uint8Array<ArrayBuffer> {
  let size = MESSAGE_HEADER_BYTES + message.tail.length;
  for (const frame of message.frames) size += FRAME_HEADER_BYTES + frame.deltas.length + frame.payload.length;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes[0] = message.kind;
  bytes[1] = message.version;
  bytes[2] = message.flags;
  bytes[3] = message.frameCount;
  view.setUint32(4, message.reserved, true);
  view.setBigInt64(8, message.sentUs, true);
  let at = MESSAGE_HEADER_BYTES;
  for (const frame of message.frames) {
    view.setUint16(at, frame.ref, true);
    view.setUint16(at + 2, frame.count, true);
    view.setUint16(at + 4, frame.flags, true);
    view.setUint16(at + 6, frame.reserved, true);
    view.setBigUint64(at + 8, frame.firstSeq, true);
    view.setBigInt64(at + 16, frame.firstUs, true);
    view.setUint32(at + 24, frame.periodNs, true);
    view.setUint32(at + 28, frame.payloadBytes, true);
    bytes.set(frame.deltas, at + FRAME_HEADER_BYTES);
    bytes.set(frame.payload, at + FRAME_HEADER_BYTES + frame.deltas.length);
    at += FRAME_HEADER_BYTES + frame.deltas.length + frame.payload.length;
  }
  bytes.set(message.tail, at);
  return bytes;
}

const nothing = new Uint8Array(0);

/** A message that a device might send, with `wrong` fields of it at an edge. `readingBytes` by reference. */
export function rawMessage(
  chance: Chance,
  readingBytesOf: (ref: number) => number,
  wrong: number,
): RawMessage {
  const frames = Array.from({ length: chance.is(0.03) ? 32 : 1 + chance.below(3) }, () =>
    rawFrame(chance, readingBytesOf),
  );
  const message: RawMessage = {
    kind: 1,
    version: 1,
    flags: chance.among([0, 0, 0, 1, 2]),
    frameCount: frames.length,
    reserved: 0,
    sentUs: 1_700_000_000_000_000n,
    frames,
    tail: nothing,
  };
  for (let i = 0; i < wrong; i++) breakField(message, chance);
  return message;
}

function rawFrame(chance: Chance, readingBytesOf: (ref: number) => number): RawFrame {
  const ref = chance.below(6);
  const count = chance.is(0.05) ? chance.among([1, 499, 500]) : 1 + chance.below(12);
  const isExplicit = chance.is(0.2);
  const payload = new Uint8Array(count * readingBytesOf(ref));
  const deltas = isExplicit ? new Uint8Array(count * 4) : nothing;
  // NaN payloads, infinities, and differences of up to 71 minutes in any order.
  if (chance.is(0.2)) payload.fill(chance.among([0x00, 0x7f, 0x80, 0xff]));
  if (chance.is(0.5)) deltas.fill(chance.below(256));
  return {
    ref,
    count,
    flags: isExplicit ? 1 : 0,
    reserved: 0,
    firstSeq: chance.is(0.05) ? chance.among(bigNumbers) & 0xffff_ffff_ffff_ffffn : BigInt(chance.below(200)),
    firstUs: chance.is(0.1) ? BigInt.asIntN(64, chance.among(bigNumbers)) : 1_700_000_000_000_000n,
    periodNs: chance.is(0.1) ? chance.among([0, 1, 2 ** 31, 2 ** 32 - 1]) : 5_000_000,
    payloadBytes: payload.length,
    deltas,
    payload,
  };
}

function breakField(message: RawMessage, chance: Chance): void {
  const frame = chance.among(message.frames);
  switch (chance.below(16)) {
    case 0:
      message.kind = chance.below(256);
      return;
    case 1:
      message.version = chance.below(256);
      return;
    case 2:
      message.flags = chance.below(256);
      return;
    case 3:
      message.frameCount = chance.among([0, 1, 2, 32, 33, 255]);
      return;
    case 4:
      message.reserved = chance.below(2 ** 32);
      return;
    case 5:
      message.sentUs = BigInt.asIntN(64, chance.among(bigNumbers));
      return;
    case 6:
      message.tail = new Uint8Array(1 + chance.below(40));
      return;
    case 7:
      frame.ref = chance.among([5, 6, 255, 65_535]);
      return;
    case 8:
      frame.count = chance.among([0, 1, 500, 501, 65_535]);
      return;
    case 9:
      frame.flags = chance.below(0x10000);
      return;
    case 10:
      frame.reserved = chance.below(0x10000);
      return;
    case 11:
      frame.firstSeq = chance.among(bigNumbers) & 0xffff_ffff_ffff_ffffn;
      return;
    case 12:
      frame.firstUs = BigInt.asIntN(64, chance.among(bigNumbers));
      return;
    case 13:
      frame.payloadBytes = chance.among([0, 1, frame.payloadBytes + 1, 2 ** 31, 2 ** 32 - 1]);
      return;
    case 14:
      frame.payload = frame.payload.subarray(0, chance.below(frame.payload.length + 1));
      return;
    default:
      frame.deltas = new Uint8Array(chance.below(64));
  }
}

/** The bytes with something flipped, cut, doubled, or a field set to an edge. */
export function varyBytes(bytes: Uint8Array, chance: Chance): Uint8Array {
  if (bytes.length === 0) return new Uint8Array(1 + chance.below(40));
  const at = chance.below(bytes.length);
  switch (chance.below(6)) {
    case 0:
      return bytes.slice(0, at);
    case 1: {
      const copy = new Uint8Array(bytes.length + 1);
      copy.set(bytes.subarray(0, at));
      copy[at] = chance.below(256);
      copy.set(bytes.subarray(at), at + 1);
      return copy;
    }
    case 2: {
      const copy = new Uint8Array(Math.max(bytes.length, Math.min(bytes.length * 2, 270_000)));
      copy.set(bytes);
      copy.set(bytes.subarray(0, copy.length - bytes.length), bytes.length);
      return copy;
    }
    case 3: {
      const copy = bytes.slice();
      if (copy.length >= 8)
        new DataView(copy.buffer).setBigUint64(
          chance.below(copy.length - 7),
          chance.among(bigNumbers) & 0xffff_ffff_ffff_ffffn,
          true,
        );
      return copy;
    }
    default: {
      const copy = bytes.slice();
      for (let i = chance.below(4); i >= 0; i--) copy[chance.below(copy.length)] = chance.below(256);
      return copy;
    }
  }
}

/** Shorter and plainer bytes, the shortest first. */
export function simplerBytes(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length === 0) return [];
  const out = [nothing, bytes.slice(0, bytes.length >> 1), bytes.slice(0, -1)];
  // Zeros say that a byte does not matter.
  for (let at = 0; at < bytes.length && out.length < 64; at += Math.max(1, bytes.length >> 5)) {
    const end = Math.min(bytes.length, at + Math.max(1, bytes.length >> 5));
    if (bytes.subarray(at, end).every((byte) => byte === 0)) continue;
    out.push(bytes.slice().fill(0, at, end));
  }
  return out;
}
