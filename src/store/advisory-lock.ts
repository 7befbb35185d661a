/**
 * Owns work that one server at a time does on a database: it holds an advisory lock of PostgreSQL on a connection of its
 * own, so that the lock goes when the server dies.
 */

import type pg from 'pg';

import { messageOf } from '#base/errors.ts';

/** Runs `work` under the lock `key`, or answers `idle` at once when another server has it. */
export async function underAdvisoryLock(
  db: pg.Pool,
  key: number,
  work: (client: pg.PoolClient) => Promise<'idle' | 'more'>,
): Promise<'idle' | 'more'> {
  const client = await db.connect();
  let broken: Error | undefined;
  try {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [key]);
    if (rows[0]?.mine !== true) return 'idle';
    try {
      return await work(client);
    } finally {
      // A connection that cannot give its lock back is ended, and the lock with it.
      await client.query('select pg_advisory_unlock($1)', [key]).catch((error: unknown) => {
        broken = new Error(`an advisory lock could not be given back: ${messageOf(error)}`);
      });
    }
  } finally {
    client.release(broken);
  }
}
