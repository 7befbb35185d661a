/**
 * Owns the embedded database: a PostgreSQL that Kymo brings along, for use without any set-up. Several Kymo processes
 * of one checkout share it; the first starts it, the last stops it, and one that was killed leaves it running for the
 * next to adopt. It listens on a private unix socket only and asks every connection for its password.
 */

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import pg from 'pg';

import { refuseSmallDisk, toDiskError, withDiskErrors } from '#app/disk-error.ts';
import { accountFor, giveTo } from '#app/embedded-account.ts';
import { unpackPrograms } from '#app/embedded-binaries.ts';
import {
  giveDataDirectory,
  openDataDirectory,
  prepareSocketDirectory,
  readDataDirectory,
  removeSocketDirectory,
  type DataDirectory,
} from '#app/embedded-data-directory.ts';
import { boundLog } from '#app/embedded-log.ts';
import {
  createCluster,
  hasCluster,
  runningPostmaster,
  startPostmaster,
  stopPostmaster,
} from '#app/embedded-postmaster.ts';
import { createUserRegistry, withDatabaseLock } from '#app/embedded-users.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';

const superuserName = 'postgres';
const ownerName = 'kymo_owner';
const databaseName = 'kymo';

export interface EmbeddedDatabaseOptions {
  /** Where the data lives; `defaultDataDirectory` says where it belongs. Made when it does not exist. */
  readonly dataDir: string;
  /** Told each finished step and how long it took, for people. */
  readonly onStep?: (text: string, elapsedMs: number) => void;
  /** PostgreSQL settings over ours; they hold only when this call starts the database. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

export interface EmbeddedDatabase {
  /** The database `kymo` as its owner, `kymo_owner`, who may create roles and is no superuser. */
  readonly ownerUrl: string;
  /** The maintenance database as superuser: for tests and back-up, never for serving. */
  readonly superuserUrl: string;
  readonly dataDir: string;
  /** True when a running PostgreSQL was joined, false when this call started it. */
  readonly adopted: boolean;
  /** True when this call created the database. */
  readonly firstRun: boolean;
  /** The server's process id now; undefined while it is down. */
  postmasterPid(): number | undefined;
  /** Starts PostgreSQL again when it is down; the URLs stay valid. */
  ensureRunning(): Promise<void>;
  /** Leaves the database, and stops it when no other Kymo process uses it. Waits until it has ended. */
  stop(): Promise<void>;
}

/** Starts or joins the database in `dataDir`. Throws AppError with code store-unavailable or conflict. */
export async function startEmbeddedDatabase(options: EmbeddedDatabaseOptions): Promise<EmbeddedDatabase> {
  const clock = options.clock ?? systemClock;
  const directory = withDiskErrors(options.dataDir, openDataDirectory);
  const users = createUserRegistry(directory.root);
  const run = (): Promise<StartOutcome> =>
    withDatabaseLock(directory.root, clock, async () => {
      users.join();
      return startOrAdopt(directory, options, clock);
    });

  const outcome = await run().catch(async (error: unknown) => {
    // On a full disk there may be no room for the lock either; then the entry is recognised as stale later.
    await withDatabaseLock(directory.root, clock, async () => void users.leave()).catch(() => undefined);
    throw toDiskError(directory.root, error);
  });
  const releaseLog = boundLog(directory.log, clock);
  return {
    ...outcome,
    dataDir: directory.root,
    postmasterPid: () => runningPostmaster(directory.cluster)?.pid,
    ensureRunning: async () => {
      await run().catch((error: unknown) => {
        throw toDiskError(directory.root, error);
      });
    },
    stop: () => {
      releaseLog();
      return withDatabaseLock(directory.root, clock, async () => {
        const postmaster = runningPostmaster(directory.cluster);
        if (users.leave() > 0 || postmaster === undefined) return;
        await stopPostmaster(postmaster, clock);
        removeSocketDirectory(directory);
      });
    },
  };
}

/** What is in `dataDir` now, without touching it. Throws AppError as a start would for data that is not ours. */
export function findEmbeddedDatabase(
  dataDir: string,
): { kind: 'new' | 'stopped'; ownerUrl: null } | { kind: 'running'; ownerUrl: string } {
  if (!existsSync(dataDir)) return { kind: 'new', ownerUrl: null };
  const directory = readDataDirectory(dataDir);
  if (!hasCluster(directory.cluster)) return { kind: 'new', ownerUrl: null };
  if (runningPostmaster(directory.cluster) === undefined) return { kind: 'stopped', ownerUrl: null };
  const { owner } = readCredentials(directory.cluster);
  return { kind: 'running', ownerUrl: urlOf(directory, ownerName, owner, databaseName) };
}

