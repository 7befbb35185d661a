/**
 * Owns what the modelled database does for the writer of one server process: the steps of its transactions
 * (#store/writer-connection.ts), as store/postgres-writer.ts has them in SQL, and what is made to go wrong with them.
 */

import { messageOf } from '#base/errors.ts';
import { subtract, union } from '#base/ranges.ts';
import type { StreamHandle } from '#contract/readings.ts';
import type { Chunk } from '#store/flush-plan.ts';
import type { WriterConnection, WriterDatabase } from '#store/writer-connection.ts';
import type { GuardRow, RangeChange } from '#store/writer-machine.ts';
import {
  change,
  databaseError,
  diskFull,
  type Backend,
  type Backends,
  type BackendSettings,
  type Transaction,
} from '#test/simulation/database/backends.ts';
import { openChannel, refused, type Channel } from '#test/simulation/database/channel.ts';
import { packChunks } from '#test/simulation/database/chunk-records.ts';
import type { CommitFate } from '#test/simulation/database/database-types.ts';
import { guardOrder, type ChunkRecord, type EpochRecord } from '#test/simulation/database/storage.ts';
import type { Process } from '#test/simulation/scheduler.ts';

/** SESSION_SETTINGS of store/postgres-writer.ts. */
const settings: BackendSettings = {
  role: 'kymo_writer',
  connectMs: 5_000,
  lockMs: 10_000,
  statementMs: 25_000,
  idleInTransactionMs: 3_000,
  durability: 'disk',
};

/** What is made to go wrong, until it is put right. */
export interface WriterFaults {
  nextCommit: CommitFate | null;
  partitionIsMissing: boolean;
  refusedStream: string | null;
}

export function createWriterModel(
  backends: Backends,
  faults: WriterFaults,
  process: Process,
): WriterDatabase {
  /** A statement on another connection, which nothing is in the way of. */
  const aside = <T>(work: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const { scheduler } = backends;
      backends.atServer(backends.latencyMs(), () => {
        let answer = (): void => reject(refused());
        if (scheduler.nowMs >= backends.upAtMs)
          try {
            const value = work();
            answer = () => resolve(value);
          } catch (error) {
            answer = () => reject(error instanceof Error ? error : new Error(String(error)));
          }
        scheduler.after(backends.latencyMs(), process, answer);
      });
    });

  return {
    async connect(onLost) {
      const channel = await openChannel(backends, process, settings, onLost);
      return createWriterConnection({ backends, faults, channel, aside });
    },
    makePartitions: () =>
      aside(() => {
        if (backends.isDiskFull) throw diskFull();
        faults.partitionIsMissing = false;
      }),
    end: () => Promise.resolve(),
  };
}

function createWriterConnection(parts: {
  backends: Backends;
  faults: WriterFaults;
  channel: Channel;
  aside: <T>(work: () => T) => Promise<T>;
}): WriterConnection {
  const { backends, faults, channel, aside } = parts;
  const { backend } = channel;
  let transactionIsOpen = false;

  return {
    lock(handles) {
      transactionIsOpen = true;
      return channel.request(() => {
        backends.begin(backend);
        return lockRows(backends, openTransaction(backend), handles);
      });
    },
    async write(chunks, changes) {
      const records = pack(chunks, backends.scheduler.nowMs);
      // The database says that it is ready for rows, and waits for them.
      if (chunks.length > 0)
        await channel.request(() => {
          openTransaction(backend);
          backend.isCopying = true;
        });
      await channel.request(() => {
        backend.isCopying = false;
        const transaction = openTransaction(backend);
        refuseRows(backends, faults, chunks);
        return changeRows(backends, transaction, { chunks, records, changes });
      });
    },
    async commit() {
      const command = await channel.request(() => commit(backends, faults, backend));
      transactionIsOpen = false;
      if (command !== 'COMMIT') throw new Error(`commit was answered with ${command}`);
    },
    async rollback() {
      if (!transactionIsOpen) return;
      transactionIsOpen = false;
      await channel.request(() => backends.rollback(backend));
    },
    terminateBlockers: () => aside(() => terminateBlockers(backends, backend)),
    destroy: () => channel.destroy(),
    end() {
      channel.destroy();
      return Promise.resolve();
    },
  };
}

function openTransaction({ transaction }: Backend): Transaction {
  // The product never writes outside a transaction: its statements would each be one of their own.
  if (transaction === null) throw databaseError('25P01', 'there is no transaction in progress');
  if (transaction.isAborted)
    throw databaseError('25P02', 'current transaction is aborted, commands ignored until end of block');
  return transaction;
}

async function lockRows(
  backends: Backends,
  transaction: Transaction,
  handles: readonly StreamHandle[],
): Promise<GuardRow[]> {
  const { epochs } = backends.storage;
  // Rows that are made while it waits are not seen; those that are deleted are gone.
  const seen = new Map<string, EpochRecord>();
  for (const { key } of handles) {
    const record = epochs.get(key);
    if (record?.hasGuard === true) seen.set(key, record);
  }
  for (const [key] of sorted(seen)) {
    const waiting = backends.lock(transaction, `guard/${key}`, 'update');
    if (waiting !== null) await waiting;
  }
  return handles.map(({ key }) => {
    const record = epochs.get(key);
    const isThere = record?.hasGuard === true && record.rowId === seen.get(key)?.rowId;
    return isThere
      ? { key, progress: { committed: record.committed, lost: record.lost }, generation: record.generation }
      : { key, progress: null, generation: 0 };
  });
}

