/**
 * Owns temporary directories of tests that may hold a running PostgreSQL. They are watched by a second process, so
 * that a test process that is killed leaves neither files nor a database behind.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export interface TemporaryDirectory {
  readonly path: string;
  /** Removes it. What runs in it must have ended. */
  remove(): void;
}

let watcher: ChildProcess | undefined;

export function createTemporaryDirectory(): TemporaryDirectory {
  const directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'kymo-test-')));
  tellWatcher(directory);
  return {
    path: directory,
    remove() {
      rmSync(directory, { recursive: true, force: true });
      tellWatcher(`-${directory}`);
    },
  };
}

function tellWatcher(line: string): void {
  watcher ??= startWatcher();
  watcher.stdin?.write(`${line}\n`);
}

function startWatcher(): ChildProcess {
  const script = fileURLToPath(new URL('directory-watcher.ts', import.meta.url));
  // A session of its own, so that what ends the terminal's processes does not end it with them.
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
  child.unref();
  const input: unknown = child.stdin;
  if (input !== null && typeof input === 'object' && 'unref' in input && typeof input.unref === 'function')
    input.unref();
  return child;
}
