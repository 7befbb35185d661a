/**
 * Owns real Kymo processes for tests: a server on its own data directory, its death by any signal, and its return on
 * the same port. Everything started here is ended by id when the test ends.
 */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The program that `kymo` runs. */
export const kymoMain = fileURLToPath(new URL('../../src/app/main.ts', import.meta.url));
/** Some seconds on a machine for itself; a limit, so that a server that never comes is told. */
const READY_MS = 90_000;

export interface KymoProcess {
  readonly port: number;
  readonly pid: number;
  /** The address with its key, as printed. */
  readonly address: string;
  /** Standard output and standard error so far. */
  readonly output: () => string;
  /** Sends a signal; resolves to the exit code when the process has ended (for SIGSTOP and SIGCONT at once to null). */
  signal(name: NodeJS.Signals): Promise<number | null>;
}

export interface KymoOptions {
  /** `start` (default) or `demo`. */
  readonly command?: 'start' | 'demo';
  readonly dataDir: string;
  readonly port: number;
  readonly args?: readonly string[];
  /** The address has an access key (default), or what a person gets. */
  readonly printsKey?: boolean;
}

/** Starts `kymo start` and resolves when it has printed its address. */
export async function startKymo({
  command = 'start',
  dataDir,
  port,
  args = [],
  printsKey = true,
}: KymoOptions): Promise<KymoProcess> {
  const child = spawn(
    process.execPath,
    [kymoMain, command, '--data', dataDir, '--port', String(port), '--log-level', 'info', ...args],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { KYMO_PRINT_KEY: String(printsKey), ...process.env, DATABASE_URL: '' },
    },
  );
  let output = '';
  const address = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no server after ${READY_MS} ms:\n${output}`)), READY_MS);
    const hear = (chunk: Buffer): void => {
      output += chunk.toString('utf8');
      const found = /Kymo is ready: (\S+)/.exec(output)?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the server ended with ${code}:\n${output}`));
    });
  });
  return {
    port: Number(new URL(address).port),
    pid: child.pid!,
    address,
    output: () => output,
    signal: (name) => signal(child, name),
  };
}

async function signal(child: ChildProcess, name: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill(name);
  return name === 'SIGSTOP' || name === 'SIGCONT' ? null : ended;
}

/** Runs a kymo command to its end; returns its standard output without the last line break. */
export async function runKymo(args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [kymoMain, ...args], {
    env: { ...process.env, DATABASE_URL: '' },
  });
  return stdout.trimEnd();
}

/** Starts a kymo command that goes on by itself, such as `replay`; ended by the returned function. */
export function spawnKymo(args: readonly string[]): () => Promise<number | null> {
  const child = spawn(process.execPath, [kymoMain, ...args], {
    stdio: 'inherit',
    env: { ...process.env, DATABASE_URL: '' },
  });
  return () => signal(child, 'SIGKILL');
}

/** A port that was free a moment ago, for a server that has to come back on the same one. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
