/**
 * Owns where the embedded database lives on disk: one directory per checkout in the system's place for program data,
 * with PostgreSQL's major version in the path. As root the directory must be reachable for the unprivileged account
 * that runs PostgreSQL, so a private home is passed over for /var/lib.
 */

import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { giveTo, type Account } from '#app/embedded-account.ts';
import { AppError } from '#base/errors.ts';

/** The major version of the binaries that this Kymo ships; part of the path of its data. */
export const postgresMajor = 18;

/** sun_path of unix(7) has 108 bytes with its final zero on Linux and 104 on macOS. */
const maxSocketPathBytes = 103;
const socketName = '.s.PGSQL.5432';

export interface DataDirectory {
  readonly root: string;
  /** PostgreSQL's own data directory. */
  readonly cluster: string;
  /** The private directory of the unix socket. */
  readonly sockets: string;
  readonly log: string;
}

export interface DataDirectoryPlace {
  /** The root of this checkout; two clones side by side have separate data. */
  readonly checkout: string;
  readonly home: string;
  /** XDG_DATA_HOME, when set (XDG Base Directory Specification 0.8). */
  readonly xdgDataHome?: string | undefined;
  readonly isRoot: boolean;
}

/** Where the data of this checkout belongs unless the configuration says otherwise. */
export function defaultDataDirectory(place: DataDirectoryPlace): string {
  const name = directoryNameFor(place.checkout);
  const preferred = path.join(programDataDirectory(place), 'kymo');
  const base = place.isRoot && !isReachable(preferred) ? '/var/lib/kymo' : preferred;
  return path.join(base, name);
}

function programDataDirectory(place: DataDirectoryPlace): string {
  if (place.xdgDataHome !== undefined && path.isAbsolute(place.xdgDataHome)) return place.xdgDataHome;
  return process.platform === 'darwin'
    ? path.join(place.home, 'Library', 'Application Support')
    : path.join(place.home, '.local', 'share');
}

/** The checkout's own name, for people, and eight digits of its path's hash, for uniqueness. */
function directoryNameFor(checkout: string): string {
  const real = realpathSync(checkout);
  const readable = path
    .basename(real)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 24);
  return `${readable}-${createHash('sha256').update(real).digest('hex').slice(0, 8)}`;
}

/** True when every existing directory on the way can be entered by any account, or by `account` as its owner. */
function isReachable(directory: string, account?: Account): boolean {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    const found = statSync(at, { throwIfNoEntry: false });
    const enterBit = found !== undefined && found.uid === account?.uid ? 0o100 : 0o001;
    if (found !== undefined && (found.mode & enterBit) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/** Hands the directory to the account that runs PostgreSQL. Throws when that account cannot get there. */
export function giveDataDirectory(directory: DataDirectory, account: Account | undefined): void {
  if (account === undefined) return;
  if (!isReachable(path.dirname(directory.root), account)) {
    throw new AppError(
      'store-unavailable',
      `PostgreSQL runs as user ${account.uid} and cannot enter ${directory.root}: ` +
        'choose a data directory whose parents everybody may enter, or start Kymo as an ordinary user',
    );
  }
  giveTo(account, directory.root);
}

/** The layout below `root`. The socket moves to the system's temporary directory when its path would be too long. */
export function layoutOf(root: string): DataDirectory {
  const own = path.join(root, 'run');
  const fits = Buffer.byteLength(path.join(own, socketName)) <= maxSocketPathBytes;
  const hash = createHash('sha256').update(root).digest('hex').slice(0, 16);
  return {
    root,
    cluster: path.join(root, `pg${postgresMajor}`),
    sockets: fits ? own : path.join(os.tmpdir(), `kymo-${hash}`),
    log: path.join(root, 'postgresql.log'),
  };
}

/**
 * Makes the directory and resolves links in its path. Parents that had to be made may be entered by all, the
 * directory itself by its owner only. Throws when it holds the data of another major version of PostgreSQL.
 */
export function openDataDirectory(directory: string): DataDirectory {
  const missing: string[] = [];
  for (let at = path.resolve(directory); !existsSync(at); at = path.dirname(at)) missing.unshift(at);
  for (const parent of missing) {
    mkdirSync(parent, { recursive: true });
    chmodSync(parent, parent === missing.at(-1) ? 0o700 : 0o755);
  }
  return readDataDirectory(directory);
}

/** The layout of a directory that is there. Throws when what it holds is not ours to use. */
export function readDataDirectory(directory: string): DataDirectory {
  if (existsSync(path.join(directory, 'PG_VERSION')))
    throw new AppError(
      'conflict',
      `${directory} is itself a PostgreSQL data directory, not one of Kymo's: give the folder above it or another ` +
        'with --data, or let its own server run and give --database-url',
    );
  const layout = layoutOf(realpathSync(directory));
  refuseOtherMajor(layout);
  return layout;
}

function refuseOtherMajor(layout: DataDirectory): void {
  const other = readdirSync(layout.root).find(
    (name) => /^pg\d+$/.test(name) && name !== path.basename(layout.cluster),
  );
  const found = existsSync(layout.cluster)
    ? versionOf(layout.cluster)
    : (other?.slice(2) ?? String(postgresMajor));
  if (found === String(postgresMajor)) return;
  throw new AppError(
    'conflict',
    `${layout.root} holds data of PostgreSQL ${found}; this Kymo brings PostgreSQL ${postgresMajor}. ` +
      `With the Kymo that wrote it: npm run kymo -- backup FILE --data '${layout.root}'. ` +
      'Then with this one: npm run kymo -- restore FILE --data NEW-FOLDER',
  );
}

function versionOf(cluster: string): string {
  try {
    return readFileSync(path.join(cluster, 'PG_VERSION'), 'utf8').trim();
  } catch (cause) {
    throw new AppError(
      'conflict',
      `${cluster} is not a PostgreSQL data directory: it has no readable PG_VERSION`,
      { cause },
    );
  }
}

/**
 * Makes the private socket directory for `account`. Refuses one that is a link or somebody else's: in a shared
 * temporary directory it could have been put there to listen to us.
 */
export function prepareSocketDirectory(directory: string, account: Account | undefined): void {
  if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
  const found = lstatSync(directory);
  const ours = found.uid === process.getuid?.() || found.uid === account?.uid;
  if (!found.isDirectory() || !ours) {
    throw new AppError('store-unavailable', `${directory} exists and is not ours: remove it and start again`);
  }
  chmodSync(directory, 0o700);
  giveTo(account, directory);
}

/** Removes a socket directory that had to be elsewhere; the one beside the data stays for the next start. */
export function removeSocketDirectory(directory: DataDirectory): void {
  if (!directory.sockets.startsWith(directory.root))
    rmSync(directory.sockets, { recursive: true, force: true });
}
