/**
 * Owns who uses an embedded database: one small file per Kymo process under `users/`, and a lock file under which
 * starting, joining and stopping happen, so that the last user stops the database and nobody joins one that stops.
 * Both name a process by id and start time; what a crashed process left behind is recognised and removed.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { processStart } from '#app/embedded-processes.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';

/** Starting after a crash replays the log first; longer than this nobody waits without wanting to know. */
const lockWaitMs = 300_000;
const lockRetryMs = 50;
/** Writing a lock's content takes microseconds; one that is still empty after this was left by a crash. */
const emptyLockMs = 5_000;

export interface UserRegistry {
  /** Makes this user known; call under the lock. */
  join(): void;
  /** Forgets this user; call under the lock. Resolves to how many others use the database still. */
  leave(): number;
}

let usersOfThisProcess = 0;

/** A registry entry for one user of the database in `dataDirectory`; a process may have several. */
export function createUserRegistry(dataDirectory: string): UserRegistry {
  const directory = path.join(dataDirectory, 'users');
  const file = path.join(directory, `${process.pid}.${usersOfThisProcess++}`);
  return {
    join() {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      writeFileSync(file, ownStart());
    },
    leave() {
      rmSync(file, { force: true });
      return countUsers(directory);
    },
  };
}

function countUsers(directory: string): number {
  let count = 0;
  for (const name of readdirSync(directory)) {
    const file = path.join(directory, name);
    if (isSameProcess(Number.parseInt(name, 10), readFileSync(file, 'utf8'))) count++;
    else rmSync(file, { force: true });
  }
  return count;
}

/** Runs `work` while no other process starts, joins or stops the database of `dataDirectory`. */
export async function withDatabaseLock<T>(
  dataDirectory: string,
  clock: Clock,
  work: () => Promise<T>,
): Promise<T> {
  const file = path.join(dataDirectory, 'lock');
  const content = `${process.pid} ${ownStart()}`;
  const giveUpAtMs = clock.monotonicMs() + lockWaitMs;
  while (!tryCreate(file, content)) {
    const holder = readHolder(file, clock);
    if (holder !== undefined && !holder.alive) removeStale(file, holder.content);
    else if (clock.monotonicMs() > giveUpAtMs) {
      const who = holder === undefined ? 'another process' : `process ${Number.parseInt(holder.content, 10)}`;
      throw new AppError(
        'store-unavailable',
        `${who} has been starting or stopping the database in ${dataDirectory} for over ${lockWaitMs / 60_000} minutes`,
        { temporary: true },
      );
    } else await new Promise<void>((resolve) => clock.after(lockRetryMs, resolve));
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function tryCreate(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(file: string, clock: Clock): { content: string; alive: boolean } | undefined {
  try {
    const content = readFileSync(file, 'utf8');
    const [pid = '', start = ''] = content.split(' ');
    if (content !== '') return { content, alive: isSameProcess(Number.parseInt(pid, 10), start) };
    const ageMs = clock.nowUs() / 1000 - statSync(file).mtimeMs;
    return { content, alive: ageMs < emptyLockMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

// Renaming is atomic, so of several that see the same stale lock one takes it away. Should the file have become
// another's live lock in between, it is put back.
function removeStale(file: string, content: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') === content) rmSync(aside);
    else renameSync(aside, file);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function isSameProcess(pid: number, start: string): boolean {
  return processStart(pid) === start;
}

function ownStart(): string {
  return processStart(process.pid) ?? '';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
