/**
 * Owns who uses an embedded database: one small file per Kymo process under `users/`, and a lock file under which
 * starting, joining and stopping happen, so that the last user stops the database and nobody joins one that stops.
 * Both name a process by id and start time; what a crashed process left behind is recognised and removed.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { isSameProcess, ownStart } from '#app/embedded-processes.ts';
import { withFileLock } from '#app/file-lock.ts';
import type { Clock } from '#base/clock.ts';

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
export function withDatabaseLock<T>(dataDirectory: string, clock: Clock, work: () => Promise<T>): Promise<T> {
  const doing = `starting or stopping the database in ${dataDirectory}`;
  return withFileLock({ file: path.join(dataDirectory, 'lock'), doing, clock }, work);
}
