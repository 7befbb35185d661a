/**
 * Owns a device store in memory, for simulation and fleets: bounded like the file store, but it dies with its process.
 * A journal may write down what changes, so that it does not. Bound: `maxBytes` of payload, times and
 * FRAME_OVERHEAD_BYTES a frame; the oldest acknowledged frames go first, then the oldest unacknowledged, which are
 * declared lost.
 */

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { sizeOf, type RangeSet } from '#base/ranges.ts';
import { randomEpoch } from '#base/uuid.ts';
import {
  addLoss,
  assertSameStream,
  assertUsable,
  assignNumbers,
  currentLog,
  isDone,
  moveReadings,
  newLog,
  successorEpoch,
  successorOf,
} from '#sdk/device-log.ts';
import {
  storeLimits,
  type DeviceLog,
  type DeviceStore,
  type FrameContent,
  type StoredFrame,
} from '#sdk/device-store.ts';
import {
  costOf,
  held,
  insert,
  keepOnly,
  makeRoom,
  read,
  sweepSettled,
  type MemoryContent,
  type MemoryEntry,
  type MemoryJournal,
  type MemoryLog,
  type MemoryState,
} from '#sdk/memory-frames.ts';

export interface MemoryStoreOptions {
  /** Default 8 MiB: about 15 minutes of one nine-axis float stream at 200 Hz. */
  readonly maxBytes?: number;
  /** For tests; otherwise random. */
  readonly epoch?: string;
}

const DEFAULT_MAX_BYTES = 8 * 1024 * 1024;

/** A store and what only its owner may do to it. */
export interface OwnedMemory {
  readonly store: DeviceStore;
  readonly logs: ReadonlyMap<number, MemoryLog>;
  /** Everything held, in the order of arrival. */
  entries(): readonly MemoryEntry[];
  nextLogId(): number;
  /** Drops until at most `bytes` are held: what is acknowledged first, then the oldest, as losses. */
  shrinkTo(bytes: number): void;
  /** Drops all that is acknowledged. True when there was something. */
  freeSettled(): boolean;
}

export function memoryStore(options: MemoryStoreOptions = {}): DeviceStore {
  const { epoch = randomEpoch(), maxBytes = DEFAULT_MAX_BYTES } = options;
  const content: MemoryContent = {
    epoch,
    previousStoreLost: false,
    incarnation: null,
    nextLogId: 1,
    logs: [],
    frames: [],
  };
  return ownMemory(content, { maxBytes, journal: null }).store;
}

/** A store that begins with `content` and tells `journal` of what changes. */
export function ownMemory(
  content: MemoryContent,
  options: { readonly maxBytes: number; readonly journal: MemoryJournal | null },
): OwnedMemory {
  assert(options.maxBytes >= 4096, 'a store below 4 KiB hardly holds a frame');
  const state: MemoryState = {
    journal: options.journal,
    maxBytes: options.maxBytes,
    logs: new Map(),
    order: { items: [], head: 0 },
    onLoss: (log, loss) => store.onEvent?.({ type: 'loss', log, loss }),
    nextLogId: content.nextLogId,
    nextPlace: (content.frames.at(-1)?.place ?? 0) + 1,
    bytes: 0,
    droppedReadings: 0,
    mayHoldSettled: true,
  };
  fill(state, content);
  const store = storeOf(state, content);
  return {
    store,
    logs: state.logs,
    entries: () => state.order.items.slice(state.order.head),
    nextLogId: () => state.nextLogId,
    shrinkTo: (bytes) => makeRoom(state, state.maxBytes - bytes),
    freeSettled: () => {
      const before = state.bytes;
      if (state.mayHoldSettled) sweepSettled(state, before + 1);
      return state.bytes < before;
    },
  };
}

function fill(state: MemoryState, content: MemoryContent): void {
  for (const log of content.logs) state.logs.set(log.id, { ...log, frames: { items: [], head: 0 } });
  for (const { logId, place, frame } of content.frames) {
    const log = state.logs.get(logId);
    assert(log !== undefined, 'a frame of a known log');
    log.frames.items.push(frame);
    state.order.items.push({ log, frame, place });
    state.bytes += costOf(frame);
  }
}

