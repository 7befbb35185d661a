/**
 * Owns `npm run bench -- week`: a week of commit days in a minute. Many streams flush while each midnight brings what a
 * server does then: new partitions, sealing of the day before, dropping of the oldest. Shows what the tables weigh, what
 * vacuum has to do, how the guard bears it, and how long a flush waited. What is stored at the end is counted.
 */

import pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import { readOptions, type OptionTable, type OptionValues } from '#bench/support/command-options.ts';
import { BENCH_ORGANISATION, createFlushSources, type FlushSources } from '#bench/support/flush-sources.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { epochToInt8 } from '#store/epoch.ts';
import { migrate } from '#store/migrate.ts';
import { createPartitionTask } from '#store/partitions.ts';
import { openPools } from '#store/pools.ts';
import { createRetentionTask } from '#store/retention.ts';
import { createSealTask } from '#store/seal-task.ts';
import type { UpkeepTask } from '#store/upkeep.ts';
import { connectWriterDatabase } from '#store/postgres-writer.ts';
import { createWriter } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';

const usage = `Usage: npm run bench -- week [options]

A week of commit days, forced: flushes of many streams, with each day's upkeep beside them.`;

const options = {
  streams: { kind: 'integer', default: 500, quick: 60, min: 1, max: 10_000, doc: 'streams in a flush' },
  readings: { kind: 'integer', default: 50, min: 1, max: 500, doc: 'readings of each stream in a flush' },
  flushes: {
    kind: 'integer',
    default: 60,
    quick: 10,
    min: 1,
    max: 10_000,
    doc: 'flushes of a day',
  },
  'pause-ms': { kind: 'integer', default: 100, quick: 50, min: 0, max: 10_000, doc: 'between two flushes' },
  days: { kind: 'integer', default: 7, min: 2, max: 30, doc: 'days' },
  'raw-days': { kind: 'integer', default: 3, min: 1, max: 30, doc: 'days that readings are kept' },
} as const satisfies OptionTable;

const CLASS = 1;
/** Statistics of a backend reach the shared ones within a second. */
const STATISTICS_MS = 1_200;

interface Week {
  readonly database: BenchDatabase;
  readonly values: OptionValues<typeof options>;
  readonly flush: FlushSources;
  readonly tasks: readonly UpkeepTask[];
  readonly upkeepPool: pg.Pool;
  readonly signal: AbortSignal;
  /** Today, in days after the first. */
  day: number;
  flushes: number;
}

interface DayRow {
  readonly day: number;
  readonly flushes: number;
  readonly quietP50Ms: number | null;
  readonly quietMaxMs: number | null;
  /** Flushes that ran beside upkeep. */
  readonly besideP50Ms: number | null;
  readonly besideMaxMs: number | null;
  readonly upkeepMs: number | null;
  /** Of it, dropping of days and making of partitions; the rest is sealing. */
  readonly dropMs: number | null;
  readonly longestStepMs: number | null;
  readonly hotMb: number | null;
  readonly sealedMb: number | null;
}

