/**
 * Owns the one PostgreSQL of a test run: an embedded cluster in a temporary directory whose database `kymo` has all
 * migrations. Tests never use that database; they clone it (test/support/database.ts).
 */

import type { TestProject } from 'vitest/node';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { migrate } from '#store/migrate.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

declare module 'vitest' {
  interface ProvidedContext {
    testCluster: { ownerUrl: string; superuserUrl: string };
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
  const directory = createTemporaryDirectory();
  const database = await startEmbeddedDatabase({ dataDir: directory.path, settings });
  await migrate(database.ownerUrl);
  project.provide('testCluster', { ownerUrl: database.ownerUrl, superuserUrl: database.superuserUrl });
  return async () => {
    await database.stop();
    directory.remove();
  };
}
