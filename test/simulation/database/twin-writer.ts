/** Owns one writer's connection at one of the two places, and the steps of its transactions as the writer machine plans them. */

import type { Frame, LossDeclaration, StreamHandle } from '#contract/readings.ts';
import { planStream } from '#store/flush-plan.ts';
import type { WriterConnection, WriterDatabase } from '#store/writer-connection.ts';
import type { GuardRow, RangeChange } from '#store/writer-machine.ts';
import { createTestSource } from '#test/support/frame-source.ts';

/** What a flush brings of one stream. */
export interface Work {
  readonly handle: StreamHandle;
  readonly frames: readonly Frame[];
  readonly losses: readonly LossDeclaration[];
  /** Of the connection that brings it; a newer one claims the stream even with nothing new. */
  readonly generation: number;
}

export interface TwinWriter {
  readonly isLost: boolean;
  connect(): Promise<void>;
  lock(handles: readonly StreamHandle[]): Promise<readonly GuardRow[]>;
  /** Writes what of the work is new by the rows that were locked last; false when nothing is. */
  write(work: readonly Work[]): Promise<boolean>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** How many were ended. */
  terminateBlockers(): Promise<number>;
  destroy(): void;
  end(): Promise<void>;
}

export function createTwinWriter(database: WriterDatabase): TwinWriter {
  let connection: WriterConnection | null = null;
  let isLost = true;
  let rows: readonly GuardRow[] = [];
  const connected = (): WriterConnection => {
    if (connection === null) throw new Error('it was never connected');
    return connection;
  };
  return {
    get isLost() {
      return isLost;
    },
    async connect() {
      let isMine = true;
      const fresh = await database.connect(() => {
        isMine = false;
        if (connection === fresh) isLost = true;
      });
      connection = fresh;
      isLost = !isMine;
    },
    async lock(handles) {
      rows = await connected().lock(handles);
      return rows;
    },
    async write(work) {
      const rowOf = new Map(rows.map((row) => [row.key, row]));
      const plans = work.flatMap(({ handle, frames, losses, generation }) => {
        const row = rowOf.get(handle.key);
        if (row === undefined || row.progress === null) return [];
        const plan = planStream({ handle, progress: row.progress, frames, losses });
        const source = createTestSource(handle, { generation, opened: row.progress });
        return [{ plan, source, claims: generation > row.generation }];
      });
      const changes = plans
        .filter(({ plan, claims }) => claims || plan.added.length > 0 || plan.declared.length > 0)
        .map(({ plan, source }): RangeChange => ({
          source,
          committed: plan.added,
          lost: plan.declared,
          losses: plan.losses,
        }));
      if (changes.length === 0) return false;
      await connected().write(
        plans.flatMap(({ plan }) => plan.chunks),
        changes,
      );
      return true;
    },
    commit: async () => connected().commit(),
    rollback: async () => connected().rollback(),
    terminateBlockers: async () =>
      (await connected().terminateBlockers()).filter(({ ended }) => ended).length,
    destroy() {
      connection?.destroy();
      isLost = true;
    },
    async end() {
      await connection?.end().catch(() => undefined);
    },
  };
}
