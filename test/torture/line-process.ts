/**
 * Owns a child process of a torture run that speaks JSON lines: every line is handed over as it comes, signals go to it
 * by its handle, and its input closes with the run. It works in the run's folder, where the run's watcher finds it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Loaded before a tortured program: its wall clock can be set. */
export const clockPreload = fileURLToPath(new URL('skewed-clock.ts', import.meta.url));

export interface LineProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Standard error is appended to it. */
  readonly logFile: string;
  readonly onLine: (line: string) => void;
}

export interface LineProcess {
  readonly pid: number;
  readonly hasEnded: boolean;
  send(message: object): void;
  signal(name: NodeJS.Signals): void;
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
}

export function startLineProcess(options: LineProcessOptions): LineProcess {
  const log = openSync(options.logFile, 'a');
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    // A session of its own: Ctrl-C on the terminal is the run's to answer.
    detached: true,
    stdio: ['pipe', 'pipe', log],
  });
  closeSync(log);
  let hasEnded = false;
  const ended = once(child, 'exit').then(() => {
    hasEnded = true;
  });
  // A program that could not be started says so here, and `ended` rejects for who waits.
  ended.catch(() => (hasEnded = true));
  child.stdin?.on('error', () => undefined);
  // Only whole lines: a process that is killed leaves the half of one.
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) options.onLine(line);
  });
  return {
    pid: child.pid ?? 0,
    get hasEnded() {
      return hasEnded;
    },
    send: (message) => void child.stdin?.write(`${JSON.stringify(message)}\n`),
    signal: (name) => void child.kill(name),
    ended,
  };
}
