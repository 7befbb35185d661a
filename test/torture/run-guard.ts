/**
 * Owns what must not outlive a torture run: its folder with all that works in it, its mounts and its network namespace.
 * A process of its own holds the list and clears it when the run is gone, however it ended.
 */

import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RunGuard {
  /** The run's own folder: who works in it ends with the run. */
  readonly directory: string;
  unmountLater(directory: string): void;
  deleteNamespaceLater(name: string): void;
  /** Ends and removes everything; resolves when it is done. */
  release(): Promise<void>;
}

export function createRunGuard(): RunGuard {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kymo-torture-')));
  // Started as root, PostgreSQL runs as another user, who must be able to enter.
  chmodSync(directory, 0o711);
  const script = fileURLToPath(new URL('run-guard-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script], {
    stdio: ['pipe', 'ignore', 'inherit'],
    cwd: '/',
    // What ends the terminal's processes must not end it with them.
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const tell = (line: string): void => void child.stdin.write(`${line}\n`);
  tell(`folder ${directory}`);
  return {
    directory,
    unmountLater: (mounted) => tell(`mount ${mounted}`),
    deleteNamespaceLater: (name) => tell(`namespace ${name}`),
    async release() {
      child.stdin.end();
      await ended;
    },
  };
}
