/** Owns a pool for tests whose connection is ended by the database before a statement of the test's choice is sent. */

import type pg from 'pg';

export interface DyingPool {
  readonly pool: pg.Pool;
  readonly hasDied: boolean;
}

/** Ends the connection before the `at`-th statement, counted from 0. `owner` may end connections of the pool's role. */
export function createDyingPool(at: number, { pool, owner }: { pool: pg.Pool; owner: pg.Pool }): DyingPool {
  let sent = 0;
  let hasDied = false;
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    client.on('error', () => undefined);
    const pid = (client as unknown as { processID: number }).processID;
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const dying = Object.create(client) as pg.PoolClient;
    dying.query = (async (...args: unknown[]) => {
      if (sent++ === at) {
        hasDied = true;
        await owner.query('select pg_terminate_backend($1, 5000)', [pid]);
      }
      return query(...args);
    }) as typeof client.query;
    dying.release = (error) => client.release(error);
    return dying;
  };
  return {
    pool: { connect } as unknown as pg.Pool,
    get hasDied() {
      return hasDied;
    },
  };
}