interface StartOutcome {
  ownerUrl: string;
  superuserUrl: string;
  adopted: boolean;
  firstRun: boolean;
}

/** Call under the lock. */
async function startOrAdopt(
  directory: DataDirectory,
  options: EmbeddedDatabaseOptions,
  clock: Clock,
): Promise<StartOutcome> {
  const step = stepTimer(options, clock);
  const adopted = runningPostmaster(directory.cluster) !== undefined;
  const firstRun = !hasCluster(directory.cluster);
  if (firstRun) refuseSmallDisk(directory.root);
  if (!adopted) {
    const account = accountFor(directory.cluster);
    giveDataDirectory(directory, account);
    prepareSocketDirectory(directory.sockets, account);
    const { programs, unpacked } = withDiskErrors(directory.root, (root) => unpackPrograms(root, account));
    if (unpacked) step('PostgreSQL unpacked');
    const place = { directory, programs, account };
    if (firstRun) {
      await installCluster(place);
      step('Database created');
    }
    await startPostmaster(place, options.settings ?? {}, clock);
  }
  const credentials = readCredentials(directory.cluster);
  const superuserUrl = urlOf(directory, superuserName, credentials.superuser, 'postgres');
  await ensureOwner(superuserUrl, directory.cluster, credentials.owner);
  step(adopted ? 'Running database joined' : 'Database started');
  const ownerUrl = urlOf(directory, ownerName, credentials.owner, databaseName);
  return { ownerUrl, superuserUrl, adopted, firstRun };
}

function stepTimer(options: EmbeddedDatabaseOptions, clock: Clock): (text: string) => void {
  let sinceMs = clock.monotonicMs();
  return (text) => {
    const nowMs = clock.monotonicMs();
    options.onStep?.(text, nowMs - sinceMs);
    sinceMs = nowMs;
  };
}

interface Credentials {
  superuser: string;
  owner: string;
}

// The passwords lie inside the cluster's directory, so that it and they appear in their place at once.
async function installCluster(place: Parameters<typeof createCluster>[0]): Promise<void> {
  const credentials: Credentials = {
    superuser: randomBytes(24).toString('base64url'),
    owner: randomBytes(24).toString('base64url'),
  };
  const made = await createCluster(place, { name: superuserName, password: credentials.superuser });
  const file = credentialsFile(made);
  writeFileSync(file, JSON.stringify(credentials), { mode: 0o600 });
  giveTo(place.account, file);
  renameSync(made, place.directory.cluster);
}

function readCredentials(cluster: string): Credentials {
  const file = credentialsFile(cluster);
  if (!existsSync(file)) {
    throw new AppError('conflict', `${cluster} was not made by Kymo: ${path.basename(file)} is missing`);
  }
  // Written by us, mode 0600; whoever can change it owns the data already.
  return JSON.parse(readFileSync(file, 'utf8')) as Credentials;
}

function credentialsFile(cluster: string): string {
  return path.join(cluster, 'kymo-credentials.json');
}

/** Makes the owner and its database when they are missing, and checks that we talk to the cluster that we mean. */
async function ensureOwner(superuserUrl: string, cluster: string, password: string): Promise<void> {
  const client = new pg.Client({ connectionString: superuserUrl });
  // A connection that breaks while idle says so by an event; the query after it fails and tells the caller.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ identifier: string; role: boolean; database: boolean }>(
      `select (select system_identifier::text from pg_control_system()) as identifier,
              exists (select 1 from pg_roles where rolname = $1) as role,
              exists (select 1 from pg_database where datname = $2) as database`,
      [ownerName, databaseName],
    );
    const found = rows[0];
    if (found?.identifier !== systemIdentifier(cluster)) {
      throw new AppError('conflict', `the server on the socket is not the one of ${cluster}`);
    }
    if (!found.role) await client.query(`create role ${ownerName} login createrole password '${password}'`);
    if (!found.database) await client.query(`create database ${databaseName} owner ${ownerName}`);
  } finally {
    await client.end();
  }
}

/** pg_control begins with the system identifier, a 64-bit integer in the machine's order (pg_control.h). */
function systemIdentifier(cluster: string): string {
  const control = readFileSync(path.join(cluster, 'global', 'pg_control'));
  const view = new DataView(control.buffer, control.byteOffset, 8);
  return String(view.getBigUint64(0, true));
}

function urlOf(directory: DataDirectory, user: string, password: string, database: string): string {
  return `postgresql://${user}:${password}@${encodeURIComponent(directory.sockets)}:5432/${database}`;
}
