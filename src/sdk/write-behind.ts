/**
 * Owns what of a store in memory is not yet in its database: one transaction at a time, each of everything that changed
 * until it began, so that the database is always the memory of one moment. Who waits for durability is called in order.
 * Bound: that of the memory. A full database costs what is acknowledged first, then the oldest readings, a share at a time;
 * as long as it takes no readings, the numbers that were given are written without them, so that sending goes on.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { covers, rangesOf, type RangeSet } from '#base/ranges.ts';
import type { LogState } from '#sdk/device-log.ts';
import type { StoredFrame } from '#sdk/device-store.ts';
import type { MemoryEntry, MemoryJournal, MemoryLog } from '#sdk/memory-frames.ts';
import type { OwnedMemory } from '#sdk/memory-store.ts';

/** What the database keeps of a log. */
export interface LogRecord extends LogState {
  /** Numbers whose readings the database refused; without this process they are lost. */
  readonly unwritten: RangeSet;
}

export interface FrameRecord {
  readonly place: number;
  readonly logId: number;
  readonly frame: StoredFrame;
}

export interface HeaderRecord {
  readonly format: number;
  readonly epoch: string;
  readonly previousStoreLost: boolean;
  readonly incarnation: string | null;
  readonly nextLogId: number;
}

/** One transaction, in this order. */
export interface StoreBatch {
  /** Everything that is there is replaced. */
  readonly isWhole: boolean;
  /** Places of frames, half-open. */
  readonly removed: RangeSet;
  readonly forgotten: readonly number[];
  readonly header: HeaderRecord | null;
  readonly logs: readonly LogRecord[];
  readonly frames: readonly FrameRecord[];
}

export interface StoreDatabase {
  /** Durable when it resolves; nothing of it is there when it rejects. */
  write(batch: StoreBatch): Promise<void>;
  close(): void;
  /** Called when everything that was written is gone. */
  onGone: (() => void) | null;
}

export interface WriteBehindOptions {
  readonly clock: Pick<Clock, 'after'>;
  readonly database: StoreDatabase;
  readonly header: () => HeaderRecord;
  /** A page may freeze at any time, so little is left to a timer. Default 1000. */
  readonly lazyMs?: number;
  /** Waits between attempts of a database that refuses; doubled up to a minute. Default 1000. */
  readonly retryMs?: number;
  /** `isFull`: the database has begun to refuse, or to take again, what is written. */
  readonly onFull: (isFull: boolean, message: string) => void;
}

export interface WriteBehind {
  readonly journal: MemoryJournal;
  /** Must be called before anything changes. */
  attach(memory: OwnedMemory): void;
  /** Writes everything anew: nothing is in the database yet. */
  writeAll(): void;
  whenDurable(action: () => void): void;
  isFull(): boolean;
  /** Writes what is left, once, and closes the database. Calls that wait for what it refuses are dropped. */
  close(): Promise<void>;
}

interface BehindState {
  readonly options: WriteBehindOptions;
  memory: OwnedMemory;
  /** Counts changes that must be durable before they are shown. */
  changes: number;
  durable: number;
  readonly waiting: { readonly change: number; readonly action: () => void }[];
  logs: Set<MemoryLog>;
  frames: Map<number, MemoryEntry>;
  /** By place, what the database may still hold. */
  removed: Map<number, MemoryEntry>;
  forgotten: Set<number>;
  /** What the database knows of each log. */
  readonly written: Map<MemoryLog, RangeSet>;
  isHeaderDirty: boolean;
  isWhole: boolean;
  isScheduled: boolean;
  /** Something asked to be written while a transaction was under way. */
  isDue: boolean;
  writing: Promise<void> | null;
  isFull: boolean;
  /** The last refusal was for want of space. */
  isOutOfSpace: boolean;
  /** Not even numbers can be written: wait for the next attempt. */
  isBlocked: boolean;
  isRetryDue: boolean;
  retryMs: number;
  cancelRetry: (() => void) | null;
  cancelLazy: (() => void) | null;
  isClosed: boolean;
}

const DEFAULT_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
/** Share of what is held that goes for want of space, at each attempt. */
const DROP_SHARE = 1 / 16;

