/** Owns `kymo backup`: writes the whole database into one checked file, or proves such a file. */

import { once } from 'node:events';
import { parseArgs } from 'node:util';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { createBackupFile, openBackupFile, type NewFile } from '#app/backup-file.ts';
import { processSources, readConfig, settingsHelp } from '#app/config.ts';
import { settings } from '#app/settings.ts';
import { openDatabase } from '#app/database.ts';
import { createLog } from '#app/log.ts';
import { programVersion } from '#app/program-version.ts';
import { createWorkProgress, formatBytes, formatCount, type WorkProgress } from '#app/work-progress.ts';
import type { BackupHeader } from '#store/backup-format.ts';
import { writeBackup } from '#store/backup.ts';
import { verifyBackup, type BackupContents } from '#store/restore.ts';

/** What stands for standard output. */
const STREAM = '-';

export const backupCommand = {
  help: `Usage: kymo backup [FILE] [--force] [--json] [settings]
       kymo backup --verify FILE [--json]

  FILE       where to write; by default kymo-YYYYMMDD-HHMMSS.kymo-backup here; - is standard output
  --force    replace a file that exists
  --verify   prove a file's checksums and tell what is in it; needs no database
  --json     tell machines: one JSON object a line

The server may run meanwhile. The file holds health data in clear: keep it as safe as the database.

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const { file, flags, rest } = parseFileArguments(args, ['force', 'verify', 'json']);
    const progress = createWorkProgress(clock, flags.has('json'));
    if (flags.has('verify')) await verify(file, progress);
    else if (file === STREAM) await backUpToStream(rest);
    else
      await backUpToFile(file ?? defaultName(clock.nowUs()), {
        mayReplace: flags.has('force'),
        progress,
        rest,
      });
    return 0;
  },
};

/** One file and the command's own flags; everything else is a setting. Throws AppError `invalid-field`. */
export function parseFileArguments<Flag extends string>(
  args: readonly string[],
  own: readonly Flag[],
): { file: string | undefined; flags: ReadonlySet<Flag>; rest: readonly string[] } {
  const options: Record<string, { type: 'string' | 'boolean' }> = { config: { type: 'string' } };
  for (const [name, { kind }] of Object.entries(settings))
    options[name] = { type: kind === 'boolean' ? 'boolean' : 'string' };
  for (const name of own) options[name] = { type: 'boolean' };
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      allowNegative: true,
      tokens: true,
    });
  } catch (cause) {
    throw new AppError('invalid-field', (cause as Error).message.split('. ')[0]!, { cause });
  }
  if (parsed.positionals.length > 1)
    throw new AppError(
      'invalid-field',
      `one file, not ${parsed.positionals.length}: ${parsed.positionals.join(' ')}`,
    );
  const rest = parsed.tokens.flatMap((token) => {
    if (token.kind !== 'option' || own.includes(token.name as Flag)) return [];
    return [token.value === undefined ? token.rawName : `--${token.name}=${token.value}`];
  });
  return {
    file: parsed.positionals[0],
    flags: new Set(own.filter((name) => parsed.values[name] === true)),
    rest,
  };
}

/** `kymo-20260131-235959.kymo-backup`, UTC. */
export function defaultName(nowUs: number): string {
  const [day, time] = new Date(nowUs / 1000).toISOString().split('T');
  return `kymo-${day!.replaceAll('-', '')}-${time!.slice(0, 8).replaceAll(':', '')}.kymo-backup`;
}

async function backUpToFile(
  file: string,
  options: { mayReplace: boolean; progress: WorkProgress; rest: readonly string[] },
): Promise<void> {
  const { progress, rest } = options;
  const signal = stopSignal();
  await withOwner(rest, async (ownerUrl) => {
    const target: NewFile = await createBackupFile(file, options.mayReplace);
    try {
      const report = await writeBackup({
        ownerUrl,
        kymo: programVersion(),
        write: target.write,
        signal,
        onSnapshot: (header) => progress.finished('Snapshot taken', describeHeader(header)),
        onProgress: (work) => progress.update('Back-up', work),
      });
      await target.finish();
      const { summary, sha256, fileBytes } = report;
      progress.finished(
        `${file}: ${formatCount(summary.rows)} rows, ${formatBytes(summary.bytes)} in ${formatBytes(fileBytes)}`,
        { file, rows: summary.rows, bytes: summary.bytes, fileBytes, sha256 },
      );
    } catch (error) {
      if (signal.aborted)
        throw new AppError('conflict', 'interrupted: no back-up was written', { cause: error });
      throw error;
    } finally {
      await target.discard();
    }
  });
}

/** Nothing but the file goes to standard output. */
async function backUpToStream(rest: readonly string[]): Promise<void> {
  const { stdout } = process;
  if (stdout.isTTY)
    throw new AppError('invalid-field', 'a back-up is no text for a terminal: name a file, or use a pipe');
  // A reader that went away fails the write that waits.
  stdout.on('error', () => undefined);
  await withOwner(rest, (ownerUrl) =>
    writeBackup({
      ownerUrl,
      kymo: programVersion(),
      write: (bytes) =>
        new Promise((resolve, reject) => {
          stdout.write(bytes, (error) => (error instanceof Error ? reject(goneReader(error)) : resolve()));
        }),
    }),
  );
}

function goneReader(cause: Error): AppError {
  return new AppError('conflict', `nobody reads the back-up any more: ${cause.message}`, { cause });
}

async function withOwner<T>(args: readonly string[], work: (ownerUrl: string) => Promise<T>): Promise<T> {
  const config = readConfig(processSources(args));
  // The schema stays as it is: a back-up is what one makes before an update.
  const database = await openDatabase(config, {
    clock,
    log: createLog(config['log-level']),
    onStep: () => undefined,
    keepSchema: true,
  });
  try {
    return await work(database.ownerUrl);
  } finally {
    await database.stop();
  }
}

/** Aborted by Ctrl-C and by a supervisor's request to end, so that no half file is left. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    void once(process, name).then(() => stop.abort(new AppError('conflict', `ended by ${name}`)));
  return stop.signal;
}

async function verify(file: string | undefined, progress: WorkProgress): Promise<void> {
  if (file === undefined) throw new AppError('invalid-field', 'kymo backup --verify FILE: say which file');
  let contents: BackupContents;
  if (file === STREAM) contents = await verifyBackup(process.stdin as AsyncIterable<Buffer>);
  else {
    const source = await openBackupFile(file);
    let bytes = 0;
    const onBytes = (count: number): void => {
      bytes += count;
      progress.update('Verifying', { bytes, ofBytes: source.bytes });
    };
    contents = await verifyBackup(source.read(onBytes));
  }
  const { header, summary, sha256, tables } = contents;
  progress.finished(`${file} is whole: ${formatCount(summary.rows)} rows, ${formatBytes(summary.bytes)}`, {
    file,
    ...describeHeader(header),
    rows: summary.rows,
    bytes: summary.bytes,
    sha256,
    tables,
  });
  progress.detail([
    `taken       ${header.snapshotAt} of PostgreSQL ${header.postgres}, by Kymo ${header.kymo}`,
    `schema      ${header.migrations.at(-1)}`,
    `server      ${header.incarnation}`,
    `SHA-256     ${sha256}`,
    ...tables.map(
      ({ name, rows, bytes }) =>
        `${name.padEnd(24)} ${formatCount(rows).padStart(16)} rows ${formatBytes(bytes).padStart(10)}`,
    ),
  ]);
}

export function describeHeader(header: BackupHeader): Record<string, unknown> {
  const { kymo, incarnation, snapshotAt, postgres, migrations } = header;
  return { snapshotAt, kymo, postgres, schema: migrations.at(-1), incarnation };
}
