/**
 * Owns the device store on files: append-only segments in one directory, deleted as a whole when space is needed. What
 * `append` returned survives kill -9 of the process; what may have been lost with the power, or was found damaged, ends
 * the epoch, so that no number is ever used twice. Bound: `maxBytes` and one segment; the index costs 18 to 36 bytes a
 * frame. A disk that refuses writes costs the newest readings, which are counted and declared later.
 */

import { join } from 'node:path';

import { assert } from '#base/assert.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { sizeOf, type RangeSet } from '#base/ranges.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import {
  assertSameStream,
  assertUsable,
  assignNumbers,
  currentLog,
  isDone,
  moveReadings,
  successorEpoch,
  successorOf,
} from '#sdk/device-log.ts';
import {
  storeLimits,
  type DeviceLog,
  type DeviceStore,
  type FrameContent,
  type StoredFrame,
  type StoreEvent,
} from '#sdk/device-store.ts';
import {
  declareDamage,
  FORMAT,
  heldRanges,
  loadStore,
  logRecord,
  movedRecord,
  newFileLog,
  progressRecord,
  type FileLog,
  type Loaded,
} from '#sdk/file-store-load.ts';
import { lockStore } from '#sdk/file-store-lock.ts';
import { read, readSurely } from '#sdk/file-store-read.ts';
import { encodeFrameRecord, encodeJson, recordKinds } from '#sdk/file-store-record.ts';
import { closeSegment, forgetFrames, indexFrame } from '#sdk/file-store-segment.ts';
import {
  beginSegment,
  beginSegmentWhenFull,
  declareLost,
  dropForgotten,
  freeSettled,
  makeRoom,
  markDirty,
  oweNumbers,
  owed,
  setPhase,
  settleDebt,
  write,
  writeDirty,
  writeHeader,
  writeProgress,
  type FileState,
} from '#sdk/file-store-write.ts';
import { nodeDisk, type Disk } from '#sdk/node-disk.ts';
import { currentBoot, isSameBoot } from '#sdk/node-machine.ts';

