/** Owns `kymo restore FILE`: writes a back-up into an empty database. */

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { describeHeader, parseFileArguments } from '#app/backup-command.ts';
import { openBackupFile } from '#app/backup-file.ts';
import { processSources, readConfig, settingsHelp, type Config } from '#app/config.ts';
import { openDatabase, stateDirectoryOf } from '#app/database.ts';
import { createLog } from '#app/log.ts';
import { readyServers } from '#app/running-servers.ts';
import { createWorkProgress, formatBytes, formatCount } from '#app/work-progress.ts';
import { restoreBackup } from '#store/restore.ts';

export const restoreCommand = {
  help: `Usage: kymo restore FILE [--json] [settings]

  FILE    what kymo backup wrote; it is proven before anything is written
  --json  tell machines: one JSON object a line

The database must be empty and no server may use it: take a new folder with --data, or a new database with
DATABASE_URL. Devices and people go on with the keys that they have.

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const { file, flags, rest } = parseFileArguments(args, ['json']);
    if (file === undefined) throw new AppError('invalid-field', 'kymo restore FILE: say which file');
    const progress = createWorkProgress(clock, flags.has('json'));
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
    } finally {
      await database.stop();
    }
    return 0;
  },
};

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