async function main(scope: RunScope): Promise<void> {
  const values = readOptions(options, usage);
  const progress = createProgress();
  const machine = describeMachine();
  progress.say('starting PostgreSQL');
  const week = await setUp(scope, values);
  const { database } = week;
  const before = await sizeOf(database);
  const rows: DayRow[] = [];
  for (; week.day < values.days; week.day++) {
    progress.say(`day ${week.day + 1} of ${values.days}`);
    rows.push(await runDay(week));
  }
  await new Promise((resolve) => setTimeout(resolve, STATISTICS_MS));
  progress.say('counting what is stored');
  await checkStored(week);
  const tables = await readTables(database);
  const guard = await readGuard(database);
  const after = await sizeOf(database);
  progress.end();
  const { streams, readings } = values;
  process.stdout.write(
    `${streams} streams, ${readings} readings each a flush; upkeep without its usual rests\n\n` +
      `${formatTable(
        [
          'day',
          'flushes',
          'p50 ms',
          'max ms',
          'p50 ms',
          'max ms',
          'upkeep ms',
          'drop ms',
          'longest step',
          'hot MB',
          'sealed MB',
        ],
        rows.map((row) => Object.values(row).map((value: number | null) => formatFigure(value))),
      )}\n(first p50 and max: flushes alone; second: flushes beside upkeep)\n\n` +
      `${formatTable(
        ['table', 'MB', 'live rows', 'dead rows', 'vacuums'],
        tables.map(({ name, mb, live, dead, vacuums }) => [
          name,
          ...[mb, live, dead, vacuums].map(formatFigure),
        ]),
      )}\nguard: ${formatFigure(guard.updates)} updates, ${formatFigure(guard.hotPercent)} % HOT, ` +
      `${formatFigure(guard.kb)} kB for ${formatFigure(guard.rows)} rows, ${formatFigure(guard.bloat)} times what they need at half-full pages\n`,
  );
  printResult({
    bench: 'week',
    machine,
    database: database.durability,
    streams,
    readings,
    rawDays: values['raw-days'],
    days: rows,
    upkeep: Object.fromEntries(week.tasks.map(({ name, counters }) => [name, counters])),
    longestFlushBesideUpkeepMs: Math.max(...rows.map((row) => row.besideMaxMs ?? 0)),
    tables,
    guard,
    databaseMb: { before: rounded(before / 1e6), after: rounded(after / 1e6) },
  });
}

async function setUp(scope: RunScope, values: Week['values']): Promise<Week> {
  const { databases } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `week_bench_${process.pid}`);
  await migrate(database.url);
  const pools = await openPools(database.url, () => undefined);
  const week = { day: 0, flushes: 0 };
  const dayShift = (): number => week.day;
  const writer = createWriter({
    database: connectWriterDatabase({ connectionString: pools.writerUrl, log: silentLog, dayShift }),
    config: { ...defaultWriterConfig, flushIntervalMs: 1, flushReadings: values.readings * 2 },
    clock: systemClock,
    random: Math.random,
    log: silentLog,
  });
  const upkeepPool = new pg.Pool({ connectionString: pools.writerUrl, max: 2 });
  upkeepPool.on('error', () => undefined);
  const ending = new AbortController();
  scope.defer('the writer', async () => {
    ending.abort();
    await writer.stop();
    await upkeepPool.end();
    await pools.close();
  });
  await database.query('insert into kymo.retention_class (class, name, raw_days) values ($1, $2, $3)', [
    CLASS,
    'bench',
    values['raw-days'],
  ]);
  await writer.preparePartitions();
  const { streams, readings } = values;
  const flush = createFlushSources(writer, { streams, readings, retentionClass: CLASS });
  await insertStreams(database, flush);
  const tasks = [
    createPartitionTask(dayShift),
    createSealTask({ dayShift }),
    createRetentionTask({ log: silentLog, dayShift }),
  ];
  return Object.assign(week, { database, values, flush, tasks, upkeepPool, signal: ending.signal });
}

/** One session with all streams, and their guard rows. */
async function insertStreams(database: BenchDatabase, { handles }: FlushSources): Promise<void> {
  const [first] = handles;
  const { session, segment, sensor, axes, rateHz, encoding, clock } = first!.definition;
  await database.query("insert into kymo.organisation (id, name) values ($1, 'bench')", [BENCH_ORGANISATION]);
  await database.query(
    `insert into kymo.device (id, org_id, name, key_hash) values ($1, $1, 'bench', sha256('bench'))`,
    [BENCH_ORGANISATION],
  );
  await database.query('insert into kymo.session (id, org_id) values ($1, $2)', [
    session,
    BENCH_ORGANISATION,
  ]);
  await database.query(
    `insert into kymo.stream
       (id, org_id, session_id, device_id, segment, sensor, axes, rate_hz, encoding, clock, retention_class)
     select id, $2, $3, $2, $4, $5, $6, $7, $8, $9, $10 from unnest($1::uuid[]) id`,
    [
      handles.map(({ definition }) => definition.stream),
      BENCH_ORGANISATION,
      session,
      segment,
      sensor,
      JSON.stringify(axes),
      rateHz,
      encoding,
      clock,
      CLASS,
    ],
  );
  await database.query(
    `insert into kymo.stream_epoch (stream_id, epoch, org_id)
       select s.id, s.epoch, $1 from unnest($2::uuid[], $3::int8[]) s(id, epoch)`,
    [
      BENCH_ORGANISATION,
      handles.map(({ definition }) => definition.stream),
      handles.map(({ epoch }) => epochToInt8(epoch).toString()),
    ],
  );
}

