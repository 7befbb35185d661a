/**
 * Owns plain connections for tests that look at the database from outside. `end()` of a pg pool returns before its
 * sockets have closed, and dropping the database may end those first: that is no error here.
 */

import pg from 'pg';

export function openTestPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('error', () => undefined);
  return pool;
}
