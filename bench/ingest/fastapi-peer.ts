/**
 * Owns the FastAPI comparison server from the benchmark's side: its Debian packages, its tables, its process and what
 * it stored. Where the packages cannot be had, it says what to install and the peer is reported as absent.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { BenchDatabase } from '#bench/support/bench-database.ts';
import { hear } from '#bench/support/control-channel.ts';
import { bytesOf, int8Of, uuidOf } from '#bench/support/copy-rows.ts';
import { installDebianPackages } from '#bench/support/debian-packages.ts';
import type { ReadingChecker } from '#bench/support/reading-checker.ts';
import { checkChunks } from '#bench/support/stored-chunks.ts';
import { AXES } from '#bench/support/synthetic-reading.ts';
import type { Child, RunScope } from '#bench/support/run-scope.ts';

/** Debian's own Python: another one on the path would not see Debian's packages. */
export const PYTHON = '/usr/bin/python3';
const INGEST_PACKAGES = ['fastapi', 'uvicorn', 'websockets', 'asyncpg', 'uvloop', 'numpy'];
const READY_MS = 20_000;

const run = promisify(execFile);

/** `chunks`: one row a stream and flush, the same as ours. `rows`: one row a reading. */
export type FastapiLayout = 'chunks' | 'rows';
export type FastapiVersions = Readonly<Record<string, string>>;

/** Versions of what is installed; installs it when that is possible, else says why there is no peer. `packages`: of Python. */
export async function provideFastapi(
  say: (text: string) => void,
  packages: readonly string[] = INGEST_PACKAGES,
): Promise<{ versions: FastapiVersions } | { absent: string }> {
  const found = await readVersions(packages);
  if (found !== null) return { versions: found };
  const debianPackages = packages.map((name) => `python3-${name}`);
  const absent = await installDebianPackages('FastAPI', debianPackages, say);
  if (absent !== null) return { absent };
  const installed = await readVersions(packages);
  return installed === null
    ? { absent: `FastAPI does not load after installing ${debianPackages.join(', ')}` }
    : { versions: installed };
}

async function readVersions(packages: readonly string[]): Promise<FastapiVersions | null> {
  const program = `import json, sys, ${packages.join(', ')}
print(json.dumps({"python": sys.version.split()[0], **{m.__name__: m.__version__ for m in (${packages.join(', ')})}}))`;
  try {
    return JSON.parse((await run(PYTHON, ['-c', program])).stdout) as FastapiVersions;
  } catch {
    return null;
  }
}

export interface FastapiServer {
  readonly child: Child;
  readonly port: number;
}

export const fastapiTables: Record<FastapiLayout, string> = { chunks: 'peer_chunk', rows: 'peer_reading' };

export async function startFastapi(
  scope: RunScope,
  database: BenchDatabase,
  layout: FastapiLayout,
): Promise<FastapiServer> {
  await database.query(tables[layout]);
  // Made by the superuser, written by the peer's own role.
  await database.query(`grant all on ${fastapiTables[layout]} to public`);
  const child = await scope.start({
    name: `fastapi (${layout})`,
    command: PYTHON,
    args: [
      fileURLToPath(new URL('../peers/fastapi/server.py', import.meta.url)),
      '--database',
      database.url,
      '--layout',
      layout,
    ],
  });
  const { port } = await hear<{ type: 'ready'; port: number }>(child, 'ready', READY_MS);
  return { child, port };
}

/** Chunks: what kymo.chunk has, with its two indexes. Rows: the fastest of docs/benchmarks.md, without a unique key. */
const tables: Record<FastapiLayout, string> = {
  chunks: `
    create table peer_chunk (
      stream_id uuid not null, epoch bigint not null, first_seq bigint not null, first_us bigint not null,
      last_us bigint not null, n integer not null, segments bytea not null, data bytea not null
    ) with (toast_tuple_target = 8160);
    alter table peer_chunk alter column data set storage external, alter column segments set storage external;
    create index on peer_chunk (stream_id, epoch, first_seq);
    create index on peer_chunk using brin (first_us, last_us) with (pages_per_range = 32)`,
  rows: `
    create table peer_reading (
      stream_id uuid not null, epoch bigint not null, seq bigint not null, time_us bigint not null,
      ${Array.from({ length: AXES }, (_, axis) => `axis${axis} real not null`).join(', ')}
    );
    create index on peer_reading using brin (time_us)`,
};

/** Shows the checker everything that the server stored. */
export async function checkFastapi(
  checker: ReadingChecker,
  database: BenchDatabase,
  layout: FastapiLayout,
): Promise<void> {
  if (layout === 'chunks') return checkChunks(checker, database, fastapiTables.chunks);
  const segment = new Uint8Array(24);
  const segmentView = new DataView(segment.buffer);
  segmentView.setUint16(0, 1, true);
  const data = new Uint8Array(AXES * 4);
  await database.copyOut(`select * from ${fastapiTables.rows}`, (fields) => {
    segmentView.setBigInt64(8, BigInt(int8Of(fields[3] ?? null)), true);
    for (let axis = 0; axis < AXES; axis++) {
      // PostgreSQL sends big endian, devices little.
      const value = bytesOf(fields[4 + axis] ?? null);
      for (let byte = 0; byte < 4; byte++) data[axis * 4 + byte] = value[3 - byte]!;
    }
    checker.row({
      streamId: uuidOf(fields[0] ?? null),
      epoch: bytesOf(fields[1] ?? null).toString('hex'),
      firstSeq: int8Of(fields[2] ?? null),
      n: 1,
      segments: segment,
      data,
    });
  });
}
