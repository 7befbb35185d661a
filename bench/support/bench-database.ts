/**
 * Owns a benchmark's view of PostgreSQL: what is durable, what it costs in CPU time, rows out by binary COPY. A
 * benchmark whose database would lose a committed reading is refused: its figures would compare nothing.
 */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';

import { AppError } from '#base/errors.ts';
import { createCopyRowParser, type CopyField } from '#bench/support/copy-rows.ts';
import { parentOf, treeUsage, type TreeUsage } from '#bench/support/process-usage.ts';
import type { RunScope } from '#bench/support/run-scope.ts';

/** Nothing is held back in one piece by a benchmark; this only catches a hang. */
const STATEMENT_TIMEOUT_MS = 120_000;

export interface Durability {
  readonly version: string;
  readonly fsync: string;
  readonly synchronousCommit: string;
  readonly fullPageWrites: string;
}

export interface BenchDatabase {
  /** For the server under test. */
  readonly url: string;
  readonly durability: Durability;
  query<T extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<T[]>;
  /** Postmaster, backends and background processes together. */
  usage(): TreeUsage;
  /** Runs `copy (...) to stdout (format binary)` and calls `row` for each row. */
  copyOut(select: string, row: (fields: readonly CopyField[]) => void): Promise<void>;
  /** Runs `copy ... from stdin (format binary)` with `bytes` as its input. */
  copyIn(sql: string, bytes: Buffer): Promise<void>;
  checkpoint(): Promise<void>;
}

export interface DatabaseServer {
  /** A superuser: reads every table and forces checkpoints. */
  readonly adminUrl: string;
  /** Who the servers under test connect as; may create roles. */
  readonly ownerUrl: string;
}

/** Makes a database of its own on the server, empty or as a copy of `template`; the scope drops it. */
export async function createBenchDatabase(
  scope: RunScope,
  server: DatabaseServer & { readonly template?: string },
  name: string,
): Promise<BenchDatabase> {
  const owner = decodeURIComponent(new URL(server.ownerUrl).username);
  const admin = await connect(server.adminUrl);
  const copied = server.template === undefined ? '' : `template ${server.template} strategy file_copy`;
  await admin.query(`create database ${name} owner ${admin.escapeIdentifier(owner)} ${copied}`);
  scope.defer(`database ${name}`, async () => {
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.end();
  });
  const client = await connect(withDatabase(server.adminUrl, name));
  const postmasterPid = await findPostmaster(client);
  return {
    url: withDatabase(server.ownerUrl, name),
    durability: await readDurability(client),
    query: async <T extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []) =>
      (await client.query<T>(sql, [...values])).rows,
    usage: () => treeUsage(postmasterPid),
    async copyOut(select, row) {
      const parse = createCopyRowParser(row);
      const stream = client.query(copyTo(`copy (${select}) to stdout (format binary)`));
      for await (const chunk of stream) parse(chunk as Buffer);
    },
    async copyIn(sql, bytes) {
      const stream = client.query(copyFrom(sql));
      stream.end(bytes);
      await once(stream, 'finish');
    },
    checkpoint: async () => void (await client.query('checkpoint')),
  };
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, statement_timeout: STATEMENT_TIMEOUT_MS });
  // The database may be dropped, or the server stopped, while nobody waits for this connection.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** The parent of a backend, if both are processes of this machine: otherwise their cost cannot be read. */
async function findPostmaster(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const backendPid = rows[0]?.pid ?? 0;
  let name = '';
  try {
    name = readFileSync(`/proc/${backendPid}/comm`, 'latin1');
  } catch {
    // Not a process of this machine: the check below says so.
  }
  if (!name.startsWith('postgres'))
    throw new AppError(
      'invalid-field',
      'the database must run on this machine, so that its CPU time can be read',
    );
  return parentOf(backendPid);
}

async function readDurability(client: pg.Client): Promise<Durability> {
  const { rows } = await client.query<Durability>(
    `select current_setting('server_version') as version, current_setting('fsync') as fsync,
            current_setting('synchronous_commit') as "synchronousCommit",
            current_setting('full_page_writes') as "fullPageWrites"`,
  );
  const durability = rows[0]!;
  for (const name of ['fsync', 'synchronousCommit', 'fullPageWrites'] as const)
    if (durability[name] !== 'on')
      throw new AppError(
        'invalid-field',
        `the database runs with ${name} ${durability[name]}: it must be on`,
      );
  return durability;
}
