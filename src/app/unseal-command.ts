/**
 * Owns `kymo unseal SESSION` and `kymo seal SESSION`: writing a session's sealed readings back as plain rows for plain
 * SQL, and letting them be sealed again. Both may run beside the server, and may be interrupted and repeated.
 */

import pg from 'pg';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { openPools } from '#store/pools.ts';
import { storeError } from '#store/store-error.ts';
import { sealSession, unsealSession, type SealingOptions, type SealingReport } from '#store/unsealing.ts';
import { parseFileArguments } from '#app/backup-command.ts';
import { processSources, readConfig, settingsHelp } from '#app/config.ts';
import { openDatabase } from '#app/database.ts';
import { createLog } from '#app/log.ts';
import { printProgress } from '#app/terminal.ts';
import { formatCount } from '#app/work-progress.ts';

/** Rows come some hundred a second; the eye needs fewer. */
const REDRAW_MS = 100;

export const unsealCommand = {
  help: `Usage: kymo unseal SESSION [--json] [settings]
       kymo unseal SESSION --undo [--json] [settings]

Writes the sealed readings of a session back as plain rows, so that plain SQL (the view kymo.reading) sees them, and
keeps them so. --undo lets them be sealed again and does so, like kymo seal SESSION. docs/storage.md tells what sealing is.

  --undo  seal the session again
  --json  print one JSON object

${settingsHelp()}`,

  run: async (args: readonly string[]): Promise<number> => runCommand('unseal', args),
};

export const sealCommand = {
  help: `Usage: kymo seal SESSION [--json] [settings]

Seals the ended streams of a session now, also those that kymo unseal wrote back. Without this the server does it by
itself: a minute after a stream ended, or when the day is over.

  --json  print one JSON object

${settingsHelp()}`,

  run: async (args: readonly string[]): Promise<number> => runCommand('seal', args),
};

async function runCommand(command: 'seal' | 'unseal', args: readonly string[]): Promise<number> {
  const own = command === 'unseal' ? (['json', 'undo'] as const) : (['json'] as const);
  const { file: session, flags, rest } = parseFileArguments<'json' | 'undo'>(args, own);
  if (session === undefined)
    throw new AppError('invalid-field', `kymo ${command} SESSION: say which session (its id)`);
  const isSeal = command === 'seal' || flags.has('undo');
  const isJson = flags.has('json');
  const startedMs = clock.monotonicMs();
  const ending = new AbortController();
  const stop = (): void => ending.abort(new AppError('conflict', 'interrupted; the same command goes on'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const report = await withWriter(rest, (writer) =>
      (isSeal ? sealSession : unsealSession)(writer, session, {
        signal: ending.signal,
        ...(isJson ? {} : { onProgress: createBar(isSeal ? 'Sealing' : 'Unsealing') }),
      }),
    );
    if (!isJson && process.stdout.isTTY) process.stdout.write('\r\u001b[K');
    const seconds = (clock.monotonicMs() - startedMs) / 1000;
    if (isJson)
      console.log(JSON.stringify({ session, command: isSeal ? 'seal' : 'unseal', ...report, seconds }));
    else console.log(describe(report, { isSeal, seconds }));
  } catch (error) {
    if (!isJson && process.stdout.isTTY) process.stdout.write('\n');
    throw storeError(error);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
  return 0;
}

async function withWriter<T>(args: readonly string[], work: (writer: pg.Pool) => Promise<T>): Promise<T> {
  const config = readConfig(processSources(args));
  const log = createLog(config['log-level']);
  const database = await openDatabase(config, { clock, log, onStep: () => undefined });
  try {
    const pools = await openPools(database.ownerUrl);
    const writer = new pg.Pool({ connectionString: pools.writerUrl, max: 1, application_name: 'kymo seal' });
    writer.on('error', () => undefined);
    writer.on('connect', (lent) => lent.on('error', () => undefined));
    try {
      return await work(writer);
    } finally {
      await writer.end();
      await pools.close();
    }
  } finally {
    await database.stop();
  }
}

function createBar(verb: string): NonNullable<SealingOptions['onProgress']> {
  let drawnMs = Number.NEGATIVE_INFINITY;
  return ({ readings, of }) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - drawnMs < REDRAW_MS && readings < of) return;
    drawnMs = nowMs;
    const text = `${verb}: ${formatCount(readings)} of ${formatCount(of)} readings`;
    printProgress({ done: Math.min(readings, of), of: Math.max(1, of), text });
  };
}

function describe(
  { streams, readings, blocks }: SealingReport,
  { isSeal, seconds }: { isSeal: boolean; seconds: number },
): string {
  const time = `in ${seconds.toFixed(1)} s`;
  if (isSeal)
    return readings === 0
      ? 'Nothing to seal: the session may be sealed from now on; streams that go on are sealed when their day is over.'
      : `Sealed ${formatCount(readings)} readings of ${streams} streams in ${formatCount(blocks)} rows ${time}.`;
  return readings === 0
    ? 'Nothing was sealed: the readings are plain, and stay so until kymo seal.'
    : `Unsealed ${formatCount(readings)} readings of ${streams} streams ${time}. They stay plain until kymo seal.`;
}
