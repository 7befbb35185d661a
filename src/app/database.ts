/**
 * Owns which database serves: the embedded one, watched and started again when it dies, or the one of DATABASE_URL.
 * Either is migrated before it is handed out.
 */

import path from 'node:path';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { dataPlace, type Config } from '#app/config.ts';
import { watchDisk, withDiskErrors } from '#app/disk-error.ts';
import { defaultDataDirectory, openDataDirectory } from '#app/embedded-data-directory.ts';
import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { migrate } from '#store/migrate.ts';

/** How soon a dead embedded database is noticed. */
const WATCH_MS = 1_000;

export interface Database {
  readonly ownerUrl: string;
  /** Where this installation keeps its own small files (credentials, what runs). */
  readonly stateDir: string;
  readonly isEmbedded: boolean;
  stop(): Promise<void>;
}

export type ReportStep = (text: string, elapsedMs: number) => void;

/** Where this installation keeps its files, whatever database it uses. */
export function stateDirectoryOf(config: Config): string {
  return config.data === '' ? defaultDataDirectory(dataPlace()) : path.resolve(config.data);
}

/** Makes it when it is not there. Throws when it cannot be, or holds data that this Kymo cannot read. */
export function openStateDirectory(config: Config): string {
  return withDiskErrors(stateDirectoryOf(config), (directory) => openDataDirectory(directory).root);
}

/** `keepSchema`: it is handed out as it is, for back-up and restore. */
export async function openDatabase(
  config: Config,
  options: { clock: Clock; log: Log; onStep: ReportStep; keepSchema?: boolean },
): Promise<Database> {
  const { clock, onStep } = options;
  const stateDir = openStateDirectory(config);
  const url = config['database-url'];
  const database = url === '' ? await openEmbedded(stateDir, options) : external(url, stateDir);
  if (options.keepSchema === true) return database;
  const startedMs = clock.monotonicMs();
  try {
    const { applied } = await migrate(database.ownerUrl);
    if (applied.length > 0) onStep(`Schema brought up to ${applied.at(-1)}`, clock.monotonicMs() - startedMs);
    return database;
  } catch (error) {
    await database.stop();
    throw error;
  }
}

async function openEmbedded(
  stateDir: string,
  { clock, log, onStep }: { clock: Clock; log: Log; onStep: ReportStep },
): Promise<Database> {
  const embedded = await startEmbeddedDatabase({ dataDir: stateDir, onStep, clock });
  const disk = watchDisk(stateDir, { clock, log });
  let isStopped = false;
  let cancel = clock.after(WATCH_MS, watch);
  let lastFailure = '';

  function watch(): void {
    if (isStopped) return;
    disk.look();
    if (embedded.postmasterPid() !== undefined) {
      lastFailure = '';
      cancel = clock.after(WATCH_MS, watch);
      return;
    }
    if (lastFailure === '') log.warn('the embedded database is down and is started again');
    embedded
      .ensureRunning()
      .catch((error: unknown) => {
        // Tried every second, said once.
        const failure = messageOf(error);
        if (failure !== lastFailure) log.error('the embedded database did not start', { error: failure });
        lastFailure = failure;
      })
      .finally(() => {
        if (!isStopped) cancel = clock.after(WATCH_MS, watch);
      });
  }

  return {
    ownerUrl: embedded.ownerUrl,
    stateDir,
    isEmbedded: true,
    async stop() {
      isStopped = true;
      cancel();
      await embedded.stop();
    },
  };
}

function external(ownerUrl: string, stateDir: string): Database {
  return { ownerUrl, stateDir, isEmbedded: false, stop: async () => undefined };
}
