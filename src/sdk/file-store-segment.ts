/**
 * Owns one segment file of a file store and the index of its frames. The index is columns of 18 bytes a frame, at most
 * doubled by growth: 64 MiB of ten-reading frames of nine float axes are 160,000 frames and 3 to 6 MB. Invariant: what
 * lies below `bytes` is whole records, except in a segment known to be damaged.
 */

import { join } from 'node:path';

import { assert } from '#base/assert.ts';
import type { RangeSet } from '#base/ranges.ts';
import type { StoredFrame } from '#sdk/device-store.ts';
import { decodeFrameBody, recordAt } from '#sdk/file-store-record.ts';
import type { Disk, DiskFile } from '#sdk/node-disk.ts';

interface Columns {
  readonly offset: Uint32Array;
  readonly logId: Uint32Array;
  readonly firstSeq: Float64Array;
  /** 0: the frame is gone. */
  readonly count: Uint16Array;
}

export interface Segment {
  readonly number: number;
  readonly path: string;
  /** Open while the segment is written, and a while after it was read. */
  file: DiskFile | null;
  /** Where the next record goes. */
  bytes: number;
  /** Bytes that restate the store at its beginning. */
  checkpointBytes: number;
  /** Damage was found here once, and its consequences are recorded. */
  isDamaged: boolean;
  /** Written since the last sync. */
  isUnsynced: boolean;
  frames: number;
  columns: Columns;
  /** The lowest and highest number of each log here, to skip what cannot match. */
  readonly extents: Map<number, { first: number; end: number }>;
  /** The piece of the file that was read last. */
  block: { readonly offset: number; readonly bytes: Uint8Array } | null;
}

const NAME = /^segment-(\d{8})\.kymo$/;
/** A read brings this much, so that a replay reads few large pieces. */
const BLOCK_BYTES = 64 * 1024;

export function segmentNumbers(disk: Disk, directory: string): number[] {
  return disk
    .list(directory)
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match === null ? [] : [Number(match[1])];
    })
    .toSorted((a, b) => a - b);
}

export function newSegment(directory: string, number: number): Segment {
  return {
    number,
    path: join(directory, `segment-${String(number).padStart(8, '0')}.kymo`),
    file: null,
    bytes: 0,
    checkpointBytes: 0,
    isDamaged: false,
    isUnsynced: false,
    frames: 0,
    columns: columnsOf(64),
    extents: new Map(),
    block: null,
  };
}

function columnsOf(length: number): Columns {
  return {
    offset: new Uint32Array(length),
    logId: new Uint32Array(length),
    firstSeq: new Float64Array(length),
    count: new Uint16Array(length),
  };
}

/** Notes the frame that begins at `offset`. Frames of a log come in ascending order. */
export function indexFrame(
  segment: Segment,
  offset: number,
  entry: { logId: number; frame: StoredFrame },
): void {
  if (segment.frames === segment.columns.count.length) {
    const larger = columnsOf(segment.frames * 2);
    larger.offset.set(segment.columns.offset);
    larger.logId.set(segment.columns.logId);
    larger.firstSeq.set(segment.columns.firstSeq);
    larger.count.set(segment.columns.count);
    segment.columns = larger;
  }
  const { logId, frame } = entry;
  const i = segment.frames++;
  segment.columns.offset[i] = offset;
  segment.columns.logId[i] = logId;
  segment.columns.firstSeq[i] = frame.firstSeq;
  segment.columns.count[i] = frame.count;
  const end = frame.firstSeq + frame.count;
  const extent = segment.extents.get(logId);
  if (extent === undefined) segment.extents.set(logId, { first: frame.firstSeq, end });
  else extent.end = Math.max(extent.end, end);
}

/** Calls `visit` for each frame of a log, or of all logs; a frame for which it returns true is forgotten. */
export function forgetFrames(
  segment: Segment,
  isForgotten: (logId: number, firstSeq: number, count: number) => boolean,
): void {
  const { columns } = segment;
  segment.extents.clear();
  for (let i = 0; i < segment.frames; i++) {
    const count = columns.count[i]!;
    const logId = columns.logId[i]!;
    const first = columns.firstSeq[i]!;
    if (count === 0) continue;
    if (isForgotten(logId, first, count)) {
      columns.count[i] = 0;
      continue;
    }
    const extent = segment.extents.get(logId);
    if (extent === undefined) segment.extents.set(logId, { first, end: first + count });
    else extent.end = Math.max(extent.end, first + count);
  }
}

