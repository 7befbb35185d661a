/**
 * Owns the frames of a store in memory: their order of arrival, their bytes, and which go when space is needed, the
 * oldest acknowledged first, then the oldest. Every frame that comes or goes is told to the journal, if there is one.
 */

import { rangesOf, type RangeSet } from '#base/ranges.ts';
import { addLoss, type LogState } from '#sdk/device-log.ts';
import type { DeviceLog, FrameContent, StoredFrame } from '#sdk/device-store.ts';

/** Two objects, two typed-array views and two places in arrays: about 300 bytes in V8, beside the bytes themselves. */
const FRAME_OVERHEAD_BYTES = 300;
/** A sweep for acknowledged frames frees this share of the maximum, so that its cost is spread over many appends. */
const SWEEP_SHARE = 1 / 16;
/** Places of removed frames at the front of an array before it is shortened. */
const SLACK = 1024;

/** First in, first out; the places before `head` are free. */
interface Line<T> {
  items: T[];
  head: number;
}

export interface MemoryLog extends LogState {
  /** Ascending by firstSeq. */
  readonly frames: Line<StoredFrame>;
}

/** A frame that is held. */
export interface MemoryEntry {
  readonly log: MemoryLog;
  readonly frame: StoredFrame;
  /** Its place in the order of arrival; never given twice. */
  readonly place: number;
}

/** Hears of every change, within the call that makes it. */
export interface MemoryJournal {
  added(entry: MemoryEntry): void;
  removed(entry: MemoryEntry): void;
  /** A log is new, or what it says of itself is. `canWait`: the server can say the same again. */
  changed(log: MemoryLog, canWait: boolean): void;
  forgotten(log: MemoryLog): void;
  incarnationChanged(): void;
}

/** What a store begins with. */
export interface MemoryContent {
  readonly epoch: string;
  readonly previousStoreLost: boolean;
  readonly incarnation: string | null;
  readonly nextLogId: number;
  /** Ascending by id. */
  readonly logs: readonly LogState[];
  /** Ascending by place; each of one of the logs. */
  readonly frames: readonly { readonly logId: number; readonly place: number; readonly frame: StoredFrame }[];
}

export interface MemoryState {
  readonly journal: MemoryJournal | null;
  readonly maxBytes: number;
  readonly logs: Map<number, MemoryLog>;
  /** All frames in the order of their arrival. */
  readonly order: Line<MemoryEntry>;
  readonly onLoss: (log: DeviceLog, loss: DeviceLog['losses'][number]) => void;
  nextLogId: number;
  nextPlace: number;
  bytes: number;
  droppedReadings: number;
  /** False while a sweep would find nothing: nothing was settled since one came back empty. */
  mayHoldSettled: boolean;
}

export function insert(state: MemoryState, log: MemoryLog, frame: StoredFrame): StoredFrame {
  log.frames.items.push(frame);
  const entry: MemoryEntry = { log, frame, place: state.nextPlace++ };
  state.order.items.push(entry);
  state.bytes += costOf(frame);
  state.journal?.added(entry);
  state.journal?.changed(log, false);
  return frame;
}

export function costOf(content: FrameContent): number {
  return content.payload.length + (content.deltasUs?.length ?? 0) + FRAME_OVERHEAD_BYTES;
}

export function makeRoom(state: MemoryState, bytes: number): void {
  if (state.bytes + bytes <= state.maxBytes) return;
  dropOldestWhile(state, (entry) => state.bytes + bytes > state.maxBytes && isEntrySettled(entry));
  if (state.bytes + bytes <= state.maxBytes) return;
  if (state.mayHoldSettled) sweepSettled(state, state.maxBytes * SWEEP_SHARE);
  dropOldestWhile(state, () => state.bytes + bytes > state.maxBytes);
}

function dropOldestWhile(state: MemoryState, isWanted: (oldest: MemoryEntry) => boolean): void {
  const { order } = state;
  for (;;) {
    const oldest = order.items[order.head];
    if (oldest === undefined || !isWanted(oldest)) break;
    removeFirst(order);
    // The oldest frame of all is also the oldest of its log.
    removeFirst(oldest.log.frames);
    state.bytes -= costOf(oldest.frame);
    state.journal?.removed(oldest);
    if (!isEntrySettled(oldest)) declareDropped(state, oldest);
  }
}

function declareDropped(state: MemoryState, { log, frame }: MemoryEntry): void {
  const loss = {
    from: frame.firstSeq,
    to: frame.firstSeq + frame.count,
    reason: 'device-store-full',
  } as const;
  state.droppedReadings += frame.count;
  addLoss(log, loss);
  state.journal?.changed(log, false);
  state.onLoss(log, loss);
}

function removeFirst<T>(line: Line<T>): void {
  line.head++;
  if (line.head < SLACK || line.head * 2 < line.items.length) return;
  line.items.splice(0, line.head);
  line.head = 0;
}

/** Removes acknowledged frames from anywhere, oldest first, until `bytes` are free. */
export function sweepSettled(state: MemoryState, bytes: number): void {
  let freed = 0;
  keepOnly(state, (entry) => {
    if (freed >= bytes || !isEntrySettled(entry)) return true;
    freed += costOf(entry.frame);
    return false;
  });
  state.mayHoldSettled = freed >= bytes;
}

export function keepOnly(state: MemoryState, isKept: (entry: MemoryEntry) => boolean): void {
  const kept: MemoryEntry[] = [];
  state.bytes = 0;
  for (const log of state.logs.values()) {
    log.frames.items = [];
    log.frames.head = 0;
  }
  for (let i = state.order.head; i < state.order.items.length; i++) {
    const entry = state.order.items[i]!;
    if (!isKept(entry)) {
      state.journal?.removed(entry);
      continue;
    }
    kept.push(entry);
    entry.log.frames.items.push(entry.frame);
    state.bytes += costOf(entry.frame);
  }
  state.order.items = kept;
  state.order.head = 0;
}

function isEntrySettled({ log, frame }: MemoryEntry): boolean {
  const to = frame.firstSeq + frame.count;
  for (const range of log.settled) if (range.from <= frame.firstSeq && to <= range.to) return true;
  return false;
}

export function read(log: MemoryLog, fromSeq: number, maxPayloadBytes: number): StoredFrame[] {
  const { items } = log.frames;
  const out: StoredFrame[] = [];
  let bytes = 0;
  for (let i = firstEndingAfter(log.frames, fromSeq); i < items.length; i++) {
    const frame = items[i]!;
    bytes += frame.payload.length;
    if (out.length > 0 && bytes > maxPayloadBytes) break;
    out.push(frame);
  }
  return out;
}

/** Index of the first frame with a reading at or after `seq`; binary search. */
function firstEndingAfter(line: Line<StoredFrame>, seq: number): number {
  let low = line.head;
  let high = line.items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const frame = line.items[middle]!;
    if (frame.firstSeq + frame.count > seq) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function held(log: MemoryLog): RangeSet {
  const { items, head } = log.frames;
  return rangesOf(items.slice(head).map((f) => ({ from: f.firstSeq, to: f.firstSeq + f.count })));
}
