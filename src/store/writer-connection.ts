/**
 * Owns what the writer asks of a database, and nothing of how: the simulator has a model behind it, PostgreSQL is behind
 * it everywhere else. What a method throws carries PostgreSQL's SQLSTATE as `code` where the database said one; without
 * one the connection is gone and nothing is known of the outcome.
 */

import type { StreamHandle } from '#contract/readings.ts';
import type { Chunk } from '#store/flush-plan.ts';
import type { GuardRow, RangeChange } from '#store/writer-machine.ts';

/** One connection, and the steps of one transaction on it: lock, write, commit; or rollback at any point. */
export interface WriterConnection {
  /** BEGIN, then the guard rows locked in (stream, epoch) order. Answers in the order of `handles`. */
  lock(handles: readonly StreamHandle[]): Promise<GuardRow[]>;
  /** The chunks, the changes of the guard rows, and the declared losses. */
  write(chunks: readonly Chunk[], changes: readonly RangeChange[]): Promise<void>;
  /** Resolves only when the database said that the transaction is committed. */
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** Ends the backends of this role that hold what this connection waits for. Says which, and whether they ended. */
  terminateBlockers(): Promise<readonly { readonly pid: number; readonly ended: boolean }[]>;
  /** Cuts the connection without waiting for an answer. */
  destroy(): void;
  end(): Promise<void>;
}

export interface WriterDatabase {
  /** `onLost` is called when the connection broke, also between steps. */
  connect(onLost: () => void): Promise<WriterConnection>;
  /** Makes the partitions of the days to come. */
  makePartitions(): Promise<void>;
  end(): Promise<void>;
}
