/**
 * Owns the two servers that store, as sides of a run: each with its database, the rounds it was measured in and the
 * check of everything that it stored.
 */

import { join } from 'node:path';

import { AppError } from '#base/errors.ts';
import { checkFastapi, fastapiTables, startFastapi, type FastapiLayout } from '#bench/ingest/fastapi-peer.ts';
import { ingestFigures, type Figures, type IngestShape } from '#bench/ingest/figures.ts';
import { startKymo } from '#bench/ingest/kymo-server.ts';
import {
  measureStoring,
  type StoringFigures,
  type StoringRun,
  type StoringServer,
} from '#bench/ingest/storing-side.ts';
import { readMotion, type MotionFigures } from '#bench/ingest/motion-figures.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import {
  createReadingChecker,
  type CheckResult,
  type ReadingChecker,
} from '#bench/support/reading-checker.ts';
import type { RunScope } from '#bench/support/run-scope.ts';
import { checkStored } from '#bench/support/stored-chunks.ts';

/** Later rounds only have to get their load going. */
const WARM_SHARE = 5;

export interface StoringSide {
  readonly name: string;
  readonly database: BenchDatabase;
  readonly rounds: readonly StoringFigures[];
  measure(run: StoringRun): Promise<StoringFigures>;
  /** Compares all that was stored with all that was sent. */
  check(): Promise<CheckResult>;
  /** Tables and indexes that hold readings. */
  storedBytes(): Promise<number>;
  figures(shape: IngestShape, check: CheckResult): Promise<Figures>;
}

interface SideParts {
  readonly server: StoringServer;
  readonly database: BenchDatabase;
  readonly showAll: (checker: ReadingChecker) => Promise<void>;
  /** Before the check: ours may be checked while it runs, since what it acknowledged is committed. */
  readonly finish: () => Promise<void>;
  readonly sizeSql: string;
}

export interface SideOptions {
  readonly scope: RunScope;
  /** Empty for a PostgreSQL of the side's own, so that no side pays for what another's tables need afterwards. */
  readonly databaseUrl: string;
  readonly seed: number;
  readonly sessions: number;
}

export async function createKymoSide(
  options: SideOptions & { readonly profileDir: string; readonly motionWorkers: number },
): Promise<StoringSide & { motion(): Promise<MotionFigures> }> {
  const { scope, profileDir, motionWorkers } = options;
  const { databases, folder } = await startBenchPostgres(scope, options.databaseUrl);
  const database = await createBenchDatabase(scope, databases, `kymo_bench_${process.pid}`);
  const kymo = await startKymo(scope, database, {
    devices: options.sessions,
    stateDir: join(folder, 'server'),
    nodeArgs: profileDir === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
    flags: ['--motion-workers', String(motionWorkers)],
  });
  const side = createSide(options, {
    server: { ...kymo, name: 'kymo', pid: kymo.child.pid, liveFormat: 'live' },
    database,
    finish: async () => undefined,
    showAll: (checker) => checkStored(checker, database),
    sizeSql: `select sum(pg_total_relation_size(t.relid))::float8 as bytes
      from (values ('kymo.chunk'), ('kymo.sealed_chunk')) p(name), pg_partition_tree(p.name::regclass) t where t.isleaf`,
  });
  return { ...side, motion: () => readMotion(kymo.port, motionWorkers) };
}

export async function createFastapiSide(options: SideOptions, layout: FastapiLayout): Promise<StoringSide> {
  const name = `fastapi_bench_${layout}_${process.pid}`;
  const { databases } = await startBenchPostgres(options.scope, options.databaseUrl);
  const database = await createBenchDatabase(options.scope, databases, name);
  const { child, port } = await startFastapi(options.scope, database, layout);
  return createSide(options, {
    server: {
      name: child.name,
      pid: child.pid,
      port,
      accessKey: 'none',
      deviceKeys: Array.from({ length: options.sessions }, () => 'none'),
      liveFormat: 'data',
    },
    database,
    // It acknowledges before it commits: it is given the time to write the rest.
    finish: () => child.stop(),
    showAll: (checker) => checkFastapi(checker, database, layout),
    sizeSql: `select pg_total_relation_size('${fastapiTables[layout]}')::float8 as bytes`,
  });
}

function createSide(
  options: SideOptions,
  { server, database, showAll, finish, sizeSql }: SideParts,
): StoringSide {
  const rounds: StoringFigures[] = [];
  const rates = new Map<StoringFigures, number>();
  const side: StoringSide = {
    name: server.name,
    database,
    rounds,
    async measure(run) {
      // A compiler that optimises while it runs takes its time over a new process, and only then.
      const warmUpS = rounds.length === 0 ? run.warmUpS : run.warmUpS / WARM_SHARE;
      const round = await measureStoring(options.scope, server, { database, run: { ...run, warmUpS } });
      rounds.push(round);
      rates.set(round, run.load.rateHz);
      return round;
    },
    async check() {
      await finish();
      const checker = createReadingChecker(
        rounds.flatMap((round) =>
          round.end.streams.map((stream) => ({ ...stream, rateHz: rates.get(round)! })),
        ),
        options.seed,
      );
      await showAll(checker);
      return checker.finish();
    },
    async storedBytes() {
      const [row] = await database.query<{ bytes: number }>(sizeSql);
      if (row === undefined) throw new AppError('internal', 'the size of the tables cannot be read');
      return row.bytes;
    },
    figures: async (shape, check) =>
      ingestFigures(shape, rounds, { check, storedBytes: await side.storedBytes() }),
  };
  return side;
}
