/**
 * Owns `npm run bench -- flush`: the chunk writer alone, one flush of many streams after the other, without network,
 * for different numbers of committed fragments in the guard. Shows what a flush costs, and why fragments are bounded.
 */

import { systemClock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { readOptions, type OptionTable, type OptionValues } from '#bench/support/command-options.ts';
import { BENCH_ORGANISATION, createFlushSources } from '#bench/support/flush-sources.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import type { StreamHandle } from '#contract/readings.ts';
import { limits } from '#protocol/limits.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { migrate } from '#store/migrate.ts';
import { openPools } from '#store/pools.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
import { createWriter, type Writer } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';

const usage = `Usage: npm run bench -- flush [options]

The chunk writer alone: one flush after the other, with more and more fragments in the guard.`;

const options = {
  streams: { kind: 'integer', default: 500, min: 1, max: 10_000, doc: 'streams in a flush' },
  readings: { kind: 'integer', default: 50, min: 1, max: 5_000, doc: 'readings of each stream in a flush' },
  flushes: {
    kind: 'integer',
    default: 100,
    quick: 30,
    min: 2,
    max: 10_000,
    doc: 'measured flushes of each row',
  },
} as const satisfies OptionTable;
const fragmentCounts = [1, 16, 64, limits.fragmentsPerEpoch];
const WARM_UP_FLUSHES = 10;

interface Row {
  readonly fragments: number;
  readonly databaseCpuMsPerFlush: number | null;
  readonly writerCpuMsPerFlush: number | null;
  readonly flushMsP50: number | null;
  readonly readingsPerS: number | null;
}

async function main(scope: RunScope): Promise<void> {
  const values = readOptions(options, usage);
  const progress = createProgress();
  const machine = describeMachine();
  progress.say('starting PostgreSQL');
  const { databases } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `flush_bench_${process.pid}`);
  await migrate(database.url);
  const pools = await openPools(database.url, () => undefined);
  const writer = createWriter({
    database: connectWriterDatabase({ connectionString: pools.writerUrl, log: silentLog }),
    config: { ...defaultWriterConfig, flushIntervalMs: 1, flushReadings: values.readings * 2 },
    clock: systemClock,
    random: Math.random,
    log: silentLog,
  });
  scope.defer('the writer', async () => {
    await writer.stop();
    await pools.close();
  });
  await writer.preparePartitions();
  const rows: Row[] = [];
  for (const fragments of fragmentCounts) {
    progress.say(`${fragments} fragments a stream`);
    rows.push(await measure({ writer, database, values, fragments }));
  }
  progress.end();
  const columns = ['database CPU, ms a flush', 'writer CPU, ms a flush', 'flush ms p50', 'readings/s'];
  process.stdout.write(
    `${values.streams} streams, ${values.readings} readings each\n\n${formatTable(
      ['fragments', ...columns],
      rows.map((row) => Object.values(row).map((value: number | null) => formatFigure(value))),
    )}\n`,
  );
  const { streams, readings } = values;
  printResult({ bench: 'flush', machine, database: database.durability, streams, readings, rows });
}

interface Measurement {
  readonly writer: Writer;
  readonly database: BenchDatabase;
  readonly values: OptionValues<typeof options>;
  readonly fragments: number;
}

async function measure({ writer, database, values, fragments }: Measurement): Promise<Row> {
  const flush = createFlushSources(writer, { ...values, firstSeq: limits.fragmentsPerEpoch * 2 });
  await insertGuardRows(database, flush.handles, fragments);
  for (let i = 0; i < WARM_UP_FLUSHES; i++) await flush.next();
  const times = createLatencyHistogram();
  const databaseBefore = database.usage();
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  for (let i = 0; i < values.flushes; i++) {
    const flushStartedMs = performance.now();
    await flush.next();
    times.record((performance.now() - flushStartedMs) * 1000);
  }
  const elapsedS = (performance.now() - startedMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const databaseCpuS = database.usage().cpuS - databaseBefore.cpuS;
  const [stored] = await database.query<{ n: number }>(
    'select sum(n)::float8 as n from kymo.chunk where stream_id = any($1)',
    [flush.handles.map(({ definition }) => definition.stream)],
  );
  const wanted = (values.flushes + WARM_UP_FLUSHES) * values.streams * values.readings;
  if (stored?.n !== wanted)
    throw new AppError('internal', `${stored?.n} readings stored instead of ${wanted}`);
  return {
    fragments,
    databaseCpuMsPerFlush: rounded((databaseCpuS * 1000) / values.flushes),
    writerCpuMsPerFlush: rounded((cpu.user + cpu.system) / 1000 / values.flushes),
    flushMsP50: rounded(times.quantileMs(0.5)),
    readingsPerS: rounded((values.flushes * values.streams * values.readings) / elapsedS, 0),
  };
}

/** Committed so far: single readings with single gaps, below where the flushes go on. The last fragment is theirs. */
async function insertGuardRows(
  database: BenchDatabase,
  handles: readonly StreamHandle[],
  fragments: number,
): Promise<void> {
  const committed = Array.from({ length: fragments - 1 }, (_, i) => `[${i * 2},${i * 2 + 1})`).join(',');
  await database.query(
    `insert into kymo.stream_epoch (stream_id, epoch, org_id, committed)
       select s.id, s.epoch, $1, $4::int8multirange from unnest($2::uuid[], $3::int8[]) s(id, epoch)`,
    [
      BENCH_ORGANISATION,
      handles.map(({ definition }) => definition.stream),
      handles.map(({ epoch }) => epochToInt8(epoch).toString()),
      `{${committed}}`,
    ],
  );
  await database.query('vacuum analyze kymo.stream_epoch');
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nflush: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
