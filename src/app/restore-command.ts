/** Owns `kymo restore FILE`: writes a back-up into an empty database. */

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { describeHeader } from '#app/backup-command.ts';
import { openBackupFile } from '#app/backup-file.ts';
import { processSources, readConfig, settingsHelp, type Config } from '#app/config.ts';
import { openDatabase, stateDirectoryOf } from '#app/database.ts';
import { applyList, checkList, describeErased } from '#app/erasures-command.ts';
import { createLog } from '#app/log.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { openPool } from '#app/stored-data.ts';
import { readyServers } from '#app/running-servers.ts';
import { createWorkProgress, formatBytes, formatCount } from '#app/work-progress.ts';
import { openPools } from '#store/pools.ts';
import { restoreBackup } from '#store/restore.ts';

const usage = 'kymo restore FILE [--erasures LIST] [--json]';

export const restoreCommand = {
  help: `Usage: ${usage} [settings]

  FILE               what kymo backup wrote; it is proven before anything is written
  --erasures <list>  what kymo erasures printed, as late as there is one: erased again before this command ends
  --json             tell machines: one JSON object a line

A back-up brings back what was erased after it was made. Without a list, erase it again before a server starts.
The database must be empty and no server may use it: take a new folder with --data, or a new database with
DATABASE_URL. Devices and people go on with the keys that they have.

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const own = { erasures: 'string', json: 'boolean' } as const;
    const { positionals, texts, has, rest } = parseOwnArguments(args, own, usage);
    const [file, ...more] = positionals;
    if (file === undefined) throw new AppError('invalid-field', 'kymo restore FILE: say which file');
    if (more.length > 0)
      throw new AppError('invalid-field', `one file, not ${positionals.length}: it is ${usage}`);
    const { erasures } = texts;
    if (erasures !== undefined) await checkList(erasures);
    const progress = createWorkProgress(clock, has('json'));
    const source = await openBackupFile(file);
    const config = readConfig(processSources(rest));
    refuseRunning(config);
    const log = createLog(config['log-level']);
    const database = await openDatabase(config, { clock, log, onStep: () => undefined, keepSchema: true });
    let read = 0;
    try {
      const report = await restoreBackup({
        ownerUrl: database.ownerUrl,
        open: () =>
          source.read((count) => {
            read += count;
            if (read <= source.bytes) progress.update('Verifying', { bytes: read, ofBytes: source.bytes });
          }),
        onVerified: ({ header }) => progress.finished('The file is whole', describeHeader(header)),
        onProgress: (work) => progress.update('Restoring', work),
      });
      const { rows, bytes } = report.contents.summary;
      progress.finished(`Restored: ${formatCount(rows)} rows, ${formatBytes(bytes)}`, {
        rows,
        bytes,
        incarnation: report.incarnation,
        migrated: report.migrated,
      });
      if (erasures !== undefined) return await erase(database.ownerUrl, { erasures, progress });
    } finally {
      await database.stop();
    }
    return 0;
  },
};

/** Before any server sees what was restored. The list names what is to be done when it is interrupted. */
async function erase(
  ownerUrl: string,
  { erasures, progress }: { erasures: string; progress: ReturnType<typeof createWorkProgress> },
): Promise<number> {
  const pools = await openPools(ownerUrl);
  const owner = openPool(ownerUrl);
  try {
    const outcome = await applyList({ owner, pools }, erasures);
    progress.finished(describeErased(outcome), { ...outcome });
    return outcome.held.count === 0 ? 0 : 1;
  } catch (cause) {
    throw new AppError(
      'conflict',
      `the back-up is restored, and not all of ${erasures} is erased again: kymo erasures --apply ${erasures} finishes it`,
      { cause },
    );
  } finally {
    await Promise.all([owner.end(), pools.close()]);
  }
}

/** The database of this folder may be a server's that has no connection to it just now. */
function refuseRunning(config: Config): void {
  if (config['database-url'] !== '') return;
  const [server] = readyServers(stateDirectoryOf(config));
  if (server !== undefined)
    throw new AppError(
      'conflict',
      `a Kymo server (process ${server.pid}) uses ${stateDirectoryOf(config)}: stop it first, or restore into another folder with --data`,
    );
}