function storeOf(state: MemoryState, content: MemoryContent): DeviceStore {
  const { epoch, previousStoreLost } = content;
  let { incarnation } = content;
  const change = (log: DeviceLog, changeIt: (log: MemoryLog) => void): void => {
    changeIt(mine(state, log));
    state.journal?.changed(mine(state, log), false);
  };
  return {
    epoch,
    previousStoreLost,
    onEvent: null,
    get incarnation() {
      return incarnation;
    },
    setIncarnation: (value) => {
      incarnation = value;
      state.journal?.incarnationChanged();
    },
    logs: () => [...state.logs.values()],
    define: (definition, isResumed = false) =>
      define(state, { epoch, definition, previousStoreLost: previousStoreLost || isResumed }),
    append: (log, frame) => append(state, mine(state, log), frame),
    skip: (log, count, reason) =>
      change(log, (own) => {
        const from = assignNumbers(own, count);
        addLoss(own, { from, to: from + count, reason });
      }),
    declareLost: (log, loss) => change(log, (own) => addLoss(own, loss)),
    read: (log, fromSeq, maxPayloadBytes) => read(mine(state, log), fromSeq, maxPayloadBytes),
    held: (log) => held(mine(state, log)),
    setSettled: (log, settled) => setSettled(state, mine(state, log), settled),
    end: (log) => {
      if (log.phase === 'recording') change(log, (own) => void (own.phase = 'ended'));
    },
    finish: (log) => {
      if (log.phase === 'ended') change(log, (own) => void (own.phase = 'finished'));
    },
    forget: (log) => forget(state, mine(state, log)),
    startEpoch: (log, fromSeq) => startEpoch(state, mine(state, log), fromSeq),
    status: () => ({
      bytes: state.bytes,
      maxBytes: state.maxBytes,
      droppedReadings: state.droppedReadings,
      isDiskFull: false,
    }),
    close: () => keepOnly(state, () => false),
  };
}

function setSettled(state: MemoryState, log: MemoryLog, settled: RangeSet): void {
  const isLess = sizeOf(settled) < sizeOf(log.settled);
  log.settled = settled;
  state.mayHoldSettled = true;
  state.journal?.changed(log, !isLess);
}

function mine(state: MemoryState, log: DeviceLog): MemoryLog {
  const found = state.logs.get(log.id);
  assert(found !== undefined && found === log, 'a log of this store');
  return found;
}

type Identity = Pick<DeviceLog, 'epoch' | 'definition' | 'previousStoreLost'>;

function define(state: MemoryState, identity: Identity): MemoryLog {
  const { definition } = identity;
  const known = currentLog(state.logs.values(), definition.stream);
  if (known === undefined) {
    assertUsable(definition);
    if (state.logs.size >= storeLimits.logs) forgetOldestDone(state);
    return addLog(state, identity);
  }
  assertSameStream(known, definition);
  return known;
}

function addLog(state: MemoryState, identity: Identity): MemoryLog {
  const log: MemoryLog = {
    ...newLog({ id: state.nextLogId++, ...identity }),
    frames: { items: [], head: 0 },
  };
  state.logs.set(log.id, log);
  state.journal?.changed(log, false);
  return log;
}

function forgetOldestDone(state: MemoryState): void {
  for (const log of state.logs.values()) if (isDone(log)) return forget(state, log);
  throw new AppError('limit-exceeded', `a device store holds at most ${storeLimits.logs} unfinished streams`);
}

function forget(state: MemoryState, log: MemoryLog): void {
  state.logs.delete(log.id);
  keepOnly(state, (entry) => entry.log !== log);
  state.journal?.forgotten(log);
}

function append(state: MemoryState, log: MemoryLog, content: FrameContent): StoredFrame {
  assert(content.payload.length === content.count * log.readingBytes, 'whole readings');
  makeRoom(state, costOf(content));
  return insert(state, log, { ...content, firstSeq: assignNumbers(log, content.count) });
}

function startEpoch(state: MemoryState, old: MemoryLog, fromSeq: number): MemoryLog {
  const { previousStoreLost, phase } = successorOf(old);
  const readOld = (seq: number): StoredFrame | undefined => read(old, seq, 0)[0];
  const epoch = successorEpoch(old, fromSeq, readOld);
  const next = addLog(state, { epoch, definition: old.definition, previousStoreLost });
  moveReadings({
    from: old,
    fromSeq,
    read: readOld,
    to: next,
    append: (content) => insert(state, next, { ...content, firstSeq: assignNumbers(next, content.count) }),
  });
  next.phase = phase;
  keepOnly(state, ({ log, frame }) => log !== old || frame.firstSeq < fromSeq);
  state.journal?.changed(old, false);
  state.journal?.changed(next, false);
  if (old.nextSeq === 0) forget(state, old);
  return next;
}
