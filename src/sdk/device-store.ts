/**
 * Owns the contract of a device's store: a bounded, numbered log of readings that are kept until acknowledged.
 * A log is one (stream, epoch); at most one log of a stream is current, older ones are leftovers that still have
 * something to deliver. A number is never given to two readings of one log. Acknowledged readings are dropped only when
 * space is needed (a restored server may ask again), then the oldest unacknowledged ones, each drop a recorded loss.
 * All operations are synchronous: what `append` returned survives the death of the process, with a store that writes
 * behind from the next call of what `whenDurable` was given on. Nothing of what a store was told may be shown to a server
 * before it would survive: else a number could be given twice.
 */

import { emptyRanges, subtract, type RangeSet } from '#base/ranges.ts';
import type { DeviceMessage, StreamDefinition } from '#protocol/messages.ts';

/** Bounds of every store. */
export const storeLimits = {
  /** As many as one connection can open (protocol/limits.ts), so that all of them fit one connection. */
  logs: 256,
  /** Losses of one log before neighbours are merged: as many fragments as the server keeps of one epoch. */
  lossesPerLog: 256,
} as const;

export type LossReason = Extract<DeviceMessage, { type: 'tombstone' }>['reason'];

/** Readings [from, to) that will never come, and why. */
export interface Loss {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly reason: LossReason;
}

/** Readings on their way to a number. The store takes `deltasUs` and `payload` over: do not change them afterwards. */
export interface FrameContent {
  readonly count: number;
  /** Device time of the first reading, microseconds. */
  readonly firstUs: number;
  readonly periodNs: number;
  /** count x u32 little endian, microseconds after firstUs; null when evenly spaced. */
  readonly deltasUs: Uint8Array | null;
  /** count x axes, packed by the stream's encoding. */
  readonly payload: Uint8Array;
}

export interface StoredFrame extends FrameContent {
  readonly firstSeq: number;
}

/**
 * `recording`: more readings may come. `ended`: none will, and the server must be told. `replaced`: another epoch of the
 * stream took over. `finished`: the server has confirmed the end.
 */
export type LogPhase = 'recording' | 'ended' | 'replaced' | 'finished';

/** One (stream, epoch) as its store shows it; the store changes it in place. */
export interface DeviceLog {
  /** Unique within the store. */
  readonly id: number;
  readonly epoch: string;
  readonly definition: StreamDefinition;
  /** Bytes of one packed reading. */
  readonly readingBytes: number;
  /** This epoch took over from one of whose end nothing is known. */
  readonly previousStoreLost: boolean;
  readonly phase: LogPhase;
  /** The number that the next reading gets. */
  readonly nextSeq: number;
  /** What the server last stated as committed or declared lost. */
  readonly settled: RangeSet;
  /** Every loss, settled or not, ascending and disjoint. */
  readonly losses: readonly Loss[];
}

export interface StoreStatus {
  /** Bytes held, acknowledged readings included. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Readings dropped unacknowledged, for want of space, since the store was opened. */
  readonly droppedReadings: number;
  /** True while the disk refuses what is written. */
  readonly isDiskFull: boolean;
}

export interface DeviceStore {
  /** The epoch of streams that are defined now. 16 hexadecimal digits. */
  readonly epoch: string;
  /** True when the store was found damaged, or may have lost its end in a power failure, and `epoch` is new since. */
  readonly previousStoreLost: boolean;
  /** The server incarnation that has seen everything held here; null before the first. */
  readonly incarnation: string | null;
  setIncarnation(incarnation: string): void;
  /** All logs, oldest first, at most storeLimits.logs. */
  logs(): readonly DeviceLog[];
  /**
   * The current log of the definition's stream, made if there is none. Throws AppError: `stream-mismatch` when the
   * stream has another definition, `stream-closed` when it ended, `limit-exceeded` when all logs are in use. `isResumed`:
   * the program believes that the stream was recorded before; a store that knows nothing of that has lost it.
   */
  define(definition: StreamDefinition, isResumed?: boolean): DeviceLog;
  /**
   * Numbers the readings and keeps them. Null when they could not be kept (the disk is full): they have their numbers,
   * and are a loss that the log states as soon as it can be written.
   */
  append(log: DeviceLog, content: FrameContent): StoredFrame | null;
  /** Numbers `count` readings that do not exist, e.g. because the sensor failed. */
  skip(log: DeviceLog, count: number, reason: LossReason): void;
  /** States that readings of the past are gone. */
  declareLost(log: DeviceLog, loss: Loss): void;
  /**
   * Frames that hold readings from `fromSeq` on, ascending, until `maxBytes` of payload are reached; at least one when
   * there is one. The first may begin before `fromSeq`.
   */
  read(log: DeviceLog, fromSeq: number, maxBytes: number): StoredFrame[];
  /** The numbers whose readings are held. */
  held(log: DeviceLog): RangeSet;
  /** Replaces what is known to be settled. A smaller set than before is a server that was restored. */
  setSettled(log: DeviceLog, settled: RangeSet): void;
  /** No more readings will come. */
  end(log: DeviceLog): void;
  /** The server has confirmed the end: the log may go once its space is needed. */
  finish(log: DeviceLog): void;
  /**
   * Drops the log with everything held of it, settled or not: its stream was erased on the server. What of it shares a
   * file with readings of other streams goes with them.
   */
  forget(log: DeviceLog): void;
  /**
   * Begins a new epoch of the log's stream. The readings of the old log from `fromSeq` on that are not settled get new
   * numbers there, in order; losses among them move along. The old log is cut at `fromSeq`, is `replaced`, and keeps
   * what lies below. Returns the new log, which has the old one's phase.
   */
  startEpoch(log: DeviceLog, fromSeq: number): DeviceLog;
  status(): StoreStatus;
  /** Called when unacknowledged readings are dropped or found damaged, and when the disk is full or no longer so. */
  onEvent: ((event: StoreEvent) => void) | null;
  /** Writes everything to the medium and lets go of it. The store must not be used afterwards. */
  close(): void;
  /**
   * Only of stores that write behind: calls `action` once everything that the store was told so far would survive the
   * death of the process; at once when it does already. Calls come in the order in which they were asked for.
   */
  readonly whenDurable?: (action: () => void) => void;
  /** Only of stores that write behind: resolves when `close` is done. */
  readonly closed?: Promise<void>;
}

export type StoreEvent =
  | { readonly type: 'loss'; readonly log: DeviceLog; readonly loss: Loss }
  /** The disk refuses what is written. */
  | { readonly type: 'store-full-disk'; readonly message: string }
  | { readonly type: 'store-disk-ok' }
  /** The disk does not give back what it holds, for now at least; nothing is declared lost for it. */
  | { readonly type: 'store-unreadable'; readonly message: string };

/** The numbers of a log that the server has not settled. */
export function unsettled(log: Pick<DeviceLog, 'nextSeq' | 'settled'>): RangeSet {
  if (log.nextSeq === 0) return emptyRanges;
  return subtract([{ from: 0, to: log.nextSeq }], log.settled);
}

/** True when every number that was given is settled. No allocation in the common case of one range. */
export function isSettled(log: Pick<DeviceLog, 'nextSeq' | 'settled'>): boolean {
  const first = log.settled[0];
  return log.nextSeq === 0 || (first !== undefined && first.from === 0 && first.to >= log.nextSeq);
}
