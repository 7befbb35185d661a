/**
 * Owns a device store in memory, for simulation, fleets and browsers: bounded like the file store, but it dies with its
 * process. Bound: `maxBytes` of payload, times and FRAME_OVERHEAD_BYTES a frame; the oldest acknowledged frames go
 * first, then the oldest unacknowledged, which are declared lost.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { rangesOf, type RangeSet } from '#base/ranges.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import {
  addLoss,
  assertSameStream,
  assertUsable,
  assignNumbers,
  currentLog,
  isDone,
  moveReadings,
  newLog,
  successorOf,
  type LogState,
} from '#sdk/device-log.ts';
import {
  storeLimits,
  type DeviceLog,
  type DeviceStore,
  type FrameContent,
  type StoredFrame,
} from '#sdk/device-store.ts';

export interface MemoryStoreOptions {
  /** Default 8 MiB: about 15 minutes of one nine-axis float stream at 200 Hz. */
  readonly maxBytes?: number;
  /** For tests; otherwise random. */
  readonly epoch?: string;
}

const DEFAULT_MAX_BYTES = 8 * 1024 * 1024;
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

interface MemoryLog extends LogState {
  /** Ascending by firstSeq. */
  readonly frames: Line<StoredFrame>;
}

interface Entry {
  readonly log: MemoryLog;
  readonly frame: StoredFrame;
}

interface MemoryState {
  readonly maxBytes: number;
  readonly logs: Map<number, MemoryLog>;
  /** All frames in the order of their arrival. */
  readonly order: Line<Entry>;
  readonly onLoss: (log: DeviceLog, loss: DeviceLog['losses'][number]) => void;
  nextLogId: number;
  bytes: number;
  droppedReadings: number;
  /** False while a sweep would find nothing: nothing was settled since one came back empty. */
  mayHoldSettled: boolean;
}

export function memoryStore(options: MemoryStoreOptions = {}): DeviceStore {
  const epoch = options.epoch ?? randomEpoch();
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  assert(maxBytes >= 4096, 'a store below 4 KiB hardly holds a frame');
  const state: MemoryState = {
    maxBytes,
    logs: new Map(),
    order: { items: [], head: 0 },
    onLoss: (log, loss) => store.onEvent?.({ type: 'loss', log, loss }),
    nextLogId: 1,
    bytes: 0,
    droppedReadings: 0,
    mayHoldSettled: false,
  };
  let incarnation: string | null = null;
  const store: DeviceStore = {
    epoch,
    previousStoreLost: false,
    onEvent: null,
    get incarnation() {
      return incarnation;
    },
    setIncarnation: (value) => {
      incarnation = value;
    },
    logs: () => [...state.logs.values()],
    define: (definition) => define(state, epoch, definition),
    append: (log, content) => append(state, mine(state, log), content),
    skip: (log, count, reason) => {
      const from = assignNumbers(mine(state, log), count);
      addLoss(mine(state, log), { from, to: from + count, reason });
    },
    declareLost: (log, loss) => addLoss(mine(state, log), loss),
    read: (log, fromSeq, maxPayloadBytes) => read(mine(state, log), fromSeq, maxPayloadBytes),
    held: (log) => held(mine(state, log)),
    setSettled: (log, settled) => {
      mine(state, log).settled = settled;
      state.mayHoldSettled = true;
    },
    end: (log) => {
      if (log.phase === 'recording') mine(state, log).phase = 'ended';
    },
    finish: (log) => {
      if (log.phase === 'ended') mine(state, log).phase = 'finished';
    },
    forget: (log) => forget(state, mine(state, log)),
    startEpoch: (log, fromSeq) => startEpoch(state, mine(state, log), fromSeq),
    status: () => ({
      bytes: state.bytes,
      maxBytes,
      droppedReadings: state.droppedReadings,
      isDiskFull: false,
    }),
    close: () => keepOnly(state, () => false),
  };
  return store;
}

function mine(state: MemoryState, log: DeviceLog): MemoryLog {
  const found = state.logs.get(log.id);
  assert(found !== undefined && found === log, 'a log of this store');
  return found;
}

function define(state: MemoryState, epoch: string, definition: StreamDefinition): MemoryLog {
  const known = currentLog(state.logs.values(), definition.stream);
  if (known === undefined) {
    assertUsable(definition);
    if (state.logs.size >= storeLimits.logs) forgetOldestDone(state);
    return addLog(state, { epoch, definition, previousStoreLost: false });
  }
  assertSameStream(known, definition);
  return known;
}

function addLog(
  state: MemoryState,
  identity: Pick<DeviceLog, 'epoch' | 'definition' | 'previousStoreLost'>,
): MemoryLog {
  const log: MemoryLog = {
    ...newLog({ id: state.nextLogId++, ...identity }),
    frames: { items: [], head: 0 },
  };
  state.logs.set(log.id, log);
  return log;
}

