/**
 * Owns reading a device store back from a database: every record is looked at before it is believed. What is readable is
 * kept; when something that was written is missing or wrong the epoch ends, so that no number can be given twice.
 */

import { AppError } from '#base/errors.ts';
import { intersect, rangesOf, subtract, union, type RangeSet } from '#base/ranges.ts';
import { randomEpoch } from '#base/uuid.ts';
import { addLoss, newLog, type LogState } from '#sdk/device-log.ts';
import { storeLimits, type StoredFrame } from '#sdk/device-store.ts';
import type { StoredContent } from '#sdk/indexed-db.ts';
import type { MemoryContent } from '#sdk/memory-frames.ts';
import type { FrameRecord, HeaderRecord, LogRecord } from '#sdk/write-behind.ts';

export const FORMAT = 1;

export interface Restored {
  readonly content: MemoryContent;
  /** Something that was written is gone or wrong: write everything anew. */
  readonly isDamaged: boolean;
}

/**
 * `wasKnown`: a store of this name was here before, whatever the database says. Throws AppError `unsupported-version`
 * when a newer program wrote it.
 */
export function restoreContent(stored: StoredContent, wasKnown: boolean): Restored {
  const header = headerOf(stored.header);
  const found = { isDamaged: false };
  const logs = logsOf(stored.logs, found);
  const frames = framesOf(stored.frames, logs, found);
  const isEmpty = stored.logs.length === 0 && stored.frames.length === 0;
  if (header === null) found.isDamaged ||= wasKnown || !isEmpty || stored.header !== undefined;
  for (const log of logs.values()) declareMissing(log, heldBy(frames, log.id), found);
  if (found.isDamaged) replaceLogs(logs, frames);
  const content: MemoryContent = {
    epoch: header !== null && !found.isDamaged ? header.epoch : randomEpoch(),
    previousStoreLost: found.isDamaged || (header?.previousStoreLost ?? false),
    // What is left of a damaged store may not be all that the server was asked about: it is asked again.
    incarnation: found.isDamaged ? null : (header?.incarnation ?? null),
    nextLogId: Math.max(header?.nextLogId ?? 1, ...[...logs.keys()].map((id) => id + 1)),
    logs: [...logs.values()].map(({ unwritten: _unwritten, ...log }) => log),
    frames,
  };
  return { content, isDamaged: found.isDamaged };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function headerOf(value: unknown): HeaderRecord | null {
  if (!isObject(value)) return null;
  const { format, epoch, previousStoreLost, incarnation, nextLogId } = value;
  if (typeof format === 'number' && format > FORMAT)
    throw new AppError('unsupported-version', `the device store has format ${format}`);
  const isWhole =
    format === FORMAT &&
    typeof epoch === 'string' &&
    /^[0-9a-f]{16}$/.test(epoch) &&
    typeof previousStoreLost === 'boolean' &&
    (incarnation === null || typeof incarnation === 'string') &&
    Number.isSafeInteger(nextLogId);
  return isWhole ? (value as unknown as HeaderRecord) : null;
}

interface Found {
  isDamaged: boolean;
}

function logsOf(values: readonly unknown[], found: Found): Map<number, LogRecord> {
  const logs = new Map<number, LogRecord>();
  for (const value of values) {
    if (isLog(value) && logs.size < storeLimits.logs) logs.set(value.id, value);
    else found.isDamaged = true;
  }
  return logs;
}

const phases = new Set(['recording', 'ended', 'replaced', 'finished']);

function isLog(value: unknown): value is LogRecord {
  if (!isObject(value)) return false;
  const { id, epoch, definition, phase, nextSeq, settled, losses, unwritten } = value as Partial<LogRecord>;
  if (!isObject(definition) || !Array.isArray(definition['axes'])) return false;
  return (
    Number.isSafeInteger(id) &&
    typeof epoch === 'string' &&
    phases.has(String(phase)) &&
    Number.isSafeInteger(nextSeq) &&
    [settled, losses, unwritten].every((set) => isRanges(set)) &&
    newLog(value as unknown as LogState).readingBytes === value['readingBytes']
  );
}

function isRanges(value: unknown): value is RangeSet {
  if (!Array.isArray(value)) return false;
  let end = 0;
  return value.every((range: unknown) => {
    if (!isObject(range)) return false;
    const { from, to } = range as { from?: unknown; to?: unknown };
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return false;
    const isAscending = Number(from) >= end && Number(from) < Number(to);
    end = Number(to);
    return isAscending;
  });
}

/** Frames of known logs, whole, ascending in place and number; others are left out. */
function framesOf(
  values: readonly unknown[],
  logs: ReadonlyMap<number, LogRecord>,
  found: Found,
): FrameRecord[] {
  const ends = new Map<number, number>();
  const frames: FrameRecord[] = [];
  for (const value of values) {
    const record = frameOf(value, logs);
    if (record === null || record.frame.firstSeq < (ends.get(record.logId) ?? 0)) {
      found.isDamaged = true;
      continue;
    }
    ends.set(record.logId, record.frame.firstSeq + record.frame.count);
    frames.push(record);
  }
  return frames;
}

function frameOf(value: unknown, logs: ReadonlyMap<number, LogRecord>): FrameRecord | null {
  if (!isObject(value) || !isObject(value['frame'])) return null;
  const { place, logId, frame } = value as unknown as FrameRecord;
  const { firstSeq, count, firstUs, periodNs, deltasUs, payload } = frame as Partial<StoredFrame>;
  const log = logs.get(logId);
  if (log === undefined || !Number.isSafeInteger(place)) return null;
  if (![firstSeq, count, firstUs, periodNs].every((number) => Number.isSafeInteger(number))) return null;
  if (!(payload instanceof Uint8Array) || payload.length !== count! * log.readingBytes || count! < 1)
    return null;
  if (deltasUs !== null && !(deltasUs instanceof Uint8Array && deltasUs.length === count! * 4)) return null;
  // A frame across the cut of a replaced log ends beyond it.
  if (firstSeq! + count! > log.nextSeq && log.phase !== 'replaced') return null;
  return { place, logId, frame };
}

function heldBy(frames: readonly FrameRecord[], logId: number): RangeSet {
  return rangesOf(
    frames.flatMap((f) =>
      f.logId === logId ? [{ from: f.frame.firstSeq, to: f.frame.firstSeq + f.frame.count }] : [],
    ),
  );
}

/**
 * Numbers that were given, are neither settled nor declared, and are not here. The oldest went for want of space, and so
 * did those that a full database took without their readings (write-behind.ts); anything else is damage.
 */
function declareMissing(log: LogRecord, held: RangeSet, found: Found): void {
  if (log.nextSeq === 0) return;
  const open = subtract(subtract(subtract([{ from: 0, to: log.nextSeq }], log.settled), held), log.losses);
  const [oldest] = held;
  const dropped = union(
    log.unwritten,
    oldest === undefined || oldest.from === 0 ? [] : [{ from: 0, to: oldest.from }],
  );
  for (const range of intersect(open, dropped)) addLoss(log, { ...range, reason: 'device-store-full' });
  for (const range of subtract(open, dropped)) {
    found.isDamaged = true;
    addLoss(log, { ...range, reason: 'device-store-damaged' });
  }
}

/** What was recording goes on in the new epoch; what is left of it stays to be delivered. */
function replaceLogs(logs: Map<number, LogRecord>, frames: readonly FrameRecord[]): void {
  for (const log of logs.values()) {
    if (log.phase !== 'recording') continue;
    log.phase = 'replaced';
    if (log.nextSeq === 0 && heldBy(frames, log.id).length === 0) logs.delete(log.id);
  }
}
