/**
 * Owns the reading of a whole database into a back-up: one REPEATABLE READ snapshot, so that every acknowledgement given
 * before it is in it, through COPY, as the owner of each table. It takes ACCESS SHARE locks only: flushes and the making
 * of partitions go on; what would drop or rewrite a table waits. A table of which row security would hide anything ends
 * it. Bound: the blocks of backup-format.ts; a slow file slows the COPY down.
 */

import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';

import { assert } from '#base/assert.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { actAs, readCatalogue, readSequences, type Catalogue } from '#store/backup-catalogue.ts';
import { createBackupWriter, type BackupHeader, type BackupSummary } from '#store/backup-format.ts';
import { createCopyRowCounter } from '#store/copy-rows.ts';
import { storeError } from '#store/store-error.ts';

/** Retention that drops a partition while the tables are being locked makes it begin again. */
const ATTEMPTS = 5;
/** A migration holds its locks for less; whoever holds one for longer is named by the failure. */
const LOCK_MS = 30_000;

export interface BackupProgress {
  /** COPY bytes so far. */
  readonly bytes: number;
  /** What PostgreSQL's files of these tables take: about what is to come. */
  readonly ofBytes: number;
  readonly rows: number;
  /** The table that is being read. */
  readonly table: string;
}

export interface BackupReport {
  readonly header: BackupHeader;
  readonly summary: BackupSummary;
  readonly sha256: string;
  readonly fileBytes: number;
}

export interface BackupOptions {
  /** A role that is a member of every owner of a table, as the one of migrations is. */
  readonly ownerUrl: string;
  /** Version of this program. */
  readonly kymo: string;
  /** Takes the file's bytes; called again only after its promise has resolved. */
  readonly write: (bytes: Buffer) => Promise<void>;
  readonly onSnapshot?: (header: BackupHeader) => void;
  readonly onProgress?: (progress: BackupProgress) => void;
  readonly signal?: AbortSignal;
}

/** Throws AppError: `not-found` when there is no Kymo database, `forbidden` when rows would be left out. */
export async function writeBackup(options: BackupOptions): Promise<BackupReport> {
  const client = new pg.Client({ connectionString: options.ownerUrl, keepAlive: true });
  client.on('error', () => undefined);
  let sinkError: unknown = null;
  const write = (bytes: Buffer): Promise<void> =>
    options.write(bytes).catch((error: unknown) => {
      sinkError = error;
      throw error;
    });
  try {
    await client.connect();
    const { header, catalogue } = await takeSnapshot(client, options.kymo);
    options.onSnapshot?.(header);
    return await copyOut(client, { ...options, write, header, catalogue });
  } catch (error) {
    // A broken pipe of the file is not one of the database.
    throw error === sinkError ? error : explained(error);
  } finally {
    // Also in the middle of a COPY that nobody reads any more: PostgreSQL ends with the connection.
    await closeClient(client);
  }
}

/** Ends a connection whatever it is doing. */
async function closeClient(client: pg.Client): Promise<void> {
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection;
  const ended = client.end().catch(() => undefined);
  stream.destroy();
  await ended;
}

interface Snapshot {
  readonly header: BackupHeader;
  readonly catalogue: Catalogue;
}

// LOCK takes no snapshot (PlannedStmtRequiresSnapshot), so that what is seen afterwards is what the locks protect.
async function takeSnapshot(client: pg.Client, kymo: string): Promise<Snapshot> {
  for (let attempt = 1; ; attempt++) {
    const before = await readCatalogue(client);
    if (before.tables.length === 0) throw new AppError('not-found', 'this database has no Kymo data');
    await client.query('begin isolation level repeatable read read only');
    await client.query(`set local lock_timeout = ${LOCK_MS}`);
    await client.query('set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0');
    // Where row security would leave rows out, PostgreSQL then refuses instead.
    await client.query('set local row_security = off');
    if (await lockTables(client, before)) {
      const catalogue = await readCatalogue(client);
      if (namesOf(before) === namesOf(catalogue))
        return { header: await readHeader(client, catalogue, kymo), catalogue };
    }
    await client.query('rollback');
    if (attempt === ATTEMPTS)
      throw new AppError('overloaded', 'the tables keep changing: try again later', { temporary: true });
  }
}

