/**
 * Owns opening a page in the browser of whoever started the server. The address has a secret that is good once, and every
 * user of a machine can read the arguments of its processes: so the browser is given a file that only this user can read,
 * which leads on.
 */

import { spawn } from 'node:child_process';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Log } from '#base/log.ts';

const openers: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['open'],
  linux: ['xdg-open'],
  win32: ['cmd', '/c', 'start', ''],
};

/** Resolves when the browser was asked; that there is none is said in the log and harms nothing. */
export async function openBrowser(
  address: string,
  { stateDir, log }: { stateDir: string; log: Log },
): Promise<void> {
  const [program, ...words] = openers[process.platform] ?? ['xdg-open'];
  const file = path.join(stateDir, 'open.html');
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, pageTo(address), { mode: 0o600 });
  await rename(temporary, file);
  await new Promise<void>((resolve) => {
    const child = spawn(program!, [...words, pathToFileURL(file).href], { stdio: 'ignore', detached: true });
    child.once('spawn', () => {
      child.unref();
      resolve();
    });
    child.once('error', (error) => {
      log.warn('no browser was opened', { error: error.message });
      resolve();
    });
  });
}

/** The address is our own: an origin and a token of letters, digits, `-` and `_`. */
function pageTo(address: string): string {
  return `<!doctype html><meta charset="utf-8"><title>Kymo</title><meta http-equiv="refresh" content="0;url=${address}">
<p><a href="${address}">Kymo</a>
`;
}
