/**
 * Owns what the simulation sees of the model of the database: how a server process reaches it, what is stored in it, and
 * what can go wrong with it. The model itself is in database-model.ts, and test/integration/database-model.test.ts holds it
 * against PostgreSQL.
 */

import type { RangeSet } from '#base/ranges.ts';
import type { DeviceIdentity, LossDeclaration } from '#contract/readings.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import type { RollupRow } from '#store/rollup-rows.ts';
import type { WriterDatabase } from '#store/writer-connection.ts';
import type { Process } from '#test/simulation/scheduler.ts';

export interface DatabaseOptions {
  /** Of one message between a server and the database, drawn for each. */
  readonly latencyMs: readonly [number, number];
  /** How long a restore or a promotion takes, drawn for each: nobody connects meanwhile. */
  readonly promotionMs: readonly [number, number];
}

export interface DatabaseModel {
  /** A server process's way in; every answer is an event of that process after a simulated latency. */
  connect(process: Process): ServerDatabase;
  /** Called synchronously within every COMMIT that changed something, with what it changed. Set by the oracle. */
  onCommit: ((change: CommittedChange) => void) | null;
  /** What a new transaction would see now. The maps are the model's own: never changed by who reads them. */
  readonly tables: Tables;
  readonly faults: DatabaseFaults;
  readonly incarnation: string;
  readonly counters: Readonly<DatabaseCounters>;
}

export interface ServerDatabase {
  readonly writer: WriterDatabase;
  /** As src/app/backend.ts makes it. Calls fail with the AppErrors that the pools have. */
  readonly backend: IngestBackend;
  /**
   * One pass of the roll-up keeper over all dirty epochs: the production steps over the model. Rejects, as the keeper's
   * step does, when the database fails.
   */
  rollUp(): Promise<void>;
}

/** Keys of epochs are `${streamId}/${epoch}`. */
export interface Tables {
  readonly epochs: ReadonlyMap<string, EpochTable>;
  readonly streams: ReadonlyMap<string, StreamTable>;
  /** Of stream ids and session ids. */
  readonly erased: ReadonlySet<string>;
}

export interface StreamTable {
  readonly definition: StreamDefinition;
  readonly orgId: string;
  readonly deviceId: string;
  readonly isEnded: boolean;
}

/** All that is stored of one (stream, epoch). */
export interface EpochTable {
  /** False: an erasure has removed the guard row and is about to remove the rest. */
  readonly hasGuard: boolean;
  readonly committed: RangeSet;
  readonly lost: RangeSet;
  readonly tailLost: boolean;
  readonly losses: readonly LossDeclaration[];
  /** In the order of their commits. */
  readonly chunks: readonly StoredChunk[];
  readonly rolled: RangeSet;
  /** By `rowName` (#store/rollup-levels.ts). */
  readonly rollups: ReadonlyMap<string, RollupRow>;
}

/** One row of kymo.chunk, read as every reader of the product reads it. */
export interface StoredChunk {
  readonly firstSeq: number;
  readonly n: number;
  /** Device time of each reading. */
  readonly timesUs: Float64Array;
  /** The packed readings. */
  readonly payload: Uint8Array;
}

/** What one COMMIT added, per (stream, epoch). */
export interface CommittedChange {
  readonly by: Process;
  readonly epochs: readonly {
    readonly key: string;
    readonly added: RangeSet;
    readonly declared: RangeSet;
    readonly chunks: readonly StoredChunk[];
  }[];
}

/** What becomes of a COMMIT of a writer; `dies-during`: either of the others, by chance. */
export type CommitFate = 'answer-lost' | 'dies-before' | 'dies-during';

export interface DatabaseFaults {
  /** Set-up, not a fault. `key` as src/identity/keys.ts makes it. */
  addDevice(key: string, identity: DeviceIdentity): void;
  /**
   * kill -9 and restart: open transactions go, and of the commits that nobody waited for on disk, the newest may go: the
   * write-ahead log is one sequence, and ends where it was last written.
   */
  crash(downMs: number): void;
  nextCommit(fate: CommitFate): void;
  /** pg_terminate_backend of every open transaction of a writer. */
  killBackends(): void;
  /** Whatever writes fails with 53100. */
  setDiskFull(isFull: boolean): void;
  /** No chunk finds its partition until partitions were made. */
  missPartition(): void;
  /** Rows of this stream are refused with 22P03; null: no more. */
  refuseStream(streamId: string | null): void;
  setLatency(minMs: number, maxMs: number): void;
  /** Answers nothing meanwhile: a stopped postmaster, a stalled disk. */
  freeze(forMs: number): void;
  backUp(): void;
  /** The state of the last back-up, as a new incarnation; all connections die. Nothing happens without a back-up. */
  restore(): void;
  /** Another node takes over, as a new incarnation, without what was committed in the last `losesMs`; 0: it was synchronous. */
  failover(losesMs: number): void;
  /** As src/store/erasure.ts; tried again until the database has done it. */
  erase(sessionOrStreamId: string): Promise<void>;
}

/** What happened, for the coverage of a run. */
export interface DatabaseCounters {
  commits: number;
  lockWaits: number;
  lockTimeouts: number;
  idleTimeouts: number;
  deadlocks: number;
  killedBackends: number;
  terminatedBlockers: number;
  lostCommits: number;
  unknownCommits: number;
  crashes: number;
}