/** Flushes of one day, the upkeep of its midnight beside them. */
async function runDay(week: Week): Promise<DayRow> {
  const { values, flush, database } = week;
  const [quiet, beside] = [createLatencyHistogram(), createLatencyHistogram()];
  const counts = { quiet: 0, beside: 0 };
  let [quietMaxMs, besideMaxMs] = [0, 0];
  const upkeep = { ms: 0, sealMs: 0, longestStepMs: 0 };
  let isKeeping = true;
  const kept = keepUp(week, upkeep).finally(() => (isKeeping = false));
  for (let i = 0; i < values.flushes; i++) {
    const wasKeeping = isKeeping;
    const startedMs = performance.now();
    await flush.next();
    const tookMs = performance.now() - startedMs;
    week.flushes++;
    if (wasKeeping) besideMaxMs = Math.max(besideMaxMs, tookMs);
    else quietMaxMs = Math.max(quietMaxMs, tookMs);
    (wasKeeping ? beside : quiet).record(tookMs * 1000);
    counts[wasKeeping ? 'beside' : 'quiet']++;
    await new Promise((resolve) => setTimeout(resolve, values['pause-ms']));
  }
  await kept;
  const [size] = await database.query<{ hot: number; sealed: number }>(
    `select coalesce(sum(pg_total_relation_size(relid)) filter (where relid::regclass::text like 'kymo.chunk%'), 0)::float8 as hot,
            coalesce(sum(pg_total_relation_size(relid)) filter (where relid::regclass::text like 'kymo.sealed%'), 0)::float8 as sealed
       from (select relid from pg_partition_tree('kymo.chunk') union select relid from pg_partition_tree('kymo.sealed_chunk')) t`,
  );
  return {
    day: week.day + 1,
    flushes: counts.quiet + counts.beside,
    quietP50Ms: counts.quiet === 0 ? null : rounded(quiet.quantileMs(0.5)),
    quietMaxMs: counts.quiet === 0 ? null : rounded(quietMaxMs),
    besideP50Ms: counts.beside === 0 ? null : rounded(beside.quantileMs(0.5)),
    besideMaxMs: counts.beside === 0 ? null : rounded(besideMaxMs),
    upkeepMs: rounded(upkeep.ms, 0),
    dropMs: rounded(upkeep.ms - upkeep.sealMs, 0),
    longestStepMs: rounded(upkeep.longestStepMs),
    hotMb: rounded(size!.hot / 1e6),
    sealedMb: rounded(size!.sealed / 1e6),
  };
}

/** Steps of every task until all of them are idle. */
async function keepUp(
  { tasks, upkeepPool, signal }: Week,
  upkeep: { ms: number; sealMs: number; longestStepMs: number },
): Promise<void> {
  for (const task of tasks)
    for (let found = 'more'; found === 'more' && !signal.aborted;) {
      const startedMs = performance.now();
      found = await task.step(upkeepPool, signal);
      const tookMs = performance.now() - startedMs;
      upkeep.ms += tookMs;
      if (task.name === 'seal') upkeep.sealMs += tookMs;
      upkeep.longestStepMs = Math.max(upkeep.longestStepMs, tookMs);
    }
}