function forgetOldestDone(state: MemoryState): void {
  for (const log of state.logs.values()) if (isDone(log)) return forget(state, log);
  throw new AppError('limit-exceeded', `a device store holds at most ${storeLimits.logs} unfinished streams`);
}

function forget(state: MemoryState, log: MemoryLog): void {
  state.logs.delete(log.id);
  keepOnly(state, (entry) => entry.log !== log);
}

function append(state: MemoryState, log: MemoryLog, content: FrameContent): StoredFrame {
  assert(content.payload.length === content.count * log.readingBytes, 'whole readings');
  makeRoom(state, costOf(content));
  return insert(state, log, { ...content, firstSeq: assignNumbers(log, content.count) });
}

function insert(state: MemoryState, log: MemoryLog, frame: StoredFrame): StoredFrame {
  log.frames.items.push(frame);
  state.order.items.push({ log, frame });
  state.bytes += costOf(frame);
  return frame;
}

function costOf(content: FrameContent): number {
  return content.payload.length + (content.deltasUs?.length ?? 0) + FRAME_OVERHEAD_BYTES;
}

function makeRoom(state: MemoryState, bytes: number): void {
  if (state.bytes + bytes <= state.maxBytes) return;
  dropOldestWhile(state, (entry) => state.bytes + bytes > state.maxBytes && isEntrySettled(entry));
  if (state.bytes + bytes <= state.maxBytes) return;
  if (state.mayHoldSettled) sweepSettled(state, state.maxBytes * SWEEP_SHARE);
  dropOldestWhile(state, () => state.bytes + bytes > state.maxBytes);
}

function dropOldestWhile(state: MemoryState, isWanted: (oldest: Entry) => boolean): void {
  const { order } = state;
  for (;;) {
    const oldest = order.items[order.head];
    if (oldest === undefined || !isWanted(oldest)) break;
    removeFirst(order);
    // The oldest frame of all is also the oldest of its log.
    removeFirst(oldest.log.frames);
    state.bytes -= costOf(oldest.frame);
    if (!isEntrySettled(oldest)) declareDropped(state, oldest);
  }
}

function declareDropped(state: MemoryState, { log, frame }: Entry): void {
  const loss = {
    from: frame.firstSeq,
    to: frame.firstSeq + frame.count,
    reason: 'device-store-full',
  } as const;
  state.droppedReadings += frame.count;
  addLoss(log, loss);
  state.onLoss(log, loss);
}

function removeFirst<T>(line: Line<T>): void {
  line.head++;
  if (line.head < SLACK || line.head * 2 < line.items.length) return;
  line.items.splice(0, line.head);
  line.head = 0;
}

/** Removes acknowledged frames from anywhere, oldest first, until `bytes` are free. */
function sweepSettled(state: MemoryState, bytes: number): void {
  let freed = 0;
  keepOnly(state, (entry) => {
    if (freed >= bytes || !isEntrySettled(entry)) return true;
    freed += costOf(entry.frame);
    return false;
  });
  state.mayHoldSettled = freed >= bytes;
}

function keepOnly(state: MemoryState, isKept: (entry: Entry) => boolean): void {
  const kept: Entry[] = [];
  state.bytes = 0;
  for (const log of state.logs.values()) {
    log.frames.items = [];
    log.frames.head = 0;
  }
  for (let i = state.order.head; i < state.order.items.length; i++) {
    const entry = state.order.items[i]!;
    if (!isKept(entry)) continue;
    kept.push(entry);
    entry.log.frames.items.push(entry.frame);
    state.bytes += costOf(entry.frame);
  }
  state.order.items = kept;
  state.order.head = 0;
}

function isEntrySettled({ log, frame }: Entry): boolean {
  const to = frame.firstSeq + frame.count;
  for (const range of log.settled) if (range.from <= frame.firstSeq && to <= range.to) return true;
  return false;
}

function read(log: MemoryLog, fromSeq: number, maxPayloadBytes: number): StoredFrame[] {
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

function held(log: MemoryLog): RangeSet {
  const { items, head } = log.frames;
  return rangesOf(items.slice(head).map((f) => ({ from: f.firstSeq, to: f.firstSeq + f.count })));
}

function startEpoch(state: MemoryState, old: MemoryLog, fromSeq: number): MemoryLog {
  const { previousStoreLost, phase } = successorOf(old);
  const next = addLog(state, { epoch: randomEpoch(), definition: old.definition, previousStoreLost });
  moveReadings({
    from: old,
    fromSeq,
    read: (seq) => read(old, seq, 0)[0],
    to: next,
    append: (content) => insert(state, next, { ...content, firstSeq: assignNumbers(next, content.count) }),
  });
  next.phase = phase;
  keepOnly(state, ({ log, frame }) => log !== old || frame.firstSeq < fromSeq);
  if (old.nextSeq === 0) state.logs.delete(old.id);
  return next;
}
