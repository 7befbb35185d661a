/**
 * Owns the bytes of a file store's segments: records [u32 length][u32 crc32][u8 kind][body], little endian, where length
 * and checksum are those of kind and body. A file is read to its last good record; what follows is told apart as torn
 * (the process died while writing) or damaged (bytes that were good have changed). Pure.
 */

import { crc32 } from 'node:zlib';

import { assert } from '#base/assert.ts';
import { readSafeInt, writeSafeInt } from '#protocol/integers.ts';
import { limits } from '#protocol/limits.ts';
import type { StoredFrame } from '#sdk/device-store.ts';

export const recordKinds = {
  /** The segment itself: format and number. First record of every segment. */
  segment: 1,
  /** What a log is: id, epoch, definition. */
  log: 2,
  /** How far a log is: numbers given, settled ranges, losses, phase. The latest one counts. */
  progress: 3,
  frame: 4,
  /** A log is gone, with its frames. */
  forget: 5,
  /** A segment is about to be deleted. */
  drop: 6,
  /** Everything before it in the segment restates the store: older segments hold nothing else but frames. */
  checkpoint: 7,
  /** The readings of a log from a number on are now those of another log. */
  moved: 8,
} as const;

const LAST_KIND = 8;
const PREFIX_BYTES = 8;
const FRAME_FIXED_BYTES = 28;
const FLAG_EXPLICIT_TIMES = 1;
/** The longest record: a full frame of 32 float axes with times is 66 KiB, a log with all its ranges 30 KiB. */
export const MAX_RECORD_BYTES = 128 * 1024;

export interface RecordView {
  readonly kind: number;
  /** Where the record begins in its file. */
  readonly offset: number;
  readonly end: number;
  /** Without the kind. A view. */
  readonly body: Uint8Array;
}

export interface Scan {
  readonly records: readonly RecordView[];
  /** Where the last good record ends. */
  readonly goodBytes: number;
  /** `torn`: the rest is the beginning of a record. `damaged`: bytes that were written whole are wrong. */
  readonly state: 'whole' | 'torn' | 'damaged';
}

/** A record whose body is JSON. */
export function encodeJson(kind: number, body: unknown): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(body));
  const bytes = new Uint8Array(PREFIX_BYTES + 1 + text.length);
  bytes.set(text, PREFIX_BYTES + 1);
  return sealed(bytes, kind);
}

/** The JSON of a record's body; null when it is none. */
export function decodeJson(record: RecordView): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(record.body)) as unknown;
  } catch {
    return null;
  }
}

/** A frame record: u32 log, u16 count, u16 flags, u64 firstSeq, i64 firstUs, u32 periodNs, times, payload. */
export function encodeFrameRecord(logId: number, frame: StoredFrame): Uint8Array {
  const deltaBytes = frame.deltasUs?.length ?? 0;
  const start = PREFIX_BYTES + 1;
  const bytes = new Uint8Array(start + FRAME_FIXED_BYTES + deltaBytes + frame.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(start, logId, true);
  view.setUint16(start + 4, frame.count, true);
  view.setUint16(start + 6, frame.deltasUs === null ? 0 : FLAG_EXPLICIT_TIMES, true);
  writeSafeInt(view, start + 8, frame.firstSeq);
  writeSafeInt(view, start + 16, frame.firstUs);
  view.setUint32(start + 24, frame.periodNs, true);
  if (frame.deltasUs !== null) bytes.set(frame.deltasUs, start + FRAME_FIXED_BYTES);
  bytes.set(frame.payload, start + FRAME_FIXED_BYTES + deltaBytes);
  return sealed(bytes, recordKinds.frame);
}

function sealed(bytes: Uint8Array, kind: number): Uint8Array {
  assert(bytes.length <= MAX_RECORD_BYTES, 'a record fits its limit');
  bytes[PREFIX_BYTES] = kind;
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - PREFIX_BYTES, true);
  view.setUint32(4, crc32(bytes.subarray(PREFIX_BYTES)), true);
  return bytes;
}

