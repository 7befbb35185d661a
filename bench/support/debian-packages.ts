/**
 * Owns the installing of Debian packages that a comparison needs: done where that is possible (root on Debian), else the
 * command for a person is told, and the peer is absent.
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

import { messageOf } from '#base/errors.ts';

const APT = '/usr/bin/apt-get';
const INSTALL_MS = 300_000;

const run = promisify(execFile);

/** Null when they are installed afterwards; else why not, with the command. `what`: their common name. */
export async function installDebianPackages(
  what: string,
  packages: readonly string[],
  say: (text: string) => void,
): Promise<string | null> {
  const command = `apt-get install --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || !existsSync(APT)) return `${what} is not installed; on Debian: ${command}`;
  say(`installing ${what} from Debian`);
  try {
    const options = { timeout: INSTALL_MS, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
    await run(APT, ['update', '-qq'], options);
    await run(APT, ['install', '-y', '--no-install-recommends', ...packages], options);
    return null;
  } catch (error) {
    return `${what} could not be installed (${messageOf(error).split('\n')[0]}); by hand: ${command}`;
  }
}
