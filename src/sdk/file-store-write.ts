/**
 * Owns what the file store writes: records into the newest segment, new segments, and the deletion of old ones. Invariant:
 * nothing is deleted before the losses that it brings are written, unless the disk takes nothing else. A refused write
 * changes nothing, is reported once, and is tried again by the next sync.
 */

import { join } from 'node:path';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { subtract } from '#base/ranges.ts';
import { addLoss } from '#sdk/device-log.ts';
import type { Loss, StoreEvent } from '#sdk/device-store.ts';
import {
  checkpointRecord,
  FORMAT,
  logRecord,
  progressRecord,
  type FileLog,
  type StoreHeader,
} from '#sdk/file-store-load.ts';
import { encodeJson, recordKinds } from '#sdk/file-store-record.ts';
import {
  appendBytes,
  closeSegment,
  isSegmentSettled,
  newSegment,
  rangesIn,
  type Segment,
} from '#sdk/file-store-segment.ts';
import type { Disk } from '#sdk/node-disk.ts';

export interface FileState {
  readonly directory: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly boot: string;
  readonly maxBytes: number;
  readonly segmentBytes: number;
  readonly syncMs: number;
  readonly logs: Map<number, FileLog>;
  /** By number; the last one is written. */
  readonly segments: Segment[];
  readonly emit: (event: StoreEvent) => void;
  readonly unlock: () => void;
  header: StoreHeader;
  nextLogId: number;
  bytes: number;
  droppedReadings: number;
  isDiskFull: boolean;
  /** True while numbers were given that the disk did not let be written: then there is no `store.json`. */
  isOwing: boolean;
  /** True while readings are copied to a new epoch: nothing may be dropped on the way. */
  isMoving: boolean;
  cancelSync: (() => void) | null;
  isClosed: boolean;
}

interface Debt {
  readonly records: Uint8Array[];
  readonly losses: readonly Loss[];
  readonly loss: Loss | null;
}

/** What must be written before the log's next frame; null when nothing is. */
export function owed(log: FileLog): Debt | null {
  const { pendingLoss } = log;
  if (log.isWritten && pendingLoss === null) return null;
  const loss: Loss | null = pendingLoss === null ? null : { ...pendingLoss, reason: 'device-store-full' };
  const after = { ...log };
  if (loss !== null) addLoss(after, loss);
  const records = [...(log.isWritten ? [] : [logRecord(log)]), progressRecord(after)];
  return { records, losses: after.losses, loss };
}

export function settleDebt(state: FileState, log: FileLog, { losses, loss }: Debt): void {
  log.isWritten = true;
  log.losses = losses;
  log.pendingLoss = null;
  if (loss !== null) state.emit({ type: 'loss', log, loss });
  if (state.isOwing) restoreHeader(state);
}

/**
 * Numbers were given to readings that the disk refused. A process that dies before it can write that down leaves a store
 * without `store.json` behind, the one thing that a full disk takes: the next one begins a new epoch, and says that the
 * end of this one is unknown.
 */
export function oweNumbers(state: FileState, log: FileLog, from: number): void {
  log.pendingLoss = { from: log.pendingLoss?.from ?? from, to: log.nextSeq };
  if (state.isOwing) return;
  state.isOwing = true;
  try {
    state.disk.remove(join(state.directory, 'store.json'));
  } catch (thrown) {
    state.emit({ type: 'store-full-disk', message: messageOf(thrown) });
  }
}

function restoreHeader(state: FileState): void {
  for (const { pendingLoss } of state.logs.values()) if (pendingLoss !== null) return;
  state.isOwing = false;
  // Refused once more, it is tried again with the next sync.
  if (!writeHeader(state, {})) state.isOwing = true;
}

export function declareLost(state: FileState, log: FileLog, loss: Loss): void {
  // What the disk refused is owed as a loss for that reason.
  for (const range of subtract([loss], log.pendingLoss === null ? [] : [log.pendingLoss]))
    addLoss(log, { ...range, reason: loss.reason });
  writeProgress(state, log);
}

export function setPhase(state: FileState, log: FileLog, phase: 'ended' | 'finished'): void {
  log.phase = phase;
  writeProgress(state, log);
}

/** Writes down how far a log is; when the disk refuses, the next sync tries again. */
export function writeProgress(state: FileState, log: FileLog): void {
  const debt = owed(log);
  const isWrittenNow = write(state, debt?.records ?? [progressRecord(log)]) !== null;
  if (isWrittenNow && debt !== null) settleDebt(state, log, debt);
  log.isDirty = !isWrittenNow;
  if (!isWrittenNow) armSync(state);
}

export function markDirty(state: FileState, log: FileLog): void {
  log.isDirty = true;
  armSync(state);
}

/** Appends records to the newest segment. Returns where they end, or null when the disk refused them. */
export function write(state: FileState, parts: readonly Uint8Array[]): number | null {
  const segment = state.segments.at(-1)!;
  const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  try {
    appendBytes(state.disk, segment, bytes);
  } catch (thrown) {
    if (!state.isDiskFull) state.emit({ type: 'store-full-disk', message: messageOf(thrown) });
    state.isDiskFull = true;
    armSync(state);
    return null;
  }
  if (state.isDiskFull) state.emit({ type: 'store-disk-ok' });
  state.isDiskFull = false;
  state.bytes += bytes.length;
  armSync(state);
  return segment.bytes;
}

