/**
 * Owns `npm run bench -- export`: one long stream of the real recording, repeated, downloaded from the real server as CSV
 * and as Parquet. Shown: how fast it comes, what memory the server takes for it, and how long others wait meanwhile.
 * Every download must hold every reading: the file's size is no proof, so its rows are counted.
 */

import { createWriteStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import { readingsHeader, type ExportFormat } from '#contract/export-format.ts';
import { createAccounts, createOrganisation } from '#identity/accounts.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { migrate } from '#store/migrate.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { startKymo, type KymoServer } from '#bench/ingest/kymo-server.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import { readOptions, type OptionTable } from '#bench/support/command-options.ts';
import { createLatencyHistogram, type LatencyHistogram } from '#bench/support/latency-histogram.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { treeUsage } from '#bench/support/process-usage.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { askDuckDb } from '#test/support/duckdb.ts';

const usage = `Usage: npm run bench -- export [options]

One long stream, downloaded as CSV and as Parquet.`;

const options = {
  millions: { kind: 'integer', default: 10, quick: 1, min: 1, max: 1_000, doc: 'million readings' },
} as const satisfies OptionTable;

const AXES = ['acc_x', 'acc_y', 'acc_z', 'gyr_x', 'gyr_y', 'gyr_z'];
const CHUNK_READINGS = 500;
const CHUNK_BYTES = CHUNK_READINGS * AXES.length * 4;
const PERIOD_US = 5_000;
const START_US = 1_750_000_000_000_000;
const SAMPLE_MS = 50;
/** How long small requests are timed without an export beside them. */
const IDLE_MS = 5_000;

interface Run {
  readonly format: ExportFormat;
  readonly seconds: number;
  readonly readingsPerS: number;
  readonly bytesPerReading: number;
  readonly serverMiBBefore: number;
  readonly serverMiBMost: number;
  /** Of a small request beside it. */
  readonly otherMsP50: number | null;
  readonly otherMsP99: number | null;
}

async function main(scope: RunScope): Promise<void> {
  const values = readOptions(options, usage);
  const readings = values.millions * 1_000_000;
  const progress = createProgress();
  progress.say('starting PostgreSQL');
  const { databases, folder } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `export_bench_${process.pid}`);
  progress.say(`storing ${values.millions} million readings`);
  const { stream, readKey } = await storeStream(database, readings);
  const server = await startKymo(scope, database, { devices: 0, stateDir: `${folder}/server` });
  progress.say('looking at the server at rest');
  const idle = createLatencyHistogram();
  const origin = `http://127.0.0.1:${server.port}`;
  await sampleBeside({ server, origin, others: idle, signal: AbortSignal.timeout(IDLE_MS) });
  const runs: Run[] = [];
  for (const format of ['csv', 'parquet'] as const) {
    progress.say(`exporting ${format}`);
    const file = `${folder}/export.${format}`;
    runs.push(await measure({ server, stream, readKey, readings }, { format, file }));
    await rm(file);
  }
  progress.end();
  process.stdout.write(
    formatTable(
      [
        'format',
        'seconds',
        'readings/s',
        'bytes a reading',
        'MiB before',
        'MiB most',
        'others ms p50',
        'p99',
      ],
      runs.map((run) => [
        run.format,
        ...[run.seconds, run.readingsPerS, run.bytesPerReading, run.serverMiBBefore].map(formatFigure),
        ...[run.serverMiBMost, run.otherMsP50, run.otherMsP99].map(formatFigure),
      ]),
    ),
  );
  process.stdout.write(
    `others at rest: ms p50 ${formatFigure(idle.quantileMs(0.5))}, p99 ${formatFigure(idle.quantileMs(0.99))}\n`,
  );
  printResult({
    bench: 'export',
    machine: describeMachine(),
    database: database.durability,
    readings,
    runs,
    otherMsP50AtRest: rounded(idle.quantileMs(0.5)),
    otherMsP99AtRest: rounded(idle.quantileMs(0.99)),
  });
}

