/**
 * Owns the writing of a back-up into an empty database: the schema as it was, its partitions, all rows and a new
 * incarnation in one transaction, so that an end of this process or of PostgreSQL at any moment leaves the target as
 * empty as it was, and a repeat begins anew. The file is read twice, and nothing is written before the first time has
 * proven it. Ids and key hashes stay: devices and people go on with the keys that they have.
 */

import { pipeline } from 'node:stream/promises';

import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

import { assert } from '#base/assert.ts';
import { AppError } from '#base/errors.ts';
import { actAs, readCatalogue, type Table } from '#store/backup-catalogue.ts';
import {
  readBackup,
  type BackupHeader,
  type BackupPartition,
  type BackupPiece,
  type BackupSummary,
  type BackupTableEnd,
  type BackupTableHead,
} from '#store/backup-format.ts';
import { createCopyRowCounter } from '#store/copy-rows.ts';
import { knownMigrations, migrate, migrateWithin, MIGRATION_LOCK } from '#store/migrate.ts';
import { ensureRoles, roleNames } from '#store/roles.ts';
import { storeError } from '#store/store-error.ts';

/** A server that holds its tables for longer is running. */
const LOCK_MS = 5_000;

export interface BackupContents {
  readonly header: BackupHeader;
  readonly summary: BackupSummary;
  readonly sha256: string;
  /** In the order of the file; partitions are counted with their table. */
  readonly tables: readonly { readonly name: string; readonly rows: number; readonly bytes: number }[];
}

/** Reads a whole file and proves every checksum. Throws what readBackup throws. */
export async function verifyBackup(source: AsyncIterable<Buffer>): Promise<BackupContents> {
  const tables = new Map<string, { name: string; rows: number; bytes: number }>();
  let header: BackupHeader | null = null;
  let name = '';
  for await (const piece of readBackup(source)) {
    if (piece.type === 'header') header = piece.header;
    else if (piece.type === 'table') name = piece.head.table;
    else if (piece.type === 'tableEnd') {
      const { rows, bytes } = tables.get(name) ?? { rows: 0, bytes: 0 };
      tables.set(name, { name, rows: rows + piece.end.rows, bytes: bytes + piece.end.bytes });
    } else if (piece.type === 'end') {
      const { summary, sha256 } = piece;
      return { header: header!, summary, sha256, tables: [...tables.values()] };
    }
  }
  throw new Error('readBackup ends with `end` or throws');
}

export interface RestoreOptions {
  /** A role that may create roles, and owns the database or may create schemas in it. */
  readonly ownerUrl: string;
  /** Opens the file from its beginning; called twice. */
  readonly open: () => AsyncIterable<Buffer>;
  /** The file has been proven, and writing begins. */
  readonly onVerified?: (contents: BackupContents) => void;
  readonly onProgress?: (progress: { bytes: number; ofBytes: number; rows: number; table: string }) => void;
}

export interface RestoreReport {
  readonly contents: BackupContents;
  readonly incarnation: string;
  /** Migrations that were applied after the rows were there. */
  readonly migrated: readonly string[];
}

/**
 * Throws AppError: what readBackup throws; `unsupported-version` when the schema is newer than this program;
 * `conflict` when the target has data, or somebody uses it. Then nothing was written.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const contents = await verifyBackup(options.open());
  await refuseUnknownSchema(contents.header);
  options.onVerified?.(contents);
  try {
    await makeRoles(options.ownerUrl);
    await load(options, contents);
    const { applied } = await migrate(options.ownerUrl);
    return { contents, incarnation: await readIncarnation(options.ownerUrl), migrated: applied };
  } catch (error) {
    throw storeError(error);
  }
}

async function refuseUnknownSchema({ kymo, migrations }: BackupHeader): Promise<void> {
  const known = await knownMigrations();
  if (migrations.every((name, i) => known[i] === name)) return;
  const unknown = migrations.find((name) => !known.includes(name));
  throw new AppError(
    'unsupported-version',
    unknown === undefined
      ? 'the back-up lacks a migration in the middle of its schema: it was not made by a released Kymo'
      : `the back-up has the schema ${migrations.at(-1)}, and this Kymo knows up to ${known.at(-1)}: ` +
          `restore it with Kymo ${kymo}, which wrote it, or a newer one`,
  );
}

async function makeRoles(ownerUrl: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: ownerUrl, max: 1 });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  try {
    await ensureRoles(pool);
  } finally {
    await pool.end();
  }
}

/** The one that servers will see: on another timeline than that of the back-up it is drawn once more. */
async function readIncarnation(ownerUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: ownerUrl });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ incarnation: string }>(
      'select kymo.incarnation()::text as incarnation',
    );
    return rows[0]!.incarnation;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** One transaction, a new incarnation among it. */
