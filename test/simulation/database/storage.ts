/**
 * Owns what the modelled database has stored, and its log of commits. Records are never changed in place: a commit puts new
 * ones, and notes what was there before, so that a crash, a restore or a failover can go back. Invariant: what a durable
 * commit put, and all before it, survives a crash. Bound: the log keeps the last LOG_ENTRIES commits.
 */

import type { RangeSet } from '#base/ranges.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { PackedChunk } from '#store/chunk-codec.ts';
import type { EpochTable, StoredChunk, StreamTable } from '#test/simulation/database/database-types.ts';

/** More than any history commits within the longest loss of a failover. */
const LOG_ENTRIES = 10_000;
/** The log is written to disk at least this often, whoever waits for it: three times wal_writer_delay. */
const WRITTEN_WITHIN_MS = 600;

/** A row of kymo.chunk, with its times decoded. */
export interface ChunkRecord extends StoredChunk, PackedChunk {
  readonly firstUs: number;
  readonly lastUs: number;
}

export interface EpochRecord extends EpochTable {
  readonly streamId: string;
  readonly epoch: string;
  readonly orgId: string;
  /** Tells a guard row from one that was deleted and made again. */
  readonly rowId: number;
  /** In the order of (stream_id, epoch), epochs signed. */
  readonly order: string;
  readonly openedAtMs: number;
  readonly isDirty: boolean;
  /** Whether the roll-up keeper has a row of progress here. */
  readonly hasProgress: boolean;
  /** Some flush has changed the guard row. */
  readonly hasDay: boolean;
  /** Of the connection that wrote last. */
  readonly generation: number;
  readonly chunks: readonly ChunkRecord[];
}

export interface StreamRecord extends StreamTable {
  readonly sessionId: string;
}

export interface SessionRecord {
  readonly orgId: string;
  readonly label: string;
  readonly isSynthetic: boolean;
  readonly isEnded: boolean;
}

export interface DeviceRecord {
  readonly identity: DeviceIdentity;
  readonly key: string;
  readonly generation: number;
}

/** One table by its primary key. */
export type Table<T> = Map<string, T>;

/** What a transaction will do to one record when it commits; `undefined`: there is none. */
export interface Change<T = unknown> {
  readonly table: Table<T>;
  readonly key: string;
  /** Which row of the record, where it holds rows of several tables; null: one that nobody else would make. */
  readonly row: RowKind | null;
  readonly apply: (now: T | undefined) => T | undefined;
}

/** The guard row of an epoch, the keeper's row of progress, or the record as a whole. */
export type RowKind = 'guard' | 'progress' | 'record';

interface Undo {
  readonly table: Table<unknown>;
  readonly key: string;
  readonly before: unknown;
}

interface LogEntry {
  readonly atMs: number;
  readonly undo: readonly Undo[];
}

export interface Storage {
  readonly epochs: Table<EpochRecord>;
  readonly streams: Table<StreamRecord>;
  readonly sessions: Table<SessionRecord>;
  readonly devices: Table<DeviceRecord>;
  /** By the id of the session or stream. */
  readonly erased: Table<{ readonly orgId: string }>;
  /** Drawn anew with every restore and promotion. */
  incarnation: string;
  commit(changes: readonly Change[], how: { nowMs: number; isDurable: boolean }): void;
  /** How many of the newest commits a crash may lose. */
  uncertain(nowMs: number): number;
  /** Drops so many of the newest commits. */
  drop(count: number): number;
  /** Drops all commits since; returns how many. */
  rewind(toMs: number): number;
  backUp(): void;
  /** False, and nothing happens, without a back-up. */
  restore(): boolean;
}

export function createStorage(incarnation: string): Storage {
  const tables = {
    epochs: new Map<string, EpochRecord>(),
    streams: new Map<string, StreamRecord>(),
    sessions: new Map<string, SessionRecord>(),
    devices: new Map<string, DeviceRecord>(),
    erased: new Map<string, { readonly orgId: string }>(),
  };
  const all = Object.values(tables) as Table<unknown>[];
  let log: LogEntry[] = [];
  /** Entries of the log that are on disk for certain. */
  let written = 0;
  let backUp: (readonly (readonly [string, unknown])[])[] | null = null;

  function put(table: Table<unknown>, key: string, value: unknown): void {
    if (value === undefined) table.delete(key);
    else table.set(key, value);
  }

  /** Drops the newest entries, down to `length` of them. */
  function dropTo(length: number): number {
    const dropped = log.length - length;
    for (let entry = dropped; entry > 0; entry--)
      for (const { table, key, before } of log.pop()!.undo.toReversed()) put(table, key, before);
    written = Math.min(written, length);
    return dropped;
  }

  return {
    ...tables,
    incarnation,
    commit(changes, { nowMs, isDurable }) {
      const undo: Undo[] = [];
      for (const { table, key, apply } of changes) {
        const before = table.get(key);
        undo.push({ table, key, before });
        put(table, key, apply(before));
      }
      log.push({ atMs: nowMs, undo });
      if (log.length > LOG_ENTRIES) {
        log = log.slice(log.length / 2);
        written = Math.max(0, written - LOG_ENTRIES / 2);
      }
      if (isDurable) written = log.length;
    },
    uncertain(nowMs) {
      while (written < log.length && log[written]!.atMs <= nowMs - WRITTEN_WITHIN_MS) written++;
      return log.length - written;
    },
    drop: (count) => dropTo(log.length - count),
    rewind(toMs) {
      let length = log.length;
      while (length > 0 && log[length - 1]!.atMs > toMs) length--;
      return dropTo(length);
    },
    backUp() {
      backUp = all.map((table) => [...table]);
    },
    restore() {
      if (backUp === null) return false;
      for (const [i, rows] of backUp.entries()) {
        all[i]!.clear();
        for (const [key, value] of rows) all[i]!.set(key, value);
      }
      log = [];
      written = 0;
      return true;
    },
  };
}

/** Sorts as PostgreSQL does: by uuid, then by the epoch as a signed number. */
export function guardOrder(streamId: string, epoch: string): string {
  return `${streamId}/${(Number.parseInt(epoch[0]!, 16) ^ 8).toString(16)}${epoch.slice(1)}`;
}

/** A guard row that was just made; `left`: what an erasure that is not over has left in the other tables. */
export function openedEpoch(
  name: { streamId: string; epoch: string; orgId: string },
  row: { rowId: number; openedAtMs: number; left: EpochRecord | undefined },
): EpochRecord {
  const { rowId, openedAtMs, left } = row;
  const none: RangeSet = [];
  return {
    ...name,
    rowId,
    openedAtMs,
    order: guardOrder(name.streamId, name.epoch),
    hasGuard: true,
    committed: none,
    lost: none,
    tailLost: false,
    losses: left?.losses ?? [],
    chunks: left?.chunks ?? [],
    rolled: left?.rolled ?? none,
    rollups: left?.rollups ?? new Map(),
    isDirty: false,
    hasProgress: left?.hasProgress ?? false,
    hasDay: false,
    generation: 0,
  };
}
