/**
 * Owns the life of one postmaster: making its cluster, starting it in a session of its own, recognising one that
 * already runs, and stopping it. PostgreSQL's own lock file, postmaster.pid, is read and never removed: PostgreSQL
 * itself decides, by its shared memory, whether processes of an earlier life still have the data open.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { giveTo, hasName, namelessError, namingPrefix, type Account } from '#app/embedded-account.ts';
import { diskFullError } from '#app/disk-error.ts';
import type { Programs } from '#app/embedded-binaries.ts';
import type { DataDirectory } from '#app/embedded-data-directory.ts';
import { readLogFrom, sizeOfLog } from '#app/embedded-log.ts';
import { belongsToCluster, processesWorkingIn, processStart } from '#app/embedded-processes.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';

const pollMs = 20;
/** Replaying 2 GB of log, the most that our settings let gather, takes about a minute on a slow disk. */
const startWaitMs = 300_000;
/** Orphaned backends notice at their next wait; one inside a long query takes until its end. */
const orphanWaitMs = 60_000;
const orphanRetryMs = 100;
/** A fast shutdown writes a checkpoint; what exceeds this is ended without one and recovered at the next start. */
const stopWaitMs = 60_000;

export interface Postmaster {
  readonly pid: number;
  /** The process's start, which tells it from a later one with the same id. */
  readonly start: string;
}

/**
 * What every start passes, so that a newer Kymo's settings reach old data. For two cores and a few gigabytes shared
 * with Kymo itself; PostgreSQL's defaults where nothing stands.
 */
const defaultSettings: Readonly<Record<string, string>> = {
  // Only over the socket, whose directory nobody else can enter.
  listen_addresses: '',
  unix_socket_permissions: '0700',
  // What an acknowledgement promises (DESIGN section 3); the defaults, said aloud.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  // A tenth of a small machine's memory; chunks are written once and seldom read again.
  shared_buffers: '256MB',
  // Four pools of Kymo, a second instance, and a person with psql.
  max_connections: '50',
  // Fewer checkpoints mean fewer full pages in the log: at 100 k readings/s about 4 MB/s of log, so 15 min or 2 GB.
  checkpoint_timeout: '15min',
  max_wal_size: '2GB',
  // Without lz4 and zstd in these binaries only pglz would be left, which costs more CPU than it saves.
  wal_compression: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
};

