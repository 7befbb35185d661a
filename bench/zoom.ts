/**
 * Owns `npm run bench -- zoom`: one long recording of nine axes, written as the chunks that live streaming makes, rolled up
 * by the keeper, then shown by the real server at every zoom from the whole to a second. Cold: a fresh connection from the
 * reader to the server and from the server to the database. Every answer must hold every reading of its range.
 */

import { setTimeout as sleep } from 'node:timers/promises';

import { AppError, messageOf } from '#base/errors.ts';
import { systemClock } from '#base/clock.ts';
import { decodeEnvelope } from '#contract/envelope-codec.ts';
import type { StreamHandle } from '#contract/readings.ts';
import { createAccounts, createOrganisation } from '#identity/accounts.ts';
import { createChunkEncoder, CHUNK_COPY_SQL } from '#store/chunk-copy.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { epochToInt8 } from '#store/epoch.ts';
import type { Chunk } from '#store/flush-plan.ts';
import { migrate } from '#store/migrate.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { createRollupTask } from '#store/rollup-keeper.ts';
import { startKymo, type KymoServer } from '#bench/ingest/kymo-server.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import { readOptions, type OptionTable } from '#bench/support/command-options.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { treeUsage } from '#bench/support/process-usage.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { BENCH_AXES, READING_BYTES, streamSeed, writeReadings } from '#bench/support/synthetic-reading.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import pg from 'pg';

const usage = `Usage: npm run bench -- zoom [options]

One long recording, drawn at every zoom from the whole to a second.`;

const options = {
  hours: { kind: 'number', default: 24, quick: 1, min: 0.1, max: 240, doc: 'length of the recording' },
  repeats: { kind: 'integer', default: 5, quick: 2, min: 1, max: 100, doc: 'measurements of each zoom' },
} as const satisfies OptionTable;

const RATE_HZ = 200;
/** What a flush four times a second makes of one stream. */
const CHUNK_READINGS = 50;
const CHUNKS_PER_COPY = 2_000;
const START_US = 1_750_000_000_000_000;
const WIDTHS = [1_200, 2_560] as const;
/** Seconds; those longer than the recording are left out, and the whole of it is added. */
const SPANS_S = [
  43_200, 21_600, 10_800, 7_200, 3_600, 2_700, 1_800, 1_500, 1_300, 1_200, 900, 600, 300, 60, 10, 1,
];
/** After its connections were ended, the server must have noticed, or it would answer 503 once. */
const NOTICE_MS = 300;

interface Zoom {
  readonly spanS: number;
  readonly width: number;
  readonly coldMsP50: number | null;
  readonly coldMsMax: number | null;
  readonly warmMsP50: number | null;
  readonly warmMsMax: number | null;
  /** Of server and database, one answer on average: what the time would be on a machine with nothing else to do. */
  readonly cpuMs: number | null;
  /** Columns of the answer. */
  readonly rows: number;
  readonly bucketUs: number;
  readonly bytes: number;
}

async function main(scope: RunScope): Promise<void> {
  const values = readOptions(options, usage);
  const progress = createProgress();
  const machine = describeMachine();
  progress.say('starting PostgreSQL');
  const { databases, folder } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `zoom_bench_${process.pid}`);
  const readings = Math.round((values.hours * 3_600 * RATE_HZ) / CHUNK_READINGS) * CHUNK_READINGS;
  const recording = await makeRecording(database, readings, progress.say);
  progress.say('rolling up');
  const rollup = await rollUp(database, recording.writerUrl);
  const [size] = await database.query<{ rollup: number; chunks: number }>(
    `select pg_total_relation_size('kymo.rollup')::float8 as rollup,
            (select sum(pg_total_relation_size(relid))::float8 from pg_partition_tree('kymo.chunk') where isleaf) as chunks`,
  );
  progress.say('starting the server');
  const server = await startKymo(scope, database, { devices: 0, stateDir: `${folder}/server` });
  const zooms: Zoom[] = [];
  const wholeS = readings / RATE_HZ;
  for (const spanS of [wholeS, ...SPANS_S.filter((span) => span < wholeS)])
    for (const width of WIDTHS) {
      progress.say(`${spanS} s at ${width} columns`);
      zooms.push(
        await measureZoom(
          { server, database, recording, readings },
          { spanS, width, repeats: values.repeats },
        ),
      );
    }
  progress.end();
  const worstMs = Math.max(...zooms.map((zoom) => zoom.coldMsMax ?? 0));
  process.stdout.write(`${describeZooms(zooms)}\nworst ${formatFigure(worstMs)} ms\n`);
  printResult({
    bench: 'zoom',
    machine,
    database: database.durability,
    hours: values.hours,
    readings,
    rollupSeconds: rounded(rollup.seconds),
    rollupCpuSeconds: rounded(rollup.cpuSeconds),
    rollupBytesPerReading: rounded(size!.rollup / readings, 3),
    chunkBytesPerReading: rounded(size!.chunks / readings, 3),
    zooms,
    worstMs,
  });
}

