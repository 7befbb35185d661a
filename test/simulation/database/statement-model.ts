/** Owns what the modelled SQL statements have in common: where they run, what they answer, and the making of a row. */

import {
  change,
  diskFull,
  see,
  type Backends,
  type Transaction,
} from '#test/simulation/database/backends.ts';
import type { LockMode } from '#test/simulation/database/locks.ts';
import type { RowKind, StreamRecord, Table } from '#test/simulation/database/storage.ts';

export interface StatementResult {
  readonly rows: readonly unknown[];
  readonly rowCount: number;
}

/** Where a statement runs. */
export interface StatementContext {
  readonly backends: Backends;
  readonly transaction: Transaction;
}

export type StatementModel = (
  context: StatementContext,
  values: readonly unknown[],
) => StatementResult | Promise<StatementResult>;

export const none: StatementResult = { rows: [], rowCount: 0 };

export function rowsOf(...rows: unknown[]): StatementResult {
  return { rows, rowCount: rows.length };
}

/** Takes a row lock, and waits for it where somebody else has it. */
export async function lockRow(
  { backends, transaction }: StatementContext,
  key: string,
  mode: LockMode,
): Promise<void> {
  const waiting = backends.lock(transaction, key, mode);
  if (waiting !== null) await waiting;
}

/** A row by its primary key. */
export interface RowPlace<T> {
  readonly table: Table<T>;
  readonly key: string;
  readonly row?: RowKind;
  /** Whether the record has this row. */
  readonly has?: (record: T) => boolean;
}

/** INSERT ... ON CONFLICT DO NOTHING: true when it made the row. Throws like any statement that waits. */
export async function insertRow<T>(
  context: StatementContext,
  place: RowPlace<T>,
  make: (now: T | undefined) => T | undefined,
): Promise<boolean> {
  const { backends, transaction } = context;
  const { table, key, has = () => true } = place;
  // Also a row that is there already, and that another transaction is changing, is waited for: it might be deleted.
  for (let other = whoChanges(context, place); other !== null; other = whoChanges(context, place)) {
    const xid = `xid/${other.xid}`;
    backends.locks.tryAcquire(other, xid, 'update');
    await lockRow(context, xid, 'share');
  }
  const now = see(transaction, table, key);
  if (now !== undefined && has(now)) return false;
  if (backends.isDiskFull) throw diskFull();
  change(transaction, place, make);
  return true;
}

function whoChanges<T>(
  { backends, transaction }: StatementContext,
  { table, key, row = 'record' }: RowPlace<T>,
): Transaction | null {
  for (const { transaction: other } of backends.all()) {
    if (other === null || other === transaction) continue;
    for (const one of other.changes)
      if ((one.table as unknown) === table && one.key === key && one.row === row) return other;
  }
  return null;
}

/** A stream as the organisation of the transaction sees it. */
export function visibleStream(
  { backends, transaction }: StatementContext,
  id: string,
): StreamRecord | undefined {
  const stream = see(transaction, backends.storage.streams, id);
  return stream?.orgId === transaction.orgId ? stream : undefined;
}

/** Streams of a session, with what the transaction itself has changed of them. */
export function streamsOfSession(
  { backends, transaction }: StatementContext,
  sessionId: string,
): [string, StreamRecord][] {
  const { streams } = backends.storage;
  const ids = new Set(streams.keys());
  for (const { table, key } of transaction.changes) if ((table as unknown) === streams) ids.add(key);
  const found: [string, StreamRecord][] = [];
  for (const id of ids) {
    const stream = see(transaction, streams, id);
    if (stream !== undefined && stream.sessionId === sessionId) found.push([id, stream]);
  }
  return found;
}

export function isErased(
  { backends, transaction }: StatementContext,
  orgId: string,
  ...ids: readonly string[]
): boolean {
  return ids.some((id) => see(transaction, backends.storage.erased, id)?.orgId === orgId);
}
