/**
 * Owns what a failure of PostgreSQL or of the way to it means to a caller: `store-unavailable` (cannot be reached, is
 * starting or stopping), `overloaded` (no free connection, no room, or no answer in the time a caller may wait), or a
 * bug, which is passed on as it is. Both codes are temporary: the same request may succeed later.
 */

import { AppError, messageOf } from '#base/errors.ts';

/** SQLSTATEs (PostgreSQL appendix A) and system errors that say: no usable server at the other end. */
const unavailableCodes: ReadonlySet<string> = new Set([
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '25006', // read_only_sql_transaction: a standby
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOTFOUND',
]);

const fullCodes: ReadonlySet<string> = new Set([
  '53100', // disk_full
  '53200', // out_of_memory
]);

const overloadedCodes: ReadonlySet<string> = new Set([
  '53300', // too_many_connections
  '55P03', // lock_not_available: lock_timeout
  '57014', // query_canceled: statement_timeout
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '25P03', // idle_in_transaction_session_timeout
]);

/** What our own functions in the database refuse (migration 0018); expected outcomes, in words for whoever asked. */
const refusals: Readonly<Record<string, AppError>> = {
  KY001: new AppError('conflict', 'this idempotency key stands for another job'),
  KY002: new AppError('rate-limited', 'your organisation has too many jobs open: wait until some have ended'),
  KY003: new AppError('not-found', 'there is no such thing, or it is not yours'),
  KY004: new AppError('outdated', 'the job was taken over, cancelled or removed'),
};

/** `pg` gives these no code. */
const unavailableMessages =
  /^(Connection terminated|Client has encountered|Query read timeout|Client was closed)/;
const saturatedMessage = 'timeout exceeded when trying to connect';

/** The AppError that `thrown` stands for, or `thrown` itself when it is a bug. */
export function storeError(thrown: unknown): unknown {
  if (thrown instanceof AppError || !(thrown instanceof Error)) return thrown;
  const code: unknown = (thrown as { code?: unknown }).code;
  const text = typeof code === 'string' ? code : '';
  const refusal = refusals[text];
  if (refusal !== undefined)
    return new AppError(refusal.code, refusal.message, { temporary: text === 'KY002', cause: thrown });
  if (thrown.message === saturatedMessage || overloadedCodes.has(text))
    return new AppError('overloaded', 'the database is busy', { temporary: true, cause: thrown });
  if (fullCodes.has(text))
    return new AppError('overloaded', 'the database has no room', { temporary: true, cause: thrown });
  if (unavailableCodes.has(text) || text.startsWith('08') || unavailableMessages.test(messageOf(thrown)))
    return new AppError('store-unavailable', 'the database cannot be reached', {
      temporary: true,
      cause: thrown,
    });
  return thrown;
}