/** The frame in a record's body, as views; null when the body is none. */
export function decodeFrameBody(body: Uint8Array): { logId: number; frame: StoredFrame } | null {
  if (body.length <= FRAME_FIXED_BYTES) return null;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const count = view.getUint16(4, true);
  const flags = view.getUint16(6, true);
  const firstSeq = readSafeInt(view, 8);
  const firstUs = readSafeInt(view, 16);
  const payloadAt = FRAME_FIXED_BYTES + (flags === 0 ? 0 : count * 4);
  const payloadBytes = body.length - payloadAt;
  if (count < 1 || count > limits.readingsPerFrame || flags > FLAG_EXPLICIT_TIMES) return null;
  if (payloadBytes < 1 || payloadBytes % count !== 0) return null;
  if (firstSeq === null || firstSeq < 0 || firstUs === null) return null;
  return {
    logId: view.getUint32(0, true),
    frame: {
      firstSeq,
      count,
      firstUs,
      periodNs: view.getUint32(24, true),
      deltasUs: flags === 0 ? null : body.subarray(FRAME_FIXED_BYTES, payloadAt),
      payload: body.subarray(payloadAt),
    },
  };
}

/** The record at `offset`; null when there is no good one. */
export function recordAt(bytes: Uint8Array, offset: number): RecordView | null {
  if (offset + PREFIX_BYTES >= bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(offset, true);
  return recordOf(bytes, offset, length);
}

function recordOf(bytes: Uint8Array, offset: number, length: number): RecordView | null {
  const start = offset + PREFIX_BYTES;
  const end = start + length;
  if (length < 1 || end > bytes.length || end - offset > MAX_RECORD_BYTES) return null;
  const kind = bytes[start]!;
  if (kind < 1 || kind > LAST_KIND) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (crc32(bytes.subarray(start, end)) !== view.getUint32(offset + 4, true)) return null;
  const body = bytes.subarray(start + 1, end);
  if (kind === recordKinds.frame && decodeFrameBody(body) === null) return null;
  return { kind, offset, end, body };
}

/** Every good record of a segment's bytes, also those behind damage. */
export function scanRecords(bytes: Uint8Array): Scan {
  const records: RecordView[] = [];
  let goodBytes = 0;
  let isDamaged = false;
  for (let at = 0; at < bytes.length;) {
    const record = recordAt(bytes, at) ?? laterRecord(bytes, at);
    if (record === null) {
      if (!isTorn(bytes, at)) isDamaged = true;
      return { records, goodBytes, state: isDamaged ? 'damaged' : 'torn' };
    }
    if (record.offset !== at || record.end !== declaredEnd(bytes, at)) isDamaged = true;
    records.push(record);
    at = record.end;
    goodBytes = at;
  }
  return { records, goodBytes, state: isDamaged ? 'damaged' : 'whole' };
}

/**
 * The next good record behind a bad one, or the bad one itself when only its length is wrong and it is the last. A good
 * record is found by trial at every byte: 32 bits of checksum and the shape of a frame make a chance hit one in 10^6
 * damaged files.
 */
function laterRecord(bytes: Uint8Array, badAt: number): RecordView | null {
  for (let at = badAt + 1; at < bytes.length; at++) {
    const record = recordAt(bytes, at);
    if (record !== null) return record;
  }
  return recordOf(bytes, badAt, bytes.length - badAt - PREFIX_BYTES);
}

function declaredEnd(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return offset + PREFIX_BYTES + view.getUint32(offset, true);
}

/** A write that was cut off leaves less than the record's length, or less than the length itself. */
function isTorn(bytes: Uint8Array, offset: number): boolean {
  if (bytes.length - offset < PREFIX_BYTES) return true;
  const end = declaredEnd(bytes, offset);
  return end > bytes.length && end - offset <= MAX_RECORD_BYTES;
}
