/**
 * Owns the PostgreSQLs of a test run: an embedded cluster for each worker of a project, so that files side by side share
 * neither roles nor connections, each in a temporary directory and with a database `kymo` that has all migrations. Tests
 * never use that database; they clone it (test/support/database.ts).
 */

import type { TestProject } from 'vitest/node';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { migrate } from '#store/migrate.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

export interface TestCluster {
  readonly ownerUrl: string;
  readonly superuserUrl: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** By worker. */
    testClusters: TestCluster[];
  }
}

// The data is thrown away and no test here asks what survives a crash of the machine, so nothing waits for the disk.
// Tests about crashes start a cluster of their own with our real settings.
const settings = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  shared_buffers: '128MB',
};

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const workers = Array.from({ length: project.config.maxWorkers }, startCluster);
  const started = await Promise.all(workers);
  project.provide(
    'testClusters',
    started.map(({ cluster }) => cluster),
  );
  return async () => {
    await Promise.all(started.map(({ stop }) => stop()));
  };
}

async function startCluster(): Promise<{ cluster: TestCluster; stop(): Promise<void> }> {
  const directory = createTemporaryDirectory();
  const database = await startEmbeddedDatabase({ dataDir: directory.path, settings });
  await migrate(database.ownerUrl);
  return {
    cluster: { ownerUrl: database.ownerUrl, superuserUrl: database.superuserUrl },
    async stop() {
      await database.stop();
      directory.remove();
    },
  };
}
