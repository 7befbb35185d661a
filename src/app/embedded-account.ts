/**
 * Owns which account runs PostgreSQL. It refuses to run as root, so root hands its files to an unprivileged account:
 * the owner of existing data, else `kymo` when the system has one, else `nobody`. Anyone else runs it as themselves.
 */

import { chownSync, existsSync, readFileSync, statSync } from 'node:fs';

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

/** Hands a file or directory to the account; nothing to do when it is our own. */
export function giveTo(account: Account | undefined, ...files: readonly string[]): void {
  if (account === undefined) return;
  for (const file of files) chownSync(file, account.uid, account.gid);
}

/** passwd(5): name, password, user id, group id, and what else is of no use here. */
function readAccount(name: string): Account | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':').map(Number) ?? [];
  return uid !== undefined && gid !== undefined && uid > 0 ? { uid, gid } : undefined;
}
