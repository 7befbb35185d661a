/**
 * Owns databases for tests: each test or file gets its own, cloned from the migrated template of the run, so tests
 * neither see each other's rows nor wait for migrations. They use their worker's cluster, whose roles they share.
 */

import pg from 'pg';
import { inject } from 'vitest';

import type { TestCluster } from '#test/support/database-setup.ts';

export interface TestDatabase {
  /** As kymo_owner, with every migration applied. */
  readonly ownerUrl: string;
  readonly name: string;
  /** Removes it, ending whatever is still connected. */
  drop(): Promise<void>;
}

let made = 0;

/** The cluster of this worker. Needs a project of vitest.config.ts that starts them. */
export function testCluster(): TestCluster {
  // From 1 to the number of workers.
  return inject('testClusters')[Number(process.env['VITEST_POOL_ID']) - 1]!;
}

/** A new database with all migrations, in the cluster of this worker. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const cluster = testCluster();
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