/** The recording's readings again and again, as chunks of 500, under numbers and times of their own. */
async function storeStream(
  database: BenchDatabase,
  readings: number,
): Promise<{ stream: string; readKey: string }> {
  await migrate(database.url);
  const owner = new pg.Pool({ connectionString: database.url, max: 1 });
  const pools = await openPools(database.url, () => undefined);
  const writer = new pg.Pool({ connectionString: pools.writerUrl, max: 1 });
  try {
    await ensurePartitions(writer);
    const orgId = await createOrganisation(owner, { name: 'bench', clock: systemClock });
    const accounts = createAccounts({ appPool: pools.app, clock: systemClock });
    const device = await accounts.createDevice(orgId, 'bench');
    const { key } = await accounts.createAccessKey(orgId, { name: 'bench', scope: 'read' });
    const stream = uuidv7(systemClock);
    const epoch = randomEpoch();
    const opened = await createCatalogue(pools).openStream(
      { deviceId: device.id, orgId },
      {
        epoch,
        definition: {
          stream,
          session: uuidv7(systemClock),
          segment: 'bench',
          sensor: 'imu',
          axes: AXES.map((name) => ({ name, unit: '1' })),
          rateHz: 1e6 / PERIOD_US,
          encoding: 'float32',
          clock: 'device',
        },
      },
    );
    if (!opened.ok) throw new AppError(opened.error.code, opened.error.message);
    const recorded = await readFile('data/gaitmap/healthy_2x20m_left.f32');
    const pieces = Array.from({ length: Math.floor(recorded.length / CHUNK_BYTES) }, (_, i) =>
      recorded.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
    );
    await writer.query(
      `insert into kymo.chunk (org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day,
          retention_class, segments, deltas, data)
        select $1, $2, $3, i * ${CHUNK_READINGS}, t.first_us, t.first_us + ${(CHUNK_READINGS - 1) * PERIOD_US},
               ${CHUNK_READINGS}, (now() at time zone 'utc')::date, 0,
               $4::bytea || t.little_endian || t.little_endian, null, ($5::bytea[])[1 + i % $6]
          from generate_series(0, $7::int - 1) i
         cross join lateral (select ${START_US} + i::bigint * ${CHUNK_READINGS * PERIOD_US} as first_us) f
         cross join lateral (
           select f.first_us, string_agg(substring(int8send(f.first_us) from b for 1), '' order by b desc) as little_endian
             from generate_series(1, 8) b) t`,
      [orgId, stream, epochToInt8(epoch), segmentHead(), pieces, pieces.length, readings / CHUNK_READINGS],
    );
    await writer.query(
      `update kymo.stream_epoch set committed = int8multirange(int8range(0, $3)),
          first_commit_day = (now() at time zone 'utc')::date, last_commit_day = (now() at time zone 'utc')::date
        where stream_id = $1 and epoch = $2`,
      [stream, epochToInt8(epoch), readings],
    );
    await database.query('vacuum analyze');
    return { stream, readKey: key };
  } finally {
    await Promise.all([owner.end(), writer.end()]);
    await pools.close();
  }
}

/** Count, nothing, and the period of a segment, little endian (migrations/0001-foundation.sql). */
function segmentHead(): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(CHUNK_READINGS, 0);
  bytes.writeUInt32LE(PERIOD_US * 1000, 4);
  return bytes;
}

async function measure(
  from: { server: KymoServer; stream: string; readKey: string; readings: number },
  { format, file }: { format: ExportFormat; file: string },
): Promise<Run> {
  const { server, stream, readKey, readings } = from;
  const origin = `http://127.0.0.1:${server.port}`;
  const headers = { authorization: `Bearer ${readKey}` };
  const others = createLatencyHistogram();
  const ended = new AbortController();
  const serverMiBBefore = treeUsage(server.child.pid).rssMiB;
  const beside = sampleBeside({ server, origin, others, signal: ended.signal });
  const startedMs = performance.now();
  const answer = await fetch(`${origin}/v1/streams/${stream}/export?format=${format}`, { headers });
  if (!answer.ok || answer.body === null) throw new AppError('internal', `the export gave ${answer.status}`);
  const promised = Number(answer.headers.get(readingsHeader));
  await pipeline(Readable.fromWeb(answer.body), createWriteStream(file));
  const seconds = (performance.now() - startedMs) / 1000;
  ended.abort();
  const serverMiBMost = await beside;
  const rows = await countRows(file);
  const { size } = await stat(file);
  if (promised !== readings || rows !== readings)
    throw new AppError('internal', `${rows} readings came, ${promised} were promised, of ${readings}`);
  return {
    format,
    seconds: rounded(seconds)!,
    readingsPerS: Math.round(readings / seconds),
    bytesPerReading: rounded(size / readings)!,
    serverMiBBefore,
    serverMiBMost,
    otherMsP50: rounded(others.quantileMs(0.5)),
    otherMsP99: rounded(others.quantileMs(0.99)),
  };
}

/** The server's memory, and how long a small request takes, until `signal`. Resolves to the most memory seen, MiB. */
async function sampleBeside(beside: {
  server: KymoServer;
  origin: string;
  others: LatencyHistogram;
  signal: AbortSignal;
}): Promise<number> {
  const { server, origin, others, signal } = beside;
  let mostMiB = 0;
  while (!signal.aborted) {
    const askedMs = performance.now();
    await (await fetch(`${origin}/v1/about`)).arrayBuffer();
    others.record((performance.now() - askedMs) * 1000);
    mostMiB = Math.max(mostMiB, treeUsage(server.child.pid).rssMiB);
    await sleep(SAMPLE_MS);
  }
  return mostMiB;
}

/** Counted by DuckDB, which shares no code with the export: every number once. */
async function countRows(file: string): Promise<number> {
  const { rows } = await askDuckDb(`select count(*), count(distinct seq), min(seq), max(seq) from '${file}'`);
  const [count, distinct, least, most] = rows[0]!.map(Number) as [number, number, number, number];
  if (distinct !== count || least !== 0 || most !== count - 1)
    throw new AppError('internal', `${distinct} numbers from ${least} to ${most} in ${count} rows`);
  return count;
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nexport: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