export function createWriteBehind(options: WriteBehindOptions): WriteBehind {
  const state: BehindState = {
    options,
    memory: undefined as never,
    changes: 0,
    durable: 0,
    waiting: [],
    logs: new Set(),
    frames: new Map(),
    removed: new Map(),
    forgotten: new Set(),
    written: new Map(),
    isHeaderDirty: false,
    isWhole: false,
    isScheduled: false,
    isDue: false,
    writing: null,
    isFull: false,
    isOutOfSpace: false,
    isBlocked: false,
    isRetryDue: false,
    retryMs: options.retryMs ?? DEFAULT_RETRY_MS,
    cancelRetry: null,
    cancelLazy: null,
    isClosed: false,
  };
  options.database.onGone = () => writeAll(state);
  return {
    journal: journalOf(state),
    attach: (memory) => {
      state.memory = memory;
    },
    writeAll: () => writeAll(state),
    whenDurable: (action) => {
      if (state.durable === state.changes) action();
      else state.waiting.push({ change: state.changes, action });
    },
    isFull: () => state.isFull,
    close: () => close(state),
  };
}

function journalOf(state: BehindState): MemoryJournal {
  return {
    added: (entry) => {
      state.frames.set(entry.place, entry);
      changed(state);
    },
    removed: (entry) => {
      if (!state.frames.delete(entry.place)) state.removed.set(entry.place, entry);
      changed(state);
    },
    changed: (log, canWait) => {
      state.logs.add(log);
      if (!canWait) return changed(state);
      state.cancelLazy ??= state.options.clock.after(state.options.lazyMs ?? 1000, () => {
        state.cancelLazy = null;
        schedule(state);
      });
    },
    forgotten: (log) => {
      state.forgotten.add(log.id);
      state.logs.delete(log);
      state.written.delete(log);
      changed(state);
    },
    incarnationChanged: () => {
      state.isHeaderDirty = true;
      changed(state);
    },
  };
}

function changed(state: BehindState): void {
  state.changes++;
  schedule(state);
}

function writeAll(state: BehindState): void {
  state.isWhole = true;
  state.isHeaderDirty = true;
  state.removed.clear();
  state.forgotten.clear();
  state.written.clear();
  for (const log of state.memory.logs.values()) state.logs.add(log);
  for (const entry of state.memory.entries()) state.frames.set(entry.place, entry);
  changed(state);
}

/** What one turn of the program changes goes into one transaction. */
function schedule(state: BehindState): void {
  if (state.isScheduled || state.isBlocked || state.isClosed) return;
  if (state.writing !== null) {
    state.isDue = true;
    return;
  }
  state.isScheduled = true;
  queueMicrotask(() => {
    state.isScheduled = false;
    if (state.writing === null && !state.isClosed) void drive(state);
  });
}

function drive(state: BehindState): Promise<void> {
  state.writing = writeTurn(state).finally(() => {
    state.writing = null;
    if (state.isDue) schedule(state);
    state.isDue = false;
  });
  return state.writing;
}

async function writeTurn(state: BehindState): Promise<void> {
  state.cancelLazy?.();
  state.cancelLazy = null;
  const hasFrames = !state.isFull || state.isRetryDue;
  if (hasFrames && (await writeOnce(state, true))) return;
  if (hasFrames && state.isOutOfSpace && (await makeSpace(state)) && (await writeOnce(state, true))) return;
  state.isBlocked = !(await writeOnce(state, false));
  if (hasFrames) armRetry(state);
}

/**
 * Drops acknowledged readings, else the oldest. A full database still takes deletions, and nothing else. True when it did.
 */
async function makeSpace(state: BehindState): Promise<boolean> {
  const { memory } = state;
  if (!memory.freeSettled()) memory.shrinkTo(Math.floor(memory.store.status().bytes * (1 - DROP_SHARE)));
  const removed = [...state.removed.values()].filter((entry) => isExplained(state, entry));
  const batch = { isWhole: false, forgotten: [], header: null, logs: [], frames: [] };
  try {
    await state.options.database.write({ ...batch, removed: placesOf(removed) });
  } catch {
    return false;
  }
  for (const { place } of removed) state.removed.delete(place);
  return removed.length > 0;
}

/** True when a frame may be missing without a word: it was settled, or it was the oldest of its log (stored-content.ts). */
function isExplained({ memory, written }: BehindState, { log, frame }: MemoryEntry): boolean {
  const end = frame.firstSeq + frame.count;
  if (covers(written.get(log) ?? [], { from: frame.firstSeq, to: end })) return true;
  const oldest = log.frames.items[log.frames.head];
  return (
    memory.logs.get(log.id) === log &&
    log.phase !== 'replaced' &&
    oldest !== undefined &&
    end <= oldest.firstSeq
  );
}

function placesOf(entries: readonly MemoryEntry[]): RangeSet {
  return rangesOf(entries.map(({ place }) => ({ from: place, to: place + 1 })));
}