/** Makes a new cluster, beside its place and moved there when complete. `secret` becomes the superuser's password. */
export async function createCluster(
  place: { directory: DataDirectory; programs: Programs; account: Account | undefined },
  superuser: { name: string; password: string },
): Promise<string> {
  const staging = `${place.directory.cluster}.new`;
  const passwordFile = path.join(place.directory.root, 'password.new');
  rmSync(staging, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  writeFileSync(passwordFile, `${superuser.password}\n`, { mode: 0o600 });
  giveTo(place.account, passwordFile);
  try {
    const args = ['-D', staging, '-U', superuser.name, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
    // The builtin provider sorts and folds the same on every system and needs none of its libraries.
    const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--locale=C', '--builtin-locale=C.UTF-8'];
    const naming = namingPrefix(place.account);
    const words = [...naming, place.programs.initdb, ...args, ...locale];
    const { exitCode, output } = await runToEnd(words, place);
    if (exitCode !== 0 && place.account === undefined && !hasName() && !/^initdb: removing/m.test(output))
      throw namelessError();
    if (exitCode !== 0)
      throw startError('creating the database failed', { said: output, place: place.directory.root });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  return staging;
}

/** The postmaster that runs on this cluster now, if one does. */
export function runningPostmaster(cluster: string): Postmaster | undefined {
  const pid = readPid(cluster);
  if (pid === undefined || !belongsToCluster(pid, realpathSync(cluster))) return undefined;
  const start = processStart(pid);
  return start === undefined ? undefined : { pid, start };
}

/**
 * Starts PostgreSQL and resolves when it accepts connections. Waits for orphaned backends of a killed postmaster.
 * Throws an AppError with the end of PostgreSQL's log when it cannot start.
 */
export async function startPostmaster(
  place: { directory: DataDirectory; programs: Programs; account: Account | undefined },
  settings: Readonly<Record<string, string>>,
  clock: Clock,
): Promise<Postmaster> {
  const giveUpAtMs = clock.monotonicMs() + orphanWaitMs;
  for (;;) {
    const logFrom = sizeOfLog(place.directory.log);
    const child = spawnPostmaster(place, settings);
    const postmaster = await waitUntilReady(child, place.directory, clock);
    if (postmaster !== undefined) return postmaster;
    const said = readLogFrom(place.directory.log, logFrom);
    if (!isHeldByOrphans(said))
      throw startError('PostgreSQL did not start', { said, place: place.directory.root });
    if (clock.monotonicMs() > giveUpAtMs) throw orphanError(place.directory.cluster);
    await pause(clock, orphanRetryMs);
  }
}

function spawnPostmaster(
  place: { directory: DataDirectory; programs: Programs; account: Account | undefined },
  settings: Readonly<Record<string, string>>,
): ChildProcess {
  const { directory, programs, account } = place;
  const all = { ...defaultSettings, unix_socket_directories: directory.sockets, ...settings };
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = openSync(directory.log, 'a', 0o600);
  giveTo(account, directory.log);
  try {
    const child = spawn(programs.postgres, ['-D', directory.cluster, ...options], {
      cwd: directory.root,
      env: environment(readPid(directory.cluster)),
      stdio: ['ignore', log, log],
      // A session of its own: Ctrl-C on our terminal must not reach it before our drain has committed.
      detached: true,
      ...account,
    });
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

// PostgreSQL refuses a lock file whose process id is alive, whatever process that is now. We have looked: it is not a
// postmaster of this data. PG_GRANDPARENT_PID is how pg_ctl names an id that is not a rival (miscinit.c).
function environment(stalePid: number | undefined): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/bin:/bin',
    LC_ALL: 'C',
    TZ: 'UTC',
    ...(stalePid === undefined ? {} : { PG_GRANDPARENT_PID: String(stalePid) }),
  };
}

/** Resolves to the postmaster when ready, to undefined when it ended instead. */
async function waitUntilReady(
  child: ChildProcess,
  { cluster, root }: DataDirectory,
  clock: Clock,
): Promise<Postmaster | undefined> {
  let ended = false;
  let failure: Error | undefined;
  child.once('exit', () => (ended = true));
  child.once('error', (error) => {
    failure = error;
    ended = true;
  });
  const giveUpAtMs = clock.monotonicMs() + startWaitMs;
  while (!ended) {
    if (child.pid !== undefined && readPid(cluster) === child.pid && readStatus(cluster) === 'ready') {
      const start = processStart(child.pid);
      if (start !== undefined) return { pid: child.pid, start };
    }
    if (clock.monotonicMs() > giveUpAtMs) {
      throw new AppError(
        'store-unavailable',
        `PostgreSQL is still recovering after ${startWaitMs / 60_000} minutes`,
        {
          temporary: true,
        },
      );
    }
    await pause(clock, pollMs);
  }
  if (failure !== undefined)
    throw startError('PostgreSQL could not be run', { said: failure.message, place: root });
  return undefined;
}

/** Fast shutdown: open transactions are rolled back, everything committed is written. Resolves when it has ended. */
export async function stopPostmaster(postmaster: Postmaster, clock: Clock): Promise<void> {
  if (!signal(postmaster, 'SIGINT')) return;
  if (await hasEnded(postmaster, clock)) return;
  // An immediate shutdown loses nothing that was committed; the next start replays the log.
  signal(postmaster, 'SIGQUIT');
  if (await hasEnded(postmaster, clock)) return;
  throw new AppError('store-unavailable', `PostgreSQL (process ${postmaster.pid}) does not stop`);
}

async function hasEnded(postmaster: Postmaster, clock: Clock): Promise<boolean> {
  const giveUpAtMs = clock.monotonicMs() + stopWaitMs;
  while (processStart(postmaster.pid) === postmaster.start) {
    if (clock.monotonicMs() > giveUpAtMs) return false;
    await pause(clock, pollMs);
  }
  return true;
}

function signal(postmaster: Postmaster, name: NodeJS.Signals): boolean {
  if (processStart(postmaster.pid) !== postmaster.start) return false;
  try {
    return process.kill(postmaster.pid, name);
  } catch {
    return false;
  }
}

/** Runs a program of PostgreSQL as the account and resolves to its exit code and what it said. */
function runToEnd(
  words: readonly string[],
  place: { directory: DataDirectory; account: Account | undefined },
): Promise<{ exitCode: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(words[0]!, words.slice(1), {
      cwd: place.directory.root,
      env: environment(undefined),
      stdio: ['ignore', 'pipe', 'pipe'],
      ...place.account,
    });
    let output = '';
    const keep = (text: string): void => {
      output = (output + text).slice(-8192);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.once('error', (error) => resolve({ exitCode: 127, output: error.message }));
    child.once('close', (code) => resolve({ exitCode: code ?? 1, output }));
  });
}

/** The lines of postmaster.pid: process, data directory, start, port, socket directory, address, key, status. */
function readLockFile(cluster: string): string[] {
  try {
    return readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return [];
  }
}

function readPid(cluster: string): number | undefined {
  const pid = Number.parseInt(readLockFile(cluster)[0] ?? '', 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
}

function readStatus(cluster: string): string | undefined {
  return readLockFile(cluster)[7]?.trim();
}

function isHeldByOrphans(said: string): boolean {
  return said.includes('pre-existing shared memory block');
}

function orphanError(cluster: string): AppError {
  const pids = processesWorkingIn(realpathSync(cluster));
  return new AppError(
    'store-unavailable',
    `processes of an earlier PostgreSQL still use ${cluster}${pids.length > 0 ? `: ${pids.join(', ')}` : ''}; ` +
      'end them, or wait, and start again',
    { temporary: true },
  );
}

function startError(what: string, { said, place }: { said: string; place: string }): AppError {
  if (/No space left on device|ENOSPC|Disk quota exceeded/.test(said)) return diskFullError(place);
  const lines = said.trim().split('\n').slice(-6).join('\n');
  return new AppError('store-unavailable', `${what}. It says:\n${lines || '(nothing)'}`);
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/** True when a cluster stands complete in its place. */
export function hasCluster(cluster: string): boolean {
  return existsSync(path.join(cluster, 'PG_VERSION'));
}
