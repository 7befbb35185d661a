/**
 * Owns reading a file store back: segments in the order of their numbers, records in the order of their bytes, the
 * latest statement about a log counting. It tells whether something that was once written is missing or wrong; what is
 * still readable is always kept.
 */

import { join } from 'node:path';

import { AppError } from '#base/errors.ts';
import { rangesOf, subtract, type RangeSet } from '#base/ranges.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { addLoss, cutLog, newLog, type LogState } from '#sdk/device-log.ts';
import type { LogPhase, Loss } from '#sdk/device-store.ts';
import {
  decodeFrameBody,
  decodeJson,
  encodeJson,
  recordKinds,
  scanRecords,
  type RecordView,
  type Scan,
} from '#sdk/file-store-record.ts';
import {
  closeSegment,
  forgetFrames,
  indexFrame,
  newSegment,
  rangesIn,
  segmentNumbers,
  type Segment,
} from '#sdk/file-store-segment.ts';
import type { Disk } from '#sdk/node-disk.ts';

export const FORMAT = 1;

export interface FileLog extends LogState {
  /** Its own record is in a segment. */
  isWritten: boolean;
  /** Its progress differs from the latest record of it. */
  isDirty: boolean;
  /** Numbers that were given to readings which the disk refused; declared once that can be written. */
  pendingLoss: { from: number; to: number } | null;
  /** Readings of another log are being copied into it; without the record that ends this it does not count. */
  isFilling: boolean;
  /** Numbers from here on moved to another log. */
  cutAt: number | null;
  /** Where the last read ended, to go on from there. */
  hint: { segment: number; index: number; seq: number } | null;
}

/** `store.json`: what the store is, replaced as a whole. */
export interface StoreHeader {
  readonly format: number;
  readonly epoch: string;
  readonly previousStoreLost: boolean;
  readonly incarnation: string | null;
  /** The boot of the machine on which it was written last. */
  readonly boot: string;
  /** Everything was synced and nothing written since. */
  readonly isClean: boolean;
  /** At least this segment was made. */
  readonly newestSegment: number;
}

export interface Loaded {
  /** Null when there is none, or none that can be read. */
  readonly header: StoreHeader | null;
  readonly logs: Map<number, FileLog>;
  readonly segments: Segment[];
  readonly nextLogId: number;
  /** Something that was written is gone or wrong, and that was not known before. */
  readonly isDamaged: boolean;
}

export function newFileLog(
  identity: Pick<FileLog, 'id' | 'epoch' | 'definition' | 'previousStoreLost'>,
): FileLog {
  return {
    ...newLog(identity),
    isWritten: false,
    isDirty: false,
    pendingLoss: null,
    isFilling: false,
    cutAt: null,
    hint: null,
  };
}

interface LoadState {
  readonly logs: Map<number, FileLog>;
  readonly segments: Segment[];
  readonly scans: Map<number, Scan>;
  readonly dropped: Set<number>;
  expected: Set<number>;
  knownDamaged: Set<number>;
  nextLogId: number;
}

/** Throws AppError `unsupported-version` when a newer program wrote the store. */
export function loadStore(disk: Disk, directory: string): Loaded {
  const headerBytes = disk.readFile(join(directory, 'store.json'));
  const header = parseHeader(headerBytes);
  const state: LoadState = {
    logs: new Map(),
    segments: [],
    scans: new Map(),
    dropped: new Set(),
    expected: new Set(),
    knownDamaged: new Set(),
    nextLogId: 1,
  };
  for (const number of segmentNumbers(disk, directory))
    loadSegment(state, disk, newSegment(directory, number));
  removeDropped(state, disk);
  const isTailGood = mendTail(state, disk);
  const isDamaged =
    !isTailGood ||
    (header === null && (headerBytes !== null || state.segments.length > 0)) ||
    (header !== null && (state.segments.at(-1)?.number ?? 0) < header.newestSegment) ||
    [...state.expected].some((number) => !state.segments.some((s) => s.number === number)) ||
    state.segments.some((s) => s.isDamaged && !state.knownDamaged.has(s.number));
  settleIndex(state);
  return { header, logs: state.logs, segments: state.segments, nextLogId: state.nextLogId, isDamaged };
}