function armRetry(state: BehindState): void {
  state.isRetryDue = false;
  if (state.cancelRetry !== null || state.isClosed) return;
  state.cancelRetry = state.options.clock.after(state.retryMs, () => {
    state.cancelRetry = null;
    state.isRetryDue = true;
    state.isBlocked = false;
    schedule(state);
  });
  state.retryMs = Math.min(MAX_RETRY_MS, state.retryMs * 2);
}

/** False when the database refused it; then everything is still to be written. */
async function writeOnce(state: BehindState, hasFrames: boolean): Promise<boolean> {
  const { changes } = state;
  const taken = take(state, hasFrames);
  try {
    await state.options.database.write(taken.batch);
  } catch (thrown) {
    putBack(state, taken);
    if (!state.isFull) state.options.onFull(true, messageOf(thrown));
    state.isFull = true;
    state.isOutOfSpace = thrown instanceof Error && thrown.name === 'QuotaExceededError';
    return false;
  }
  for (const log of taken.logs)
    if (state.memory.logs.get(log.id) === log) state.written.set(log, taken.settled.get(log)!);
  state.durable = Math.max(state.durable, changes);
  if (hasFrames) takesAgain(state);
  wake(state);
  return true;
}

function takesAgain(state: BehindState): void {
  if (!state.isFull) return;
  state.isFull = false;
  state.isRetryDue = false;
  state.retryMs = state.options.retryMs ?? DEFAULT_RETRY_MS;
  state.options.onFull(false, '');
}

function wake(state: BehindState): void {
  const { waiting } = state;
  let count = 0;
  while (count < waiting.length && waiting[count]!.change <= state.durable) count++;
  for (const { action } of waiting.splice(0, count)) action();
}

interface Taken {
  readonly batch: StoreBatch;
  readonly logs: Set<MemoryLog>;
  readonly frames: Map<number, MemoryEntry>;
  readonly removed: Map<number, MemoryEntry>;
  readonly forgotten: Set<number>;
  readonly settled: Map<MemoryLog, RangeSet>;
}

/** Everything that is to be written now, as it is at this moment. */
function take(state: BehindState, hasFrames: boolean): Taken {
  const { logs, removed, forgotten } = state;
  const frames = hasFrames ? state.frames : new Map<number, MemoryEntry>();
  const unwritten = hasFrames ? [] : [...state.frames.values()];
  // What a log lacks in the database changes with its frames.
  for (const { log } of frames.values()) logs.add(log);
  const batch: StoreBatch = {
    isWhole: state.isWhole,
    removed: placesOf([...removed.values()]),
    forgotten: [...forgotten],
    header: state.isHeaderDirty || logs.size > 0 ? state.options.header() : null,
    logs: [...logs].map((log) => recordOf(log, unwritten)),
    frames: [...frames.values()].map(({ log, place, frame }) => ({ place, logId: log.id, frame })),
  };
  state.logs = new Set();
  state.removed = new Map();
  state.forgotten = new Set();
  if (hasFrames) state.frames = new Map();
  state.isHeaderDirty = false;
  state.isWhole = false;
  return {
    batch,
    logs,
    frames,
    removed,
    forgotten,
    settled: new Map([...logs].map((log) => [log, log.settled])),
  };
}

function recordOf({ frames: _frames, ...log }: MemoryLog, unwritten: readonly MemoryEntry[]): LogRecord {
  const mine = unwritten.filter((entry) => entry.log.id === log.id);
  return {
    ...log,
    unwritten: rangesOf(
      mine.map(({ frame }) => ({ from: frame.firstSeq, to: frame.firstSeq + frame.count })),
    ),
  };
}

/** Joins what was refused with what has changed since. */
function putBack(state: BehindState, { batch, logs, frames, removed, forgotten }: Taken): void {
  state.isHeaderDirty ||= batch.header !== null;
  state.isWhole ||= batch.isWhole;
  for (const log of logs) if (state.memory.logs.has(log.id)) state.logs.add(log);
  for (const id of forgotten) state.forgotten.add(id);
  for (const [place, entry] of frames) if (!state.removed.delete(place)) state.frames.set(place, entry);
  for (const [place, entry] of removed) state.removed.set(place, entry);
}

async function close(state: BehindState): Promise<void> {
  if (state.isClosed) return;
  state.isClosed = true;
  state.cancelRetry?.();
  state.cancelLazy?.();
  await state.writing;
  // A full database takes at least the numbers.
  if (!(await writeOnce(state, true))) await writeOnce(state, false);
  state.options.database.close();
}