/** The index of the first frame of the log, from index `from` on, that holds a number at or after `seq`; or -1. */
export function findFrame(segment: Segment, logId: number, seq: number, from = 0): number {
  const extent = segment.extents.get(logId);
  if (extent === undefined || extent.end <= seq) return -1;
  const { columns } = segment;
  for (let i = from; i < segment.frames; i++)
    if (
      columns.logId[i] === logId &&
      columns.count[i] !== 0 &&
      columns.firstSeq[i]! + columns.count[i]! > seq
    )
      return i;
  return -1;
}

/** The ranges of a log's frames here, ascending, one a frame where they do not touch. */
export function* rangesIn(segment: Segment, logId: number): Generator<{ from: number; to: number }> {
  const { columns } = segment;
  if (!segment.extents.has(logId)) return;
  let open: { from: number; to: number } | null = null;
  for (let i = 0; i < segment.frames; i++) {
    if (columns.logId[i] !== logId || columns.count[i] === 0) continue;
    const from = columns.firstSeq[i]!;
    const to = from + columns.count[i]!;
    if (open !== null && open.to === from) open.to = to;
    else {
      if (open !== null) yield open;
      open = { from, to };
    }
  }
  if (open !== null) yield open;
}

/** True when every frame here is settled or forgotten. */
export function isSegmentSettled(segment: Segment, settledOf: (logId: number) => RangeSet | null): boolean {
  const { columns } = segment;
  for (let i = 0; i < segment.frames; i++) {
    const count = columns.count[i]!;
    if (count === 0) continue;
    const settled = settledOf(columns.logId[i]!);
    if (settled !== null && !coversFrame(settled, columns.firstSeq[i]!, count)) return false;
  }
  return true;
}

function coversFrame(settled: RangeSet, first: number, count: number): boolean {
  for (const range of settled) if (range.from <= first && first + count <= range.to) return true;
  return false;
}

/** Reads a frame back and checks it; null when its bytes are no longer what was written. */
export function readFrame(disk: Disk, segment: Segment, index: number): StoredFrame | null {
  const offset = segment.columns.offset[index]!;
  const record =
    recordIn(disk, segment, offset, BLOCK_BYTES) ?? recordIn(disk, segment, offset, 2 * BLOCK_BYTES);
  const entry = record === null ? null : decodeFrameBody(record);
  if (entry === null || entry.logId !== segment.columns.logId[index]) return null;
  const { firstSeq, count } = entry.frame;
  const isSame = firstSeq === segment.columns.firstSeq[index] && count === segment.columns.count[index];
  return isSame ? entry.frame : null;
}

function recordIn(disk: Disk, segment: Segment, offset: number, blockBytes: number): Uint8Array | null {
  const { block } = segment;
  if (block !== null && offset >= block.offset) {
    const record = recordAt(block.bytes, offset - block.offset);
    if (record !== null) return record.body;
  }
  segment.file ??= disk.open(segment.path);
  const bytes = segment.file.read(offset, Math.min(blockBytes, segment.bytes - offset));
  segment.block = { offset, bytes };
  return recordAt(bytes, 0)?.body ?? null;
}

/** Appends bytes of whole records, or throws and leaves the segment as it was. */
export function appendBytes(disk: Disk, segment: Segment, bytes: Uint8Array): void {
  segment.file ??= disk.open(segment.path);
  try {
    segment.file.write(bytes, segment.bytes);
  } catch (thrown) {
    // Part of it may be there. Should this fail too, the rest is overwritten by the next record, or found torn.
    truncateQuietly(segment);
    throw thrown;
  }
  segment.bytes += bytes.length;
  segment.isUnsynced = true;
  assert(segment.bytes < 2 ** 32, 'offsets fit 32 bits');
}

function truncateQuietly(segment: Segment): void {
  try {
    segment.file?.truncate(segment.bytes);
  } catch {
    // The next record goes to the same place.
  }
}

export function closeSegment(segment: Segment): void {
  segment.file?.close();
  segment.file = null;
  segment.block = null;
}