async function load(options: RestoreOptions, contents: BackupContents): Promise<void> {
  const client = new pg.Client({ connectionString: options.ownerUrl, keepAlive: true });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('begin');
    await client.query(
      'set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; set local row_security = off',
    );
    await emptyTarget(client);
    await migrateWithin(client, contents.header.migrations.at(-1)!);
    const owners = new Map((await readCatalogue(client)).tables.map(({ name, owner }) => [name, owner]));
    for (const partition of contents.header.partitions) await makePartition(client, partition, owners);
    const { tables } = await readCatalogue(client);
    await clearMigrated(client, tables);
    await copyIn(client, options, { contents, tables });
    await setSequences(client, contents.header);
    await client.query('set local role none');
    await client.query('update kymo.server set incarnation = gen_random_uuid()');
    await client.query('commit');
    // Otherwise the first plans are made without knowing how large anything is.
    for (const { name, owner } of tables) {
      await client.query(`set role ${client.escapeIdentifier(owner)}`);
      await client.query(`analyze kymo.${client.escapeIdentifier(name)}`);
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Proves that the target has no data and nobody who could write some, and takes its empty schema away. */
async function emptyTarget(client: pg.Client): Promise<void> {
  await client.query(`set local lock_timeout = ${LOCK_MS}`);
  try {
    await client.query(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    await refuseOthers(client);
    const { tables } = await readCatalogue(client);
    for (const { name, owner, columns } of tables) {
      const table = `kymo.${client.escapeIdentifier(name)}`;
      await actAs(client, owner);
      await client.query(`lock table ${table} in access exclusive mode`);
      // What has no organisation was made by a migration and not by anyone's use (DESIGN section 7).
      if (name !== 'organisation' && !columns.some((column) => column.name === 'org_id')) continue;
      const { rowCount } = await client.query(`select from ${table} limit 1`);
      if (rowCount !== 0)
        throw new AppError(
          'conflict',
          `the database has data (in ${table}): restore into an empty one, for example with --data and a new folder`,
        );
    }
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === LOCK_NOT_AVAILABLE) throw inUse(error);
    throw error;
  }
  await client.query('set local role none');
  await client.query('drop schema if exists kymo cascade');
  await client.query('drop table if exists kymo_migration, kymo_migration_lock');
  await client.query('set local lock_timeout = 0');
}

const LOCK_NOT_AVAILABLE = '55P03';

function inUse(cause?: unknown): AppError {
  return new AppError(
    'conflict',
    'a Kymo server uses this database: stop it first',
    cause === undefined ? {} : { cause },
  );
}

async function refuseOthers(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query(
    'select from pg_stat_activity where datname = current_database() and usename = any($1)',
    [roleNames],
  );
  if (rowCount !== 0) throw inUse();
}

/** Of several levels, parents come first; `owners` learns each one's. */
async function makePartition(
  client: pg.Client,
  { name, parent, bound, key, options }: BackupPartition,
  owners: Map<string, string>,
): Promise<void> {
  const owner = owners.get(parent);
  if (owner === undefined || owners.has(name))
    throw new AppError('malformed-message', `the back-up has a partition ${name} that fits no table`);
  owners.set(name, owner);
  await actAs(client, owner);
  const child = `kymo.${client.escapeIdentifier(name)}`;
  const above = `kymo.${client.escapeIdentifier(parent)}`;
  // The format lets nothing but names, days and numbers into these (backup-format.ts).
  const by = key === null ? '' : ` partition by ${key}`;
  const having = options.length === 0 ? '' : ` with (${options.join(', ')})`;
  await client.query(`create table ${child} (like ${above} including all)${by}${having}`);
  await client.query(`alter table ${above} attach partition ${child} ${bound}`);
}

/** Rows that migrations make are in the back-up, as they were. */
async function clearMigrated(client: pg.Client, tables: readonly Table[]): Promise<void> {
  for (const { name, owner } of tables.toReversed()) {
    await actAs(client, owner);
    await client.query(`delete from kymo.${client.escapeIdentifier(name)}`);
  }
}

async function copyIn(
  client: pg.Client,
  options: RestoreOptions,
  { contents, tables }: { contents: BackupContents; tables: readonly Table[] },
): Promise<void> {
  const pieces = readBackup(options.open());
  const progress = { bytes: 0, ofBytes: contents.summary.bytes, rows: 0 };
  for (;;) {
    const { value: piece } = await pieces.next();
    if (piece === undefined) throw new Error('readBackup ends with `end` or throws');
    if (piece.type === 'end') {
      if (piece.sha256 === contents.sha256) break;
      throw new AppError('malformed-message', 'the file changed while it was read');
    }
    if (piece.type !== 'table') continue;
    const { head } = piece;
    const end = await copyTable(client, tableOf(tables, head), {
      head,
      pieces,
      onBytes(count, rows) {
        progress.bytes += count;
        options.onProgress?.({ ...progress, rows: progress.rows + rows, table: head.table });
      },
    });
    progress.rows += end.rows;
  }
  options.onProgress?.({ ...progress, table: '' });
}

function tableOf(tables: readonly Table[], head: BackupTableHead): Table {
  const table = tables.find(({ name }) => name === head.table);
  const describe = (columns: Table['columns']): string =>
    JSON.stringify(columns.map(({ name, type }) => `${name} ${type}`).toSorted());
  if (table !== undefined && describe(table.columns) === describe(head.columns)) return table;
  throw new AppError('malformed-message', `the table ${head.table} of the back-up is not that of its schema`);
}

interface TableSource {
  readonly head: BackupTableHead;
  readonly pieces: AsyncGenerator<BackupPiece, undefined>;
  /** Bytes of one block, and rows of the table so far. */
  readonly onBytes: (count: number, rows: number) => void;
}

async function copyTable(client: pg.Client, table: Table, source: TableSource): Promise<BackupTableEnd> {
  let end: BackupTableEnd | null = null;
  const counter = createCopyRowCounter();
  async function* data(): AsyncGenerator<Buffer> {
    for (;;) {
      const { value: piece } = await source.pieces.next();
      if (piece?.type === 'data') {
        counter.add(piece.bytes);
        source.onBytes(piece.bytes.length, counter.rows);
        yield piece.bytes;
      } else {
        assert(piece?.type === 'tableEnd', 'a table has data and then an end');
        end = piece.end;
        return;
      }
    }
  }
  await actAs(client, table.owner);
  const names = source.head.columns.map(({ name }) => client.escapeIdentifier(name)).join(', ');
  const into = `kymo.${client.escapeIdentifier(table.name)}`;
  // A trigger was at work when these rows came the first time.
  await client.query(`alter table ${into} disable trigger user`);
  const copy = client.query(copyFrom(`copy ${into} (${names}) from stdin (format binary)`));
  await pipeline(data, copy);
  await client.query(`alter table ${into} enable trigger user`);
  const { rows } = end!;
  if (copy.rowCount !== rows)
    throw new AppError('conflict', `${table.name}: ${copy.rowCount} rows were stored of ${rows}`);
  return end!;
}

async function setSequences(client: pg.Client, header: BackupHeader): Promise<void> {
  const { rows } = await client.query<{ name: string; owner: string }>(
    `select relname as name, pg_get_userbyid(relowner) as owner from pg_class
      where relnamespace = 'kymo'::regnamespace and relkind = 'S'`,
  );
  for (const { name, value, isCalled } of header.sequences) {
    const owner = rows.find((row) => row.name === name)?.owner;
    if (owner === undefined)
      throw new AppError('malformed-message', `the back-up has a sequence ${name} that its schema has not`);
    await actAs(client, owner);
    await client.query('select setval($1::regclass, $2::bigint, $3)', [`kymo.${name}`, value, isCalled]);
  }
}