function sorted(rows: Map<string, EpochRecord>): [string, EpochRecord][] {
  const list = [...rows];
  if (list.length > 1) list.sort(([, a], [, b]) => (a.order < b.order ? -1 : 1));
  return list;
}

function pack(chunks: readonly Chunk[], nowMs: number): ChunkRecord[] {
  try {
    return packChunks(chunks, nowMs * 1000);
  } catch (cause) {
    throw databaseError('22000', `a chunk cannot be packed: ${messageOf(cause)}`);
  }
}

function refuseRows(backends: Backends, faults: WriterFaults, chunks: readonly Chunk[]): void {
  if (backends.isDiskFull) throw diskFull();
  if (chunks.length === 0) return;
  if (faults.partitionIsMissing)
    throw databaseError('23514', 'no partition of relation "chunk" found for row');
  if (chunks.some(({ handle }) => handle.definition.stream === faults.refusedStream))
    throw databaseError('22P03', 'incorrect binary data format');
}

async function changeRows(
  backends: Backends,
  transaction: Transaction,
  rows: { chunks: readonly Chunk[]; records: readonly ChunkRecord[]; changes: readonly RangeChange[] },
): Promise<void> {
  const { epochs } = backends.storage;
  const chunksOf = new Map<string, ChunkRecord[]>();
  rows.chunks.forEach(({ handle }, i) => {
    const list = chunksOf.get(handle.key);
    if (list === undefined) chunksOf.set(handle.key, [rows.records[i]!]);
    else list.push(rows.records[i]!);
  });
  const found = new Set<string>();
  for (const { source } of inGuardOrder(rows.changes)) {
    const { key } = source.handle;
    if (epochs.get(key)?.hasGuard !== true) continue;
    // Held since the lock step; else this waits like any other change.
    const waiting = backends.lock(transaction, `guard/${key}`, 'change');
    if (waiting !== null) await waiting;
    if (epochs.get(key)?.hasGuard === true) found.add(key);
  }
  if (found.size !== rows.changes.length)
    throw databaseError('22000', `${rows.changes.length} changes met ${found.size} guard rows`);
  for (const { source, committed, lost, losses } of rows.changes) {
    const { key } = source.handle;
    const chunks = chunksOf.get(key) ?? [];
    chunksOf.delete(key);
    change(transaction, { table: epochs, key, row: 'guard' }, (now) =>
      now === undefined
        ? undefined
        : {
            ...now,
            committed: union(now.committed, committed),
            lost: union(subtract(now.lost, committed), subtract(lost, now.committed)),
            losses: losses.length === 0 ? now.losses : [...now.losses, ...losses],
            chunks: chunks.length === 0 ? now.chunks : [...now.chunks, ...chunks],
            isDirty: now.isDirty || committed.length > 0,
            hasDay: now.hasDay || committed.length > 0 || lost.length > 0,
            generation: Math.max(now.generation, source.claim?.generation ?? 0),
          },
    );
    transaction.added.push({ key, added: committed, declared: lost, chunks });
  }
  // Rows of an epoch whose guard row this flush does not change: the table takes them all the same.
  for (const [key, chunks] of chunksOf) {
    change(transaction, { table: epochs, key, row: null }, (now) =>
      now === undefined ? undefined : { ...now, chunks: [...now.chunks, ...chunks] },
    );
    transaction.added.push({ key, added: [], declared: [], chunks });
  }
}

function inGuardOrder(changes: readonly RangeChange[]): readonly RangeChange[] {
  if (changes.length < 2) return changes;
  const order = ({ source: { handle } }: RangeChange): string =>
    guardOrder(handle.definition.stream, handle.epoch);
  return changes.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

function commit(backends: Backends, faults: WriterFaults, backend: Backend): 'COMMIT' | 'ROLLBACK' {
  // PostgreSQL answers with COMMIT and a warning, which the product takes for a commit that it may not rely on.
  if (backend.transaction === null) throw new Error('there is no transaction in progress');
  let fate = faults.nextCommit;
  faults.nextCommit = null;
  if (fate !== null) backends.counters.unknownCommits++;
  if (fate === 'dies-during') fate = backends.scheduler.random.next() < 0.5 ? 'dies-before' : 'answer-lost';
  if (fate === 'dies-before') {
    const error = databaseError('57P01', 'terminating connection due to administrator command');
    backends.end(backend, error);
    throw error;
  }
  const command = backends.commit(backend);
  if (fate === 'answer-lost') backends.end(backend, null);
  return command;
}

/** TERMINATE_SQL: who waits for its client. One that commits is never among them, since a commit is one event here. */
function terminateBlockers(backends: Backends, backend: Backend): { pid: number; ended: boolean }[] {
  const { transaction } = backend;
  if (transaction === null) return [];
  const blockers = new Set(
    backends.locks
      .blockersOf(transaction)
      // One that waits for a lock itself does not wait for its client.
      .filter((blocker) => backends.locks.blockersOf(blocker).length === 0)
      .map((blocker) => (blocker as Transaction).backend),
  );
  const ended: { pid: number; ended: boolean }[] = [];
  for (const blocker of blockers) {
    if (blocker.settings.role !== settings.role || blocker.isActive) continue;
    backends.counters.terminatedBlockers++;
    backends.end(blocker, databaseError('57P01', 'terminating connection due to administrator command'));
    ended.push({ pid: blocker.pid, ended: true });
  }
  return ended;
}
