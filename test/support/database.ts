/**
 * Owns databases for tests: each test or file gets its own, cloned from the migrated template of the run, so tests
 * neither see each other's rows nor wait for migrations. They use the run's one cluster, whose roles they share.
 */

import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase {
  /** As kymo_owner, with every migration applied. */
  readonly ownerUrl: string;
  readonly name: string;
  /** Removes it, ending whatever is still connected. */
  drop(): Promise<void>;
}

let made = 0;

/** A new database with all migrations. Needs the `pg` project of vitest.config.ts. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const cluster = inject('testCluster');
  const name = `test_${process.pid}_${made++}`;
  await runAsSuperuser(cluster.superuserUrl, `create database ${name} template kymo owner kymo_owner`);
  const url = new URL(cluster.ownerUrl);
  url.pathname = `/${name}`;
  return {
    ownerUrl: url.href,
    name,
    drop: () => runAsSuperuser(cluster.superuserUrl, `drop database if exists ${name} with (force)`),
  };
}

async function runAsSuperuser(superuserUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
