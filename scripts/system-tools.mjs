/**
 * Owns the programs that tests need and npm does not carry; system-tools.json is the table: one of `commands` on the PATH
 * or one of `files` (for libraries, and programs that only root has on its PATH). What is missing is
 * installed from Debian's packages where we may, and named otherwise. Nothing is skipped because a tool is missing, and
 * nothing is asked for that the command at hand does not use.
 */

import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

import { inCheckout, readJson } from './checkout.mjs';
import { runQuietly } from './child-process.mjs';
import { SetupError } from './progress.mjs';

/** `command`: `test` or another name that stands in `neededBy`. */
export async function ensureSystemTools(command, progress) {
  const missing = missingTools(command);
  if (missing.length === 0) return;
  const names = missing.map((tool) => tool.title).join(', ');
  const packages = missing.flatMap((tool) => tool.debianPackages);
  const privilege = await installPrivilege();
  if (privilege === undefined) {
    throw new SetupError(`npm run ${command} needs ${names}, which this machine does not have.`, {
      next: `install it (Debian and Ubuntu: sudo apt-get install ${packages.join(' ')}), then run the same command again.`,
    });
  }
  await progress.step({ doing: `Installing ${names}`, done: `${names} installed` }, async () => {
    await apt(privilege, ['update']);
    await apt(privilege, ['install', '-y', '--no-install-recommends', ...packages]);
  });
  const still = missingTools(command).map((tool) => tool.title);
  if (still.length > 0) {
    throw new SetupError(`apt-get succeeded, but ${still.join(', ')} cannot be found.`, {
      next: 'add the directory it was installed to to the PATH, then run the same command again.',
    });
  }
}

function missingTools(command) {
  const tools = readJson(inCheckout('scripts', 'system-tools.json'));
  return tools.filter(
    ({ neededBy, commands = [], files = [] }) =>
      neededBy.includes(command) && !commands.some(isOnPath) && !files.some((file) => existsSync(file)),
  );
}

function isOnPath(command) {
  return (process.env.PATH ?? '').split(path.delimiter).some((directory) => {
    try {
      accessSync(path.join(directory, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The words in front of apt-get: none for root, sudo where it asks for no password; undefined when we may not. */
async function installPrivilege() {
  if (!isOnPath('apt-get')) return undefined;
  if (process.getuid?.() === 0) return [];
  if (!isOnPath('sudo')) return undefined;
  const trial = await runQuietly('sudo', ['-n', 'true']);
  return trial.exitCode === 0 ? ['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive'] : undefined;
}

async function apt(privilege, args) {
  const [command, ...rest] = [...privilege, 'apt-get', ...args];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const result = await runQuietly(command, rest, { env });
  if (result.exitCode === 0) return;
  throw new SetupError(`apt-get ${args[0]} ended with code ${result.exitCode}.`, {
    output: result.output,
    next: `run \`apt-get ${args.join(' ')}\` by hand to see why, then run the same command again.`,
  });
}