export interface FileStoreOptions {
  /** Default 64 MiB: two hours of one nine-axis float stream at 200 Hz. At least 256 KiB. */
  readonly maxBytes?: number;
  /** Between syncs to the medium; they only limit what a power failure costs. Default 1000. */
  readonly syncMs?: number;
  readonly clock?: Clock;
  /** For tests. */
  readonly disk?: Disk;
  /** For tests: the name of this boot of the machine. */
  readonly boot?: string;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
/** A quarter of it must hold a full frame of 32 axes. */
const MIN_MAX_BYTES = 256 * 1024;
/** Large enough that its restatement of the logs weighs little, small enough that dropping one costs little. */
const MAX_SEGMENT_BYTES = 1024 * 1024;

/**
 * Opens the store in `directory`, which is made if there is none. Throws AppError: `conflict` when another process has
 * it open, `unsupported-version` when a newer program wrote it.
 */
export function fileStore(directory: string, options: FileStoreOptions = {}): DeviceStore {
  let store: DeviceStore | null = null;
  const state = openState(directory, options, (event) => store?.onEvent?.(event));
  store = storeOf(state);
  return store;
}

function storeOf(state: FileState): DeviceStore {
  return {
    epoch: state.header.epoch,
    previousStoreLost: state.header.previousStoreLost,
    onEvent: null,
    get incarnation() {
      return state.header.incarnation;
    },
    setIncarnation: (incarnation) => {
      // What this server lacks must be known to the next process too, before that one is told that it was asked.
      if (writeDirty(state)) writeHeader(state, { incarnation });
      else state.header = { ...state.header, incarnation };
    },
    logs: () => [...state.logs.values()],
    define: (definition, isResumed = false) => define(state, definition, isResumed),
    append: (log, content) => append(state, mine(state, log), content),
    skip: (log, count, reason) => {
      const from = assignNumbers(mine(state, log), count);
      declareLost(state, mine(state, log), { from, to: from + count, reason });
    },
    declareLost: (log, loss) => declareLost(state, mine(state, log), loss),
    read: (log, fromSeq, maxPayloadBytes) => read(state, mine(state, log), fromSeq, maxPayloadBytes),
    held: (log) => heldRanges(state.segments, log.id),
    setSettled: (log, settled) => setSettled(state, mine(state, log), settled),
    end: (log) => {
      if (log.phase === 'recording') setPhase(state, mine(state, log), 'ended');
    },
    finish: (log) => {
      if (log.phase === 'ended') setPhase(state, mine(state, log), 'finished');
    },
    forget: (log) => {
      forgetLog(state, mine(state, log));
      dropForgotten(state);
    },
    startEpoch: (log, fromSeq) => startEpoch(state, mine(state, log), fromSeq),
    status: () => ({
      bytes: state.bytes,
      maxBytes: state.maxBytes,
      droppedReadings: state.droppedReadings,
      isDiskFull: state.isDiskFull,
    }),
    close: () => close(state),
  };
}

function openState(
  directory: string,
  options: FileStoreOptions,
  emit: (event: StoreEvent) => void,
): FileState {
  const { disk = nodeDisk, clock = systemClock, maxBytes = DEFAULT_MAX_BYTES, syncMs = 1000 } = options;
  assert(maxBytes >= MIN_MAX_BYTES, 'a file store has at least 256 KiB');
  disk.makeDirectory(directory);
  const unlock = lockStore(disk, directory, clock.nowUs());
  try {
    const boot = options.boot ?? currentBoot(clock.nowUs());
    const loaded = loadStore(disk, directory);
    const isNewEpoch = isEndUnknown(loaded, boot);
    if (isNewEpoch) replaceLogs(loaded);
    const isOld = loaded.header !== null && !isNewEpoch;
    const state: FileState = {
      directory,
      disk,
      clock,
      boot,
      maxBytes,
      segmentBytes: Math.min(MAX_SEGMENT_BYTES, Math.floor(maxBytes / 16)),
      syncMs,
      logs: loaded.logs,
      segments: loaded.segments,
      emit,
      unlock,
      header: {
        format: FORMAT,
        epoch: isOld ? loaded.header.epoch : randomEpoch(),
        previousStoreLost: isNewEpoch || (loaded.header?.previousStoreLost ?? false),
        // After a loss of power it may be newer than what is known to be settled: everything is asked again.
        incarnation: isOld ? loaded.header.incarnation : null,
        boot,
        isClean: false,
        newestSegment: loaded.segments.at(-1)?.number ?? 0,
      },
      nextLogId: loaded.nextLogId,
      bytes: loaded.segments.reduce((sum, segment) => sum + segment.bytes, 0),
      droppedReadings: 0,
      isDiskFull: false,
      isOwing: false,
      isMoving: false,
      cancelSync: null,
      isClosed: false,
    };
    forgetDoneWithoutFrames(state);
    if (isNewEpoch || state.segments.length === 0) beginSegmentOrThrow(state);
    // From here on a loss of power leaves an unclean store of this boot behind. Where the disk is too full to say so, no
    // header says it too.
    if (!writeHeader(state, {}, true)) disk.remove(join(directory, 'store.json'));
    return state;
  } catch (thrown) {
    unlock();
    throw thrown;
  }
}

/**
 * True when readings may have been numbered, and sent, of which nothing is left: after damage, and when the machine was
 * started anew since without the store having been closed, since the kernel may not have written the end.
 */
function isEndUnknown({ header, isDamaged }: Loaded, boot: string): boolean {
  return isDamaged || (header !== null && !header.isClean && !isSameBoot(header.boot, boot));
}

/** What was recording goes on in the new epoch; what is left of it stays to be delivered. */
function replaceLogs(loaded: Loaded): void {
  declareDamage(loaded);
  for (const log of loaded.logs.values()) if (log.phase === 'recording') log.phase = 'replaced';
}

function beginSegmentOrThrow(state: FileState): void {
  if (beginSegment(state) || (freeSettled(state) && beginSegment(state))) return;
  throw new AppError('overloaded', 'the disk has no room for the device store', { temporary: true });
}

function forgetDoneWithoutFrames(state: FileState): void {
  for (const log of state.logs.values())
    if (isDone(log) && !state.segments.some((segment) => segment.extents.has(log.id)))
      state.logs.delete(log.id);
}

function mine(state: FileState, log: DeviceLog): FileLog {
  const found = state.logs.get(log.id);
  assert(found !== undefined && found === log, 'a log of this store');
  return found;
}

function define(state: FileState, definition: StreamDefinition, isResumed: boolean): FileLog {
  const known = currentLog(state.logs.values(), definition.stream);
  if (known !== undefined) {
    assertSameStream(known, definition);
    return known;
  }
  assertUsable(definition);
  if (state.logs.size >= storeLimits.logs) forgetOldestDone(state);
  const { epoch, previousStoreLost } = state.header;
  return addLog(state, { epoch, definition, previousStoreLost: previousStoreLost || isResumed });
}

function addLog(
  state: FileState,
  identity: Pick<FileLog, 'epoch' | 'definition' | 'previousStoreLost'>,
  isFilling = false,
): FileLog {
  const log = Object.assign(newFileLog({ id: state.nextLogId++, ...identity }), { isFilling });
  state.logs.set(log.id, log);
  // Should the disk refuse it, it is written before the log's first frame.
  log.isWritten = write(state, [logRecord(log)]) !== null;
  return log;
}

function forgetOldestDone(state: FileState): void {
  for (const log of state.logs.values()) if (isDone(log)) return forgetLog(state, log);
  throw new AppError('limit-exceeded', `a device store holds at most ${storeLimits.logs} unfinished streams`);
}

function forgetLog(state: FileState, log: FileLog): void {
  state.logs.delete(log.id);
  for (const segment of state.segments) forgetFrames(segment, (logId) => logId === log.id);
  write(state, [encodeJson(recordKinds.forget, { id: log.id })]);
}

function setSettled(state: FileState, log: FileLog, settled: RangeSet): void {
  const isLess = sizeOf(settled) < sizeOf(log.settled);
  log.settled = settled;
  // More can be learned again from the server; less decides what it is asked.
  if (isLess) writeProgress(state, log);
  else markDirty(state, log);
}

function append(state: FileState, log: FileLog, content: FrameContent): StoredFrame | null {
  assert(content.payload.length === content.count * log.readingBytes, 'whole readings');
  if (!state.isMoving) beginSegmentWhenFull(state);
  const frame: StoredFrame = { ...content, firstSeq: assignNumbers(log, content.count) };
  const record = encodeFrameRecord(log.id, frame);
  if (!state.isMoving) makeRoom(state, record.length);
  const before = owed(log);
  const parts = before === null ? [record] : [...before.records, record];
  const end = write(state, parts) ?? (freeSettled(state) ? write(state, parts) : null);
  if (end === null) {
    oweNumbers(state, log, frame.firstSeq);
    state.droppedReadings += frame.count;
    return null;
  }
  if (before !== null) settleDebt(state, log, before);
  indexFrame(state.segments.at(-1)!, end - record.length, { logId: log.id, frame });
  return frame;
}

function startEpoch(state: FileState, old: FileLog, fromSeq: number): FileLog {
  const { definition } = old;
  const { previousStoreLost, phase } = successorOf(old);
  // What the disk refused has numbers that the old epoch may not have any more when it can say so at last.
  if (old.pendingLoss !== null) writeProgress(state, old);
  if (old.pendingLoss !== null) throw new AppError('overloaded', 'the disk is full', { temporary: true });
  // Elsewhere a disk that hesitates costs a later attempt; here what is not read would be left behind for good.
  const readOld = (seq: number): StoredFrame | undefined => readSurely(state, old, seq);
  const epoch = successorEpoch(old, fromSeq, readOld);
  const next = addLog(state, { epoch, definition, previousStoreLost }, true);
  state.isMoving = true;
  try {
    moveReadings({
      from: old,
      fromSeq,
      read: readOld,
      to: next,
      append: (content) => {
        if (append(state, next, content) === null)
          throw new AppError('overloaded', 'the disk is full', { temporary: true });
      },
    });
  } catch (thrown) {
    forgetLog(state, next);
    throw thrown;
  } finally {
    state.isMoving = false;
  }
  old.cutAt = fromSeq;
  old.hint = null;
  next.phase = phase;
  next.isFilling = false;
  for (const segment of state.segments)
    forgetFrames(segment, (logId, firstSeq) => logId === old.id && firstSeq >= fromSeq);
  write(state, [movedRecord({ from: old.id, to: next.id, fromSeq }), progressRecord(next)]);
  if (old.nextSeq === 0) forgetLog(state, old);
  // What the new epoch sends must not be found under the old one after a loss of power.
  syncSegments(state);
  return next;
}

function close(state: FileState): void {
  if (state.isClosed) return;
  state.isClosed = true;
  state.cancelSync?.();
  const isWritten = writeDirty(state);
  const isSynced = syncSegments(state);
  if (isWritten && isSynced) writeHeader(state, { isClean: true }, true);
  closeSegment(state.segments.at(-1)!);
  state.unlock();
}

/** False when the medium may not have everything. */
function syncSegments(state: FileState): boolean {
  let isSynced = true;
  for (const segment of state.segments) {
    try {
      segment.file ??= state.disk.open(segment.path);
      segment.file.sync();
      segment.isUnsynced = false;
    } catch {
      isSynced = false;
    }
    if (segment !== state.segments.at(-1)) closeSegment(segment);
  }
  return isSynced;
}
