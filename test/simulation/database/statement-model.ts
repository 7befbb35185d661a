/** Owns what the modelled SQL statements have in common: where they run, what they answer, and the making of a row. */

import {
  change,
  databaseError,
  see,
  type Backends,
  type Transaction,
} from '#test/simulation/database/backends.ts';
import type { LockMode } from '#test/simulation/database/locks.ts';
import type { StreamRecord, Table } from '#test/simulation/database/storage.ts';

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

/**
 * INSERT ... ON CONFLICT DO NOTHING: true when it made the row. Waits for another transaction that is making the same one.
 */
export async function insertRow<T>(
  context: StatementContext,
  place: { readonly table: Table<T>; readonly key: string; readonly lock: string },
  row: T,
): Promise<boolean> {
  const { backends, transaction } = context;
  const { table, key, lock } = place;
  if (see(transaction, table, key) !== undefined) return false;
  await lockRow(context, `new-${lock}`, 'update');
  if (see(transaction, table, key) !== undefined) return false;
  if (backends.isDiskFull) throw databaseError('53100', 'could not extend file: no space left on device');
  change(transaction, table, key, () => row);
  return true;
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
