/**
 * Owns who works on what follows from a session's readings: one server at a time for a kind of work, and none while the
 * session is being erased. Advisory locks on the connection that works, so that they go when the server dies.
 */

import type pg from 'pg';

import { messageOf } from '#base/errors.ts';
import { ERASURE_LOCK } from '#store/erasure.ts';

/** Of the advisory locks; the numbers are arbitrary. Two sessions with one hash wait for each other, no more. */
const workLocks = { windows: 5_962_122, analysis: 5_962_123 } as const;

/** Runs `work` under the session's lock, or answers null at once when another server has it or the session is erased. */
export async function underSessionLock<T>(
  client: pg.ClientBase,
  { kind, sessionId }: { readonly kind: keyof typeof workLocks; readonly sessionId: string },
  work: () => Promise<T>,
): Promise<T | null> {
  const values = [workLocks[kind], ERASURE_LOCK, sessionId];
  const { rows } = await client.query<{ mine: boolean; shared: boolean }>({
    name: 'session-lock',
    text: `select pg_try_advisory_lock($1::int, hashtext($3)) as mine,
      pg_try_advisory_lock_shared($2::int, hashtext($3)) as shared`,
    values,
  });
  const { mine = false, shared = false } = rows[0] ?? {};
  try {
    return mine && shared ? await work() : null;
  } finally {
    await client
      .query({
        name: 'session-unlock',
        text: `select case when $4 then pg_advisory_unlock($1::int, hashtext($3)) end,
          case when $5 then pg_advisory_unlock_shared($2::int, hashtext($3)) end`,
        values: [...values, mine, shared],
      })
      .catch((error: unknown) => {
        // The connection is ended by who lent it, and its locks with it.
        throw new Error(`the locks of a session could not be given back: ${messageOf(error)}`, {
          cause: error,
        });
      });
  }
}
