/**
 * Owns which database serves: the embedded one, watched and started again when it dies, or the one of DATABASE_URL.
 * Either is migrated before it is handed out.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { dataPlace, type Config } from '#app/config.ts';
import { defaultDataDirectory } from '#app/embedded-data-directory.ts';
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

export async function openDatabase(
  config: Config,
  options: { clock: Clock; log: Log; onStep: ReportStep },
): Promise<Database> {
  const { clock, onStep } = options;
  const stateDir = config.data === '' ? defaultDataDirectory(dataPlace()) : config.data;
  const url = config['database-url'];
  const database = url === '' ? await openEmbedded(stateDir, options) : external(url, stateDir);
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
  let isStopped = false;
  let cancel = clock.after(WATCH_MS, watch);

  function watch(): void {
    if (isStopped) return;
    if (embedded.postmasterPid() !== undefined) {
      cancel = clock.after(WATCH_MS, watch);
      return;
    }
    log.warn('the embedded database is down and is started again');
    embedded
      .ensureRunning()
      .catch((error: unknown) =>
        log.error('the embedded database did not start', { error: messageOf(error) }),
      )
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