function describeZooms(zooms: readonly Zoom[]): string {
  return formatTable(
    [
      'span',
      'width',
      'cold ms p50',
      'cold ms max',
      'warm ms p50',
      'warm ms max',
      'CPU ms',
      'columns',
      'of',
      'kB',
    ],
    zooms.map((zoom) => [
      `${zoom.spanS} s`,
      ...[
        zoom.width,
        zoom.coldMsP50,
        zoom.coldMsMax,
        zoom.warmMsP50,
        zoom.warmMsMax,
        zoom.cpuMs,
        zoom.rows,
      ].map(formatFigure),
      zoom.bucketUs === 0 ? 'readings' : `${zoom.bucketUs / 1e6} s`,
      formatFigure(zoom.bytes / 1000),
    ]),
  );
}

interface Recording {
  readonly stream: string;
  readonly readKey: string;
  readonly writerUrl: string;
}

/** Through the catalogue and the chunk encoder; the guard's row is written in one go, which no device could. */
async function makeRecording(
  database: BenchDatabase,
  readings: number,
  say: (text: string) => void,
): Promise<Recording> {
  await migrate(database.url);
  const owner = new pg.Pool({ connectionString: database.url, max: 1 });
  const pools = await openPools(database.url, () => undefined);
  const writer = new pg.Pool({ connectionString: pools.writerUrl, max: 1 });
  try {
    await ensurePartitions(writer);
    const orgId = await createOrganisation(owner, { name: 'bench', clock: systemClock });
    const accounts = createAccounts({ appPool: pools.app, clock: systemClock });
    const device = await accounts.createDevice(orgId, 'bench');
    const reader = await accounts.createAccessKey(orgId, { name: 'bench', scope: 'read' });
    const catalogue = createCatalogue(pools);
    const opened = await catalogue.openStream(
      { deviceId: device.id, orgId },
      { definition: definition(), epoch: randomEpoch() },
    );
    if (!opened.ok) throw new AppError(opened.error.code, opened.error.message);
    const { handle } = opened.value;
    await writeChunks(database, handle, { readings, say });
    await catalogue.endStream({ deviceId: device.id, orgId }, handle.definition.stream);
    return { stream: handle.definition.stream, readKey: reader.key, writerUrl: pools.writerUrl };
  } finally {
    await Promise.all([owner.end(), writer.end()]);
    await pools.close();
  }
}

function definition(): StreamHandle['definition'] {
  return {
    stream: uuidv7(systemClock),
    session: uuidv7(systemClock),
    segment: 'bench',
    sensor: 'imu',
    axes: [...BENCH_AXES],
    rateHz: RATE_HZ,
    encoding: 'float32',
    clock: 'device',
  };
}

async function writeChunks(
  database: BenchDatabase,
  handle: StreamHandle,
  { readings, say }: { readings: number; say: (text: string) => void },
): Promise<void> {
  const encoder = createChunkEncoder();
  const seed = streamSeed(1, 0);
  const perCopy = CHUNKS_PER_COPY * CHUNK_READINGS;
  for (let firstSeq = 0; firstSeq < readings; firstSeq += perCopy) {
    if (firstSeq % (perCopy * 10) === 0) say(`writing, ${Math.round((firstSeq / readings) * 100)} %`);
    const count = Math.min(perCopy, readings - firstSeq);
    const words = new Uint32Array((count * READING_BYTES) / 4);
    writeReadings(words, 0, { seed, firstSeq, count });
    const bytes = new Uint8Array(words.buffer);
    const chunks = Array.from({ length: count / CHUNK_READINGS }, (_, i) =>
      chunkOf(handle, firstSeq + i * CHUNK_READINGS, bytes.subarray(i * CHUNK_READINGS * READING_BYTES)),
    );
    await database.copyIn(CHUNK_COPY_SQL, encoder.encode(chunks, systemClock.nowUs()));
  }
  await database.query(
    `update kymo.stream_epoch set committed = int8multirange(int8range(0, $3)), is_dirty = true, committed_at = now(),
            first_commit_day = (now() at time zone 'utc')::date, last_commit_day = (now() at time zone 'utc')::date
      where stream_id = $1 and epoch = $2`,
    [handle.definition.stream, epochToInt8(handle.epoch).toString(), readings],
  );
  await database.query('vacuum analyze');
}