/** False when a table is gone meanwhile. */
async function lockTables(client: pg.Client, { tables }: Catalogue): Promise<boolean> {
  for (const { name, owner, leaves } of tables) {
    const names = new Set([name, ...leaves.map((leaf) => leaf.name)]);
    const list = [...names].map((each) => `kymo.${client.escapeIdentifier(each)}`).join(', ');
    await actAs(client, owner);
    try {
      await client.query(`lock table ${list} in access share mode`);
    } catch (error) {
      if ((error as { code?: unknown } | null)?.code === UNDEFINED_TABLE) return false;
      throw error;
    }
  }
  await client.query('set local role none');
  return true;
}

const UNDEFINED_TABLE = '42P01';

function namesOf({ tables }: Catalogue): string {
  return JSON.stringify(
    tables.map(({ name, owner, leaves }) => [name, owner, leaves.map((leaf) => leaf.name)]),
  );
}

async function readHeader(client: pg.Client, catalogue: Catalogue, kymo: string): Promise<BackupHeader> {
  const { rows } = await client.query<{ at: string; incarnation: string; version: string }>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at,
       (select incarnation::text from kymo.server) as incarnation, current_setting('server_version') as version`,
  );
  const { rows: migrations } = await client.query<{ name: string }>(
    'select name from kymo_migration order by name collate "C"',
  );
  const { at, incarnation, version } = rows[0]!;
  return {
    kymo,
    migrations: migrations.map(({ name }) => name),
    incarnation,
    snapshotAt: at,
    postgres: version,
    partitions: [...catalogue.partitions],
    sequences: await readSequences(client),
  };
}

async function copyOut(client: pg.Client, options: BackupOptions & Snapshot): Promise<BackupReport> {
  const { header, catalogue, onProgress, signal } = options;
  const writer = createBackupWriter(options.write);
  const ofBytes = catalogue.tables.flatMap(({ leaves }) => leaves).reduce((sum, leaf) => sum + leaf.bytes, 0);
  let bytes = 0;
  let rows = 0;
  await writer.header(header);
  for (const table of catalogue.tables) {
    await actAs(client, table.owner);
    const names = table.columns.map(({ name }) => client.escapeIdentifier(name)).join(', ');
    // Each partition alone: a query over years of them would lock all their indexes too, more than PostgreSQL has room for.
    for (const leaf of table.leaves) {
      await writer.beginTable({
        table: table.name,
        partition: leaf.name === table.name ? null : leaf.name,
        columns: [...table.columns],
      });
      const counter = createCopyRowCounter();
      const from = `kymo.${client.escapeIdentifier(leaf.name)}`;
      const copy = client.query(copyTo(`copy ${from} (${names}) to stdout (format binary)`));
      for await (const chunk of copy as AsyncIterable<Buffer>) {
        signal?.throwIfAborted();
        bytes += chunk.length;
        counter.add(chunk);
        await writer.write(chunk);
        onProgress?.({ bytes, ofBytes, rows: rows + counter.rows, table: table.name });
      }
      assert(counter.isWhole && counter.rows === copy.rowCount, 'PostgreSQL sent the rows that it says');
      rows += copy.rowCount;
      await writer.endTable(copy.rowCount);
    }
  }
  await client.query('commit');
  const report = { header, ...(await writer.finish()) };
  onProgress?.({ bytes, ofBytes, rows, table: '' });
  return report;
}

/** SQLSTATE insufficient_privilege: row security, or a table that this role may not read. */
const FORBIDDEN = '42501';

function explained(error: unknown): unknown {
  if ((error as { code?: unknown } | null)?.code === FORBIDDEN)
    return new AppError('forbidden', `a back-up must have all rows of all tables: ${messageOf(error)}`, {
      cause: error,
    });
  return storeError(error);
}
