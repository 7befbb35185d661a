/**
 * Owns which account runs PostgreSQL. It refuses to run as root, so root hands its files to an unprivileged account:
 * the owner of existing data, else `kymo` when the system has one, else `nobody`. Anyone else runs it as themselves.
 */

import { chownSync, existsSync, readFileSync, statSync } from 'node:fs';
import os from 'node:os';

import { AppError } from '#base/errors.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const accountNames = ['kymo', 'nobody'];

/** The account for the cluster in `cluster`; undefined means our own. */
export function accountFor(cluster: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (existsSync(cluster)) {
    const { uid, gid } = statSync(cluster);
    if (uid !== 0) return { uid, gid };
  }
  const account = accountNames.map(readAccount).find((found) => found !== undefined);
  if (account !== undefined) return account;
  throw new AppError(
    'store-unavailable',
    'PostgreSQL does not run as root, and there is no account `nobody` to run it as: ' +
      'start Kymo as an ordinary user, or create an account called `kymo`',
  );
}

/**
 * Words before initdb, which wants a name for whoever runs it. A user without one (a container started with a bare
 * `--user 1234`) runs it under a name of the system's in a user namespace (user_namespaces(7)), which changes what it
 * sees and not whose the files are. The server itself needs no name.
 */
export function namingPrefix(account: Account | undefined): readonly string[] {
  if (account !== undefined || hasName()) return [];
  const named = accountNames.map(readAccount).find((found) => found !== undefined);
  if (named === undefined || process.platform !== 'linux') return [];
  return ['unshare', '--user', `--map-user=${named.uid}`];
}

/** What to do when the system has no name for us and grants no namespace. */
export function namelessError(): AppError {
  const uid = process.getuid?.();
  return new AppError(
    'store-unavailable',
    `user ${uid} has no entry in /etc/passwd, which making a database needs. Add one (as root: ` +
      `echo 'kymo:x:${uid}:${process.getgid?.()}::/nonexistent:/bin/false' >> /etc/passwd), start Kymo as a user that has one, ` +
      'or set DATABASE_URL to a PostgreSQL 15 or newer',
  );
}

export function hasName(): boolean {
  try {
    return os.userInfo().username !== '';
  } catch {
    return false;
  }
}

/** Hands a file or directory to the account; nothing to do when it is our own. */
export function giveTo(account: Account | undefined, ...files: readonly string[]): void {
  if (account === undefined) return;
  for (const file of files) chownSync(file, account.uid, account.gid);
}

/** passwd(5): name, password, user id, group id, and what else is of no use here. */
function readAccount(name: string): Account | undefined {
  const line = readPasswd()
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':').map(Number) ?? [];
  return uid !== undefined && gid !== undefined && uid > 0 ? { uid, gid } : undefined;
}

function readPasswd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch {
    return '';
  }
}
