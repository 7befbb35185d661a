/**
 * Owns the schema's history: numbered SQL files, each applied once in a transaction under Kysely's lock. A database
 * that knows a migration which this program does not is newer than the program, and is refused.
 */

import { readdir, readFile } from 'node:fs/promises';

import { Kysely, PostgresDialect, sql } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import pg from 'pg';

import { AppError } from '#base/errors.ts';
import { installQueue } from '#store/job-schema.ts';
import { ensureRoles } from '#store/roles.ts';

const directory = new URL('./migrations/', import.meta.url);

/** Brings the database at `ownerUrl` to the newest schema; safe to call from several processes at once. */
export async function migrate(ownerUrl: string): Promise<{ applied: readonly string[] }> {
  const pool = new pg.Pool({ connectionString: ownerUrl, max: 2 });
  // A connection that breaks shows itself in the statement that uses it; unheard, it would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    await ensureRoles(pool);
    const { error, results } = await createMigrator(db).migrateToLatest();
    if (error !== undefined) throw migrationError(error);
    await installQueue(pool);
    return { applied: (results ?? []).filter((r) => r.status === 'Success').map((r) => r.migrationName) };
  } finally {
    await db.destroy();
  }
}

/** Names of the migrations that this program knows, in order. */
export async function knownMigrations(): Promise<string[]> {
  return Object.keys(await readMigrations());
}

/** The lock that Kysely takes before it migrates (its PostgresAdapter); whoever holds it is alone with the schema. */
export const MIGRATION_LOCK = '3853314791062309107';

/**
 * Makes the schema up to the migration `to` inside the transaction of `client`, which holds MIGRATION_LOCK. The
 * migrations table must not exist.
 */
export async function migrateWithin(client: pg.ClientBase, to: string): Promise<void> {
  const only = { query: client.query.bind(client), release: () => undefined };
  const pool = { connect: async () => only, end: async () => undefined } as unknown as pg.Pool;
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const { error } = await createMigrator(db, { disableTransactions: true }).migrateTo(to);
  if (error !== undefined) throw migrationError(error);
}

function createMigrator(db: Kysely<unknown>, options: { disableTransactions?: boolean } = {}): Migrator {
  return new Migrator({
    db,
    provider: { getMigrations: readMigrations },
    migrationTableName: 'kymo_migration',
    migrationLockTableName: 'kymo_migration_lock',
    ...options,
  });
}

async function readMigrations(): Promise<Record<string, Migration>> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).toSorted();
  const migrations: Record<string, Migration> = {};
  for (const name of names) {
    const text = await readFile(new URL(name, directory), 'utf8');
    migrations[name.replace(/\.sql$/, '')] = { up: async (db) => void (await sql.raw(text).execute(db)) };
  }
  return migrations;
}

function migrationError(cause: unknown): Error {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (message.includes('previously executed migration'))
    return new AppError(
      'conflict',
      'the database was written by a newer Kymo: update this program (git pull) and start again, or restore an older ' +
        'back-up into another folder (npm run kymo -- restore FILE --data FOLDER)',
      {
        cause,
      },
    );
  return cause instanceof Error ? cause : new Error(message);
}
