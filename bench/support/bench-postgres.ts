/**
 * Owns the PostgreSQL of a benchmark run: the product's embedded one, with the product's settings, in a folder of its own
 * that is removed with the run.
 */

import { chmod } from 'node:fs/promises';
import { join } from 'node:path';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import type { DatabaseServer } from '#bench/support/bench-database.ts';
import type { RunScope } from '#bench/support/run-scope.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

export interface BenchPostgres {
  readonly databases: DatabaseServer;
  /** The run's own folder. */
  readonly folder: string;
}

/** `givenUrl`: a superuser's address of a PostgreSQL on this machine to use instead; empty for none. */
export async function startBenchPostgres(scope: RunScope, givenUrl = ''): Promise<BenchPostgres> {
  // Watched: a benchmark that is killed leaves no PostgreSQL behind.
  const directory = createTemporaryDirectory();
  const folder = directory.path;
  scope.defer('the working folder', () => Promise.resolve(directory.remove()));
  if (givenUrl !== '') return { folder, databases: { adminUrl: givenUrl, ownerUrl: givenUrl } };
  // Started as root, PostgreSQL runs as another user, who must be able to enter.
  await chmod(folder, 0o711);
  const embedded = await startEmbeddedDatabase({ dataDir: join(folder, 'database') });
  scope.defer('PostgreSQL', () => embedded.stop());
  return { folder, databases: { adminUrl: embedded.superuserUrl, ownerUrl: embedded.ownerUrl } };
}
