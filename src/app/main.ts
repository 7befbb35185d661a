/** Owns the command line: which command runs, its help, and what an error looks like to a person. */

import { AppError, messageOf } from '#base/errors.ts';
import { settingsHelp } from '#app/config.ts';
import { analyseCommand } from '#app/analyse-command.ts';
import { backupCommand } from '#app/backup-command.ts';
import { deviceCommand } from '#app/device-command.ts';
import { doctorCommand } from '#app/doctor-command.ts';
import { exportCommand } from '#app/export-command.ts';
import { eraseCommand } from '#app/erase-command.ts';
import { erasuresCommand } from '#app/erasures-command.ts';
import { holdCommand } from '#app/hold-command.ts';
import { linkCommand } from '#app/link-command.ts';
import { migrateCommand } from '#app/migrate-command.ts';
import { readerCommand } from '#app/reader-command.ts';
import { reanalyseCommand } from '#app/reanalyse-command.ts';
import { replayCommand } from '#app/replay-command.ts';
import { restoreCommand } from '#app/restore-command.ts';
import { retentionCommand } from '#app/retention-command.ts';
import { rotateMasterKeyCommand } from '#app/rotate-master-key-command.ts';
import { simulateCommand } from '#app/simulate-command.ts';
import { startCommand } from '#app/start-command.ts';
import { sealCommand, unsealCommand } from '#app/unseal-command.ts';
import { verifyAuditCommand } from '#app/verify-audit-command.ts';

interface Command {
  readonly doc: string;
  readonly help: () => string;
  /** Resolves to the exit code. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

const serverHelp = (): string => `Settings (flag, default, environment variable):\n${settingsHelp()}`;

const commands: Record<string, Command> = {
  start: { doc: 'run the server', help: serverHelp, run: (args) => startCommand(args, { demo: false }) },
  demo: {
    doc: 'run the server with two demo sessions',
    help: serverHelp,
    run: (args) => startCommand(args, { demo: true }),
  },
  analyse: {
    doc: 'find joint angles and gait in a recording or a session, with tables and plots',
    help: () => analyseCommand.help,
    run: analyseCommand.run,
  },
  doctor: {
    doc: 'look at what a server needs, and say what to mend',
    help: () => doctorCommand.help,
    run: doctorCommand.run,
  },
  migrate: { doc: 'bring the database to the newest schema', help: serverHelp, run: migrateCommand },
  link: { doc: 'print a one-time link that signs in', help: () => linkCommand.help, run: linkCommand.run },
  device: { doc: 'make a device and print its key', help: () => deviceCommand.help, run: deviceCommand.run },
  backup: {
    doc: 'write the whole database into one checked file',
    help: () => backupCommand.help,
    run: backupCommand.run,
  },
  restore: {
    doc: 'write a back-up into an empty database',
    help: () => restoreCommand.help,
    run: restoreCommand.run,
  },
  export: {
    doc: 'write a session of a server into CSV or Parquet files',
    help: () => exportCommand.help,
    run: exportCommand.run,
  },
  reader: {
    doc: 'make a database login that reads with plain SQL',
    help: () => readerCommand.help,
    run: readerCommand.run,
  },
  retention: {
    doc: 'show and set how long readings are kept',
    help: () => retentionCommand.help,
    run: retentionCommand.run,
  },
  hold: {
    doc: 'keep a session whatever retention says',
    help: () => holdCommand.help,
    run: holdCommand.run,
  },
  erase: { doc: 'remove a session for good', help: () => eraseCommand.help, run: eraseCommand.run },
  erasures: {
    doc: 'list what was erased, and erase it again after a restore',
    help: () => erasuresCommand.help,
    run: erasuresCommand.run,
  },
  reanalyse: {
    doc: 'analyse the motion of a session from the beginning',
    help: () => reanalyseCommand.help,
    run: reanalyseCommand.run,
  },
  replay: {
    doc: 'send a recording to a server as a device would',
    help: () => replayCommand.help,
    run: replayCommand.run,
  },
  seal: { doc: 'compress the readings of a session', help: () => sealCommand.help, run: sealCommand.run },
  unseal: {
    doc: 'write the readings of a session back as plain rows',
    help: () => unsealCommand.help,
    run: unsealCommand.run,
  },
  'verify-audit': {
    doc: 'check that nobody has changed the audit log',
    help: () => verifyAuditCommand.help,
    run: verifyAuditCommand.run,
  },
  'rotate-master-key': {
    doc: 'wrap the keys of all patients with a new master key',
    help: () => rotateMasterKeyCommand.help,
    run: rotateMasterKeyCommand.run,
  },
  simulate: {
    doc: 'send the readings of many synthetic people',
    help: () => simulateCommand.help,
    run: simulateCommand.run,
  },
};

const help = (): string => `Kymo records human motion as it happens.

Usage: kymo COMMAND [flags]

${Object.entries(commands)
  .map(([name, command]) => `  ${name.padEnd(12)} ${command.doc}`)
  .join('\n')}

kymo COMMAND --help tells what a command takes.
`;

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(help());
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined)
    throw new AppError(
      'invalid-field',
      `there is no command "${name}": it is one of ${Object.keys(commands).join(', ')}`,
    );
  if (args.includes('--help') || args.includes('-h')) {
    console.log(`kymo ${name}: ${command.doc}\n\n${command.help()}`);
    return 0;
  }
  return command.run(args);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`kymo: ${messageOf(error)}`);
  if (!(error instanceof AppError)) console.error(error);
  process.exitCode = error instanceof AppError && error.code === 'invalid-field' ? 2 : 1;
}