export function beginSegmentWhenFull(state: FileState): void {
  const { bytes, checkpointBytes } = state.segments.at(-1)!;
  if (bytes - checkpointBytes >= state.segmentBytes && !state.isDiskFull) beginSegment(state);
}

/** Begins a segment with a restatement of all logs. False when the disk refuses it. */
export function beginSegment(state: FileState): boolean {
  const segment = newSegment(state.directory, (state.segments.at(-1)?.number ?? 0) + 1);
  const logs = [...state.logs.values()];
  const parts = [
    encodeJson(recordKinds.segment, { format: FORMAT, number: segment.number }),
    ...logs.flatMap((log) => [logRecord(log), progressRecord(log)]),
    checkpointRecord({
      segments: [...state.segments, segment].map((s) => s.number),
      damaged: state.segments.filter((s) => s.isDamaged).map((s) => s.number),
      nextLogId: state.nextLogId,
    }),
  ];
  try {
    appendBytes(state.disk, segment, Buffer.concat(parts));
  } catch (thrown) {
    closeSegment(segment);
    removeFile(state, segment);
    if (!state.isDiskFull) state.emit({ type: 'store-full-disk', message: messageOf(thrown) });
    state.isDiskFull = true;
    return false;
  }
  for (const log of logs) Object.assign(log, { isWritten: true, isDirty: log.pendingLoss !== null });
  segment.checkpointBytes = segment.bytes;
  state.bytes += segment.bytes;
  state.segments.push(segment);
  writeHeader(state, { newestSegment: segment.number });
  return true;
}

export function makeRoom(state: FileState, bytes: number): void {
  while (state.bytes + bytes > state.maxBytes && state.segments.length > 1) {
    const old = state.segments.slice(0, -1);
    dropSegment(state, old.find((segment) => isSettled(state, segment)) ?? old[0]!);
  }
}

/** Frees what is acknowledged, because the disk itself is full. True when there was something. */
export function freeSettled(state: FileState): boolean {
  const settled = state.segments.slice(0, -1).filter((segment) => isSettled(state, segment));
  for (const segment of settled) dropSegment(state, segment);
  return settled.length > 0;
}

/** Deletes the segments all of whose frames were forgotten, the newest one too: another takes its place. */
export function dropForgotten(state: FileState): void {
  const isForgotten = ({ frames, extents }: Segment): boolean => frames > 0 && extents.size === 0;
  if (isForgotten(state.segments.at(-1)!)) beginSegment(state);
  for (const segment of state.segments.slice(0, -1).filter(isForgotten)) dropSegment(state, segment);
}

function isSettled(state: FileState, segment: Segment): boolean {
  return isSegmentSettled(segment, (logId) => state.logs.get(logId)?.settled ?? null);
}

/** Deletes a segment; unsettled readings in it become losses first. */
function dropSegment(state: FileState, segment: Segment): void {
  const records: Uint8Array[] = [];
  for (const logId of segment.extents.keys()) {
    const log = state.logs.get(logId);
    if (log === undefined) continue;
    const lost = subtract([...rangesIn(segment, logId)], log.settled);
    for (const range of lost) {
      const loss: Loss = { ...range, reason: 'device-store-full' };
      addLoss(log, loss);
      state.droppedReadings += range.to - range.from;
      state.emit({ type: 'loss', log, loss });
    }
    if (lost.length > 0 || log.isDirty) records.push(progressRecord(log));
  }
  records.push(encodeJson(recordKinds.drop, { number: segment.number }));
  const isRecorded = write(state, records) !== null;
  closeSegment(segment);
  removeFile(state, segment);
  state.segments.splice(state.segments.indexOf(segment), 1);
  state.bytes -= segment.bytes;
  // A full disk takes the record once the file is gone. Dying between the two costs an epoch, no reading.
  if (!isRecorded) write(state, records);
}

/** A file that cannot be deleted now is deleted when the store is opened again: its record says so. */
function removeFile(state: FileState, segment: Segment): void {
  try {
    state.disk.remove(segment.path);
  } catch (thrown) {
    state.emit({ type: 'store-full-disk', message: messageOf(thrown) });
  }
}

function armSync(state: FileState): void {
  if (state.cancelSync !== null || state.isClosed) return;
  state.cancelSync = state.clock.after(state.syncMs, () => {
    state.cancelSync = null;
    writeDirty(state);
    for (const segment of state.segments) {
      if (!segment.isUnsynced || segment.file === null) continue;
      segment.isUnsynced = false;
      segment.file.syncLater();
    }
  });
}

/** Writes down all that changed since. False when the disk did not take everything. */
export function writeDirty(state: FileState): boolean {
  let isWritten = true;
  for (const log of state.logs.values()) {
    if (!log.isDirty && log.pendingLoss === null) continue;
    writeProgress(state, log);
    if (log.isDirty) isWritten = false;
  }
  if (state.isOwing) restoreHeader(state);
  return isWritten && !state.isOwing;
}

/**
 * Replaces `store.json`. False when the disk refused it: the one before stays, which says no more than is true, as long
 * as it does not call the store clean.
 */
export function writeHeader(state: FileState, changes: Partial<StoreHeader>, isDurable = false): boolean {
  state.header = { ...state.header, ...changes };
  if (state.isOwing) return false;
  const bytes = new TextEncoder().encode(JSON.stringify(state.header));
  try {
    state.disk.replaceFile(join(state.directory, 'store.json'), bytes, isDurable);
    return true;
  } catch {
    return false;
  }
}
