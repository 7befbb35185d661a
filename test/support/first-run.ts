/**
 * Owns what tests of a first run need: Kymo commands as a person runs them, on any user and from any folder, and data
 * directories with an empty schema, copied from one that is made once a file.
 */

import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { migrate } from '#store/migrate.ts';
import { kymoMain } from '#test/support/kymo-process.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';

export const isRoot = process.getuid?.() === 0;

const LIMIT_MS = 60_000;
const compiled = process.env['NODE_COMPILE_CACHE'];

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Words before Node, such as `unshare -n`. */
  readonly prefix?: readonly string[];
  /** The script and its first arguments instead of `kymo`'s own main file. */
  readonly program?: readonly string[];
}

export interface Command {
  readonly child: ChildProcess;
  /** The process that Node became, also behind a prefix that forks. */
  readonly pid: number;
  readonly out: () => string;
  readonly err: () => string;
  readonly ended: Promise<{ code: number | null; out: string; err: string }>;
  /** Resolves when standard output or error contains `text`; rejects with both when the command ended without. */
  saw(text: string): Promise<void>;
  /** The printed address with its key. */
  address(): Promise<string>;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/**
 * Starts a Kymo command. The environment holds nothing but a PATH, a HOME, that keys are printed, where Node keeps what it
 * compiled, and what is given.
 */
export function command(args: readonly string[], options: CommandOptions = {}): Command {
  const words = [...(options.prefix ?? []), process.execPath, ...(options.program ?? [kymoMain]), ...args];
  const spawnOptions: SpawnOptions = {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '/',
      KYMO_PRINT_KEY: 'true',
      ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }),
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  };
  const child = spawn(words[0] ?? '', words.slice(1), spawnOptions);
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  let isOver = false;
  const ended = once(child, 'close').then(([code]) => {
    isOver = true;
    return { code: code as number | null, out, err };
  });
  const said = (): string => out + err;
  const saw = async (text: string): Promise<void> => {
    const giveUpAtMs = performance.now() + LIMIT_MS;
    while (!said().includes(text)) {
      if (isOver || performance.now() > giveUpAtMs) throw new Error(`never said "${text}":\n${said()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return {
    child,
    get pid() {
      return child.pid!;
    },
    out: () => out,
    err: () => err,
    ended,
    saw,
    async address() {
      await saw('Ctrl-C stops it.');
      return /Kymo is ready: (\S+)/.exec(out)![1]!;
    },
    async stop(signal = 'SIGTERM') {
      if (!isOver) child.kill(signal);
      return (await ended).code;
    },
  };
}

/** Runs a program of the system to its end, as its words stand. Throws when it fails. */
export function system(...words: readonly string[]): string {
  return execFileSync(words[0]!, words.slice(1), { encoding: 'utf8' });
}

let template: Promise<TemporaryDirectory> | undefined;

/** A data directory with the newest schema and no rows: a copy, owners and modes kept. */
export async function dataDirectory(): Promise<TemporaryDirectory> {
  template ??= makeTemplate();
  const { path: source } = await template;
  const directory = createTemporaryDirectory();
  system('cp', '-a', '--reflink=auto', `${source}/.`, directory.path);
  return directory;
}

export async function removeTemplate(): Promise<void> {
  (await template)?.remove();
  template = undefined;
}

async function makeTemplate(): Promise<TemporaryDirectory> {
  const directory = createTemporaryDirectory();
  const database = await startEmbeddedDatabase({ dataDir: directory.path, settings: { fsync: 'off' } });
  await migrate(database.ownerUrl);
  await database.stop();
  chmodSync(directory.path, 0o700);
  return directory;
}

/** The process id of the PostgreSQL on a data directory, when one runs. */
export function postmasterOf(dataDir: string): number | undefined {
  const file = path.join(dataDir, 'pg18', 'postmaster.pid');
  return existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : undefined;
}