/** Every reading of a day that is kept is stored once, none of a day that was dropped, and the guard knows all of them. */
async function checkStored({ database, values, flush, flushes, day }: Week): Promise<void> {
  const ids = flush.handles.map(({ definition }) => definition.stream);
  const [counts] = await database.query<{
    stored: number;
    wrong: number;
    committed: number;
    days: number;
    oldest: number;
  }>(
    `select (select coalesce(sum(n), 0)::float8 from kymo.stored_chunk where stream_id = any($1)) as stored,
            (select count(*)::float8 from (
               select lag(first_seq + n) over (partition by stream_id order by first_seq) as expected, first_seq
                 from kymo.stored_chunk where stream_id = any($1)) c where first_seq <> expected) as wrong,
            (select sum(upper(r) - lower(r))::float8 from kymo.stream_epoch e cross join lateral unnest(e.committed) r
              where stream_id = any($1)) as committed,
            (select count(distinct commit_day)::int from kymo.stored_chunk) as days,
            (select (now() at time zone 'utc')::date + $2::int - min(commit_day) from kymo.stored_chunk) as oldest`,
    [ids, day - 1],
  );
  const all = flushes * values.streams * values.readings;
  if (counts!.committed !== all)
    throw new AppError('internal', `${counts!.committed} readings committed of ${all}`);
  if (counts!.wrong !== 0)
    throw new AppError('internal', `${counts!.wrong} chunks do not follow the one before`);
  if (counts!.oldest > values['raw-days'])
    throw new AppError('internal', `readings of ${counts!.oldest} days ago are still stored`);
  const expectedDays = Math.min(values.days, values['raw-days'] + 1);
  if (counts!.days !== expectedDays)
    throw new AppError('internal', `readings of ${counts!.days} days are stored instead of ${expectedDays}`);
}

interface TableRow {
  readonly name: string;
  readonly mb: number;
  readonly live: number;
  readonly dead: number;
  readonly vacuums: number;
}

/** Partitions together with their table. */
function readTables(database: BenchDatabase): Promise<TableRow[]> {
  return database.query<{ name: string; mb: number; live: number; dead: number; vacuums: number }>(
    `select regexp_replace(relname, '_c[0-7]_[0-9]{8}$', '') || case when relname ~ '_c[0-7]_' then ' days' else '' end as name,
            round(sum(pg_total_relation_size(relid)) / 1e6, 2)::float8 as mb,
            sum(n_live_tup)::float8 as live, sum(n_dead_tup)::float8 as dead,
            sum(vacuum_count + autovacuum_count)::float8 as vacuums
       from pg_stat_user_tables where schemaname = 'kymo'
      group by 1 having sum(pg_total_relation_size(relid)) > 100000 order by 2 desc`,
  );
}

interface Guard {
  readonly rows: number;
  readonly kb: number;
  readonly updates: number;
  readonly hotPercent: number;
  /** Its size, in times of what its rows take on pages that are half full. */
  readonly bloat: number;
}

async function readGuard(database: BenchDatabase): Promise<Guard> {
  const [guard] = await database.query<{
    rows: number;
    bytes: number;
    updates: number;
    hot: number;
    needed: number;
  }>(
    `select (select count(*)::float8 from kymo.stream_epoch) as rows,
            pg_relation_size('kymo.stream_epoch')::float8 as bytes,
            n_tup_upd::float8 as updates, n_tup_hot_upd::float8 as hot,
            (select 2 * sum(pg_column_size(e.*) + 4)::float8 from kymo.stream_epoch e) as needed
       from pg_stat_user_tables where relid = 'kymo.stream_epoch'::regclass`,
  );
  const { rows, bytes, updates, hot, needed } = guard!;
  return {
    rows,
    kb: rounded(bytes / 1e3, 0)!,
    updates,
    hotPercent: rounded((100 * hot) / updates)!,
    bloat: rounded(bytes / needed)!,
  };
}

async function sizeOf(database: BenchDatabase): Promise<number> {
  const [row] = await database.query<{ bytes: number }>(
    'select pg_database_size(current_database())::float8 as bytes',
  );
  return row!.bytes;
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nweek: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