function parseHeader(bytes: Uint8Array | null): StoreHeader | null {
  if (bytes === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const header = value as Partial<StoreHeader>;
  if (header.format !== undefined && header.format !== FORMAT)
    throw new AppError('unsupported-version', `the device store has format ${String(header.format)}`);
  const isWhole =
    typeof header.epoch === 'string' &&
    /^[0-9a-f]{16}$/.test(header.epoch) &&
    typeof header.previousStoreLost === 'boolean' &&
    (header.incarnation === null || typeof header.incarnation === 'string') &&
    typeof header.boot === 'string' &&
    typeof header.isClean === 'boolean' &&
    Number.isSafeInteger(header.newestSegment);
  return isWhole ? (header as StoreHeader) : null;
}

function loadSegment(state: LoadState, disk: Disk, segment: Segment): void {
  const scan = scanRecords(disk.readFile(segment.path) ?? new Uint8Array());
  state.scans.set(segment.number, scan);
  state.segments.push(segment);
  segment.bytes = scan.goodBytes;
  segment.isDamaged = scan.state !== 'whole' || !beginsWell(scan, segment);
  // A file under another's number is a copy that someone made: its readings are elsewhere already.
  if (scan.records[0]?.kind === recordKinds.segment && !beginsWell(scan, segment)) return;
  const restated = new Set<number>();
  for (const record of scan.records) {
    applyRecord(state, segment, record);
    if (record.kind === recordKinds.log) restated.add((decodeJson(record) as LogBody).id);
    // A segment begins with all logs, so one that is missing was forgotten; the record that said so may be gone with its
    // own segment. Where something cannot be read nothing follows from what is missing.
    if (record.kind === recordKinds.checkpoint && scan.state !== 'damaged')
      for (const id of state.logs.keys()) if (!restated.has(id)) state.logs.delete(id);
  }
}

function beginsWell(scan: Scan, segment: Segment): boolean {
  const first = scan.records[0];
  if (first?.kind !== recordKinds.segment) return false;
  return (decodeJson(first) as { number?: unknown } | null)?.number === segment.number;
}

function applyRecord(state: LoadState, segment: Segment, record: RecordView): void {
  if (record.kind === recordKinds.frame) {
    const entry = decodeFrameBody(record.body);
    if (entry !== null) indexFrame(segment, record.offset, entry);
    return;
  }
  // The checksum holds, so the body is what this program wrote.
  const body = decodeJson(record);
  switch (record.kind) {
    case recordKinds.log:
      return applyLog(state, body as LogBody);
    case recordKinds.progress:
      return applyProgress(state, body as ProgressBody);
    case recordKinds.forget:
      return void state.logs.delete((body as { id: number }).id);
    case recordKinds.drop:
      return void state.dropped.add((body as { number: number }).number);
    case recordKinds.checkpoint: {
      const { segments, damaged, nextLogId } = body as CheckpointBody;
      state.expected = new Set(segments);
      state.knownDamaged = new Set(damaged);
      state.nextLogId = Math.max(state.nextLogId, nextLogId);
      segment.checkpointBytes = record.end;
      return;
    }
    case recordKinds.moved:
      return applyMoved(state, body as MovedBody);
  }
}

type LogBody = Pick<FileLog, 'id' | 'epoch' | 'previousStoreLost' | 'isFilling'> & {
  definition: StreamDefinition;
};
interface ProgressBody {
  id: number;
  phase: LogPhase;
  nextSeq: number;
  settled: [number, number][];
  losses: [number, number, Loss['reason']][];
  cutAt: number | null;
}
interface CheckpointBody {
  segments: number[];
  damaged: number[];
  nextLogId: number;
}
interface MovedBody {
  from: number;
  to: number;
  fromSeq: number;
}

export function logRecord(log: FileLog): Uint8Array {
  const { id, epoch, definition, previousStoreLost, isFilling } = log;
  const body: LogBody = { id, epoch, definition, previousStoreLost, isFilling };
  return encodeJson(recordKinds.log, body);
}

/** More settled ranges than a server keeps cost a resend when they are left out. */
const MAX_SETTLED_RANGES = 256;

export function progressRecord(log: FileLog): Uint8Array {
  const body: ProgressBody = {
    id: log.id,
    phase: log.phase,
    nextSeq: log.nextSeq,
    settled: log.settled.slice(0, MAX_SETTLED_RANGES).map((r) => [r.from, r.to]),
    losses: log.losses.map((l) => [l.from, l.to, l.reason]),
    cutAt: log.cutAt,
  };
  return encodeJson(recordKinds.progress, body);
}

export function checkpointRecord(body: CheckpointBody): Uint8Array {
  return encodeJson(recordKinds.checkpoint, body);
}

export function movedRecord(body: MovedBody): Uint8Array {
  return encodeJson(recordKinds.moved, body);
}

function applyLog(state: LoadState, body: LogBody): void {
  const { id, epoch, definition, previousStoreLost, isFilling } = body;
  state.nextLogId = Math.max(state.nextLogId, id + 1);
  const known = state.logs.get(id);
  if (known !== undefined) return void (known.isFilling &&= isFilling);
  const log = newFileLog({ id, epoch, definition, previousStoreLost });
  state.logs.set(id, { ...log, isWritten: true, isFilling });
}

function applyProgress(state: LoadState, body: ProgressBody): void {
  const log = state.logs.get(body.id);
  if (log === undefined) return;
  log.phase = body.phase;
  log.nextSeq = body.nextSeq;
  log.settled = body.settled.map(([from, to]) => ({ from, to }));
  log.losses = body.losses.map(([from, to, reason]) => ({ from, to, reason }));
  log.cutAt = body.cutAt;
}

function applyMoved(state: LoadState, { from, to, fromSeq }: MovedBody): void {
  const target = state.logs.get(to);
  const source = state.logs.get(from);
  if (target !== undefined) target.isFilling = false;
  if (source === undefined) return;
  cutLog(source, fromSeq);
  source.cutAt = fromSeq;
}

/** A segment whose deletion was recorded may still be there. */
function removeDropped(state: LoadState, disk: Disk): void {
  for (const number of state.dropped) {
    state.expected.delete(number);
    const at = state.segments.findIndex((segment) => segment.number === number);
    if (at >= 0) disk.remove(state.segments.splice(at, 1)[0]!.path);
  }
}

/** Cuts off a record that was being written when the process died. False when the tail was not merely torn. */
function mendTail(state: LoadState, disk: Disk): boolean {
  const last = state.segments.at(-1);
  const scan = last === undefined ? undefined : state.scans.get(last.number);
  if (last === undefined || scan === undefined || scan.state === 'damaged') return true;
  if (last.checkpointBytes === 0) {
    // It was being begun; everything that it would restate is still in the segments before it.
    if (last.frames > 0) return false;
    state.segments.pop();
    disk.remove(last.path);
    return true;
  }
  if (scan.state === 'torn') {
    last.file = disk.open(last.path);
    last.file.truncate(last.bytes);
    closeSegment(last);
    last.isDamaged = !beginsWell(scan, last);
  }
  return true;
}

/** Forgets frames of logs that are gone, were cut or never came to be; then every log knows its next number. */
function settleIndex(state: LoadState): void {
  for (const log of state.logs.values()) if (log.isFilling) state.logs.delete(log.id);
  for (const segment of state.segments) {
    forgetFrames(segment, (logId, firstSeq) => {
      const log = state.logs.get(logId);
      return log === undefined || (log.cutAt !== null && firstSeq >= log.cutAt);
    });
    for (const [logId, extent] of segment.extents) {
      const log = state.logs.get(logId)!;
      log.nextSeq = log.cutAt ?? Math.max(log.nextSeq, extent.end);
    }
  }
}

/** The numbers of a log whose frames are held. */
export function heldRanges(segments: readonly Segment[], logId: number): RangeSet {
  return rangesOf(segments.flatMap((segment) => [...rangesIn(segment, logId)]));
}

/** After damage: numbers that were given, are not settled, and whose readings are not here, are losses. */
export function declareDamage(loaded: Loaded): void {
  for (const log of loaded.logs.values()) {
    if (log.nextSeq === 0) continue;
    const held = heldRanges(loaded.segments, log.id);
    const open = subtract(subtract([{ from: 0, to: log.nextSeq }], log.settled), held);
    for (const range of subtract(open, log.losses))
      addLoss(log, { ...range, reason: 'device-store-damaged' });
  }
}