function chunkOf(handle: StreamHandle, firstSeq: number, rest: Uint8Array): Chunk {
  const firstUs = START_US + (firstSeq * 1e6) / RATE_HZ;
  return {
    handle,
    firstSeq,
    count: CHUNK_READINGS,
    firstUs,
    lastUs: firstUs + ((CHUNK_READINGS - 1) * 1e6) / RATE_HZ,
    frames: [
      {
        streamId: handle.definition.stream,
        epoch: handle.epoch,
        firstSeq,
        count: CHUNK_READINGS,
        firstUs,
        periodNs: 1e9 / RATE_HZ,
        deltasUs: null,
        payload: rest.subarray(0, CHUNK_READINGS * READING_BYTES),
        liveOnly: false,
        historical: false,
        sentUs: firstUs,
        arrivalUs: firstUs + 300_000,
        offsetUs: 0,
      },
    ],
  };
}

/** The keeper alone, without the rests that the server's upkeep makes between steps. */
async function rollUp(
  database: BenchDatabase,
  writerUrl: string,
): Promise<{ seconds: number; cpuSeconds: number }> {
  const pool = new pg.Pool({ connectionString: writerUrl, max: 2 });
  const task = createRollupTask({ clock: systemClock });
  const startedMs = performance.now();
  const cpu = process.cpuUsage();
  const databaseCpuS = database.usage().cpuS;
  const never = new AbortController().signal;
  try {
    for (let found = await task.step(pool, never); found === 'more';) found = await task.step(pool, never);
  } finally {
    await pool.end();
  }
  const used = process.cpuUsage(cpu);
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: (used.user + used.system) / 1e6 + database.usage().cpuS - databaseCpuS,
  };
}

interface Measured {
  readonly server: KymoServer;
  readonly database: BenchDatabase;
  readonly recording: Recording;
  readonly readings: number;
}

async function measureZoom(
  run: Measured,
  { spanS, width, repeats }: { spanS: number; width: number; repeats: number },
): Promise<Zoom> {
  const cold: number[] = [];
  const warm: number[] = [];
  let shown: Shown | null = null;
  const cpuS = (): number => run.database.usage().cpuS + treeUsage(run.server.child.pid).cpuS;
  const cpuBeforeS = cpuS();
  for (let i = 0; i < repeats; i++) {
    // Spread over the recording, so that no two read the same.
    const latestUs = START_US + (run.readings / RATE_HZ - spanS) * 1e6;
    const fromUs = Math.round(START_US + (latestUs - START_US) * ((i + 0.5) / repeats));
    await run.database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'kymo_app'",
    );
    await sleep(NOTICE_MS);
    shown = await show(run, { fromUs, toUs: fromUs + spanS * 1e6, width });
    cold.push(shown.ms);
    const again = await show(run, { fromUs, toUs: fromUs + spanS * 1e6, width });
    warm.push(again.ms);
  }
  return {
    spanS,
    width,
    coldMsP50: rounded(median(cold), 1),
    coldMsMax: rounded(Math.max(...cold), 1),
    warmMsP50: rounded(median(warm), 1),
    warmMsMax: rounded(Math.max(...warm), 1),
    cpuMs: rounded(((cpuS() - cpuBeforeS) * 1000) / (cold.length + warm.length), 1),
    rows: shown!.columns,
    bucketUs: shown!.bucketUs,
    bytes: shown!.bytes,
  };
}

interface Shown {
  readonly ms: number;
  readonly columns: number;
  readonly bucketUs: number;
  readonly bytes: number;
}

async function show(
  { server, recording, readings }: Measured,
  range: { fromUs: number; toUs: number; width: number },
): Promise<Shown> {
  const query = new URLSearchParams({
    fromUs: String(range.fromUs),
    toUs: String(range.toUs),
    width: String(range.width),
  });
  const startedMs = performance.now();
  const response = await fetch(
    `http://127.0.0.1:${server.port}/v1/streams/${recording.stream}/envelope?${query.toString()}`,
    {
      headers: {
        accept: 'application/octet-stream',
        authorization: `Bearer ${recording.readKey}`,
        connection: 'close',
      },
    },
  );
  const bytes = await response.arrayBuffer();
  const ms = performance.now() - startedMs;
  if (!response.ok)
    throw new AppError(
      'internal',
      `the server answered ${response.status}: ${Buffer.from(bytes).toString()}`,
    );
  const envelope = decodeEnvelope(bytes);
  const count = envelope.count.reduce((sum, n) => sum + n, 0);
  // Roll-ups have no bucket cut, so a little more than the range may come, and never less.
  const slackUs = 2 * Math.max(1, envelope.bucketUs);
  const least = Math.floor(((range.toUs - range.fromUs) * RATE_HZ) / 1e6);
  const most = Math.ceil(((range.toUs - range.fromUs + slackUs) * RATE_HZ) / 1e6);
  if (count < Math.min(least, readings) || count > most || envelope.rawDropped || envelope.unrolled > 0)
    throw new AppError('internal', `${count} readings shown of a range that has ${least}`);
  return { ms, columns: envelope.startUs.length, bucketUs: envelope.bucketUs, bytes: bytes.byteLength };
}

function median(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) / 2)]!;
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nzoom: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
