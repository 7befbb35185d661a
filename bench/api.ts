/**
 * Owns `npm run bench -- api`: 200 clinicians work on 50,000 patients with a million sessions, by the scenario of the
 * requirement (bench/api/scenario.json), signed in, at given and rising rates. The product stands beside a FastAPI application
 * and a bare node:http server that do the same work from the same records, each with and without its cache.
 */

import { messageOf } from '#base/errors.ts';
import { isPinning } from '#bench/channels/pinning.ts';
import { compareJobStarts, compareSides, figuresOf, type SideResult } from '#bench/api/comparison.ts';
import { provideDataset } from '#bench/api/dataset.ts';
import { k6Words, runK6, writeKeys } from '#bench/api/k6-run.ts';
import { startClinicians, type Clinicians } from '#bench/api/measurement.ts';
import { apiOptions, apiUsage, type ApiBenchOptions } from '#bench/api/options.ts';
import { readScenario, shrink, type Scenario } from '#bench/api/scenario.ts';
import { sideNames, startSide, type SideName } from '#bench/api/sides.ts';
import { operationTable, sideTable } from '#bench/api/tables.ts';
import { provideFastapi } from '#bench/ingest/fastapi-peer.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchRedis } from '#bench/support/bench-redis.ts';
import { readOptions } from '#bench/support/command-options.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { pinTree } from '#bench/api/pin-tree.ts';
import { createProgress, formatFigure, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const FASTAPI_PACKAGES = ['fastapi', 'uvicorn', 'asyncpg', 'uvloop', 'redis', 'httptools', 'hiredis'];
/** Of one core: a generator beyond it measures itself. */
const GENERATOR_BOUND = 0.9;
/** The longest that a timer takes: 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

async function main(scope: RunScope): Promise<void> {
  const options = readOptions(apiOptions, apiUsage);
  const progress = createProgress();
  const machine = describeMachine();
  const scenario = shrink(readScenario(), options.patients);
  const chosen = chooseSides(options);
  const isFastapi = chosen.some((name) => name.startsWith('fastapi'));
  const fastapi = isFastapi
    ? await provideFastapi(progress.say, FASTAPI_PACKAGES)
    : { absent: 'not asked for' };
  const redis = isFastapi ? await startBenchRedis(scope, progress.say) : { absent: 'not asked for' };
  const isMissing = 'absent' in fastapi || 'absent' in redis;
  const names = chosen.filter((name) => !isMissing || !name.startsWith('fastapi'));
  progress.say(`${options.patients.toLocaleString('en-US')} patients and their sessions`);
  const dataset = await provideDataset(scope, scenario, { folder: options.folder, say: progress.say });
  const database = await createBenchDatabase(
    scope,
    { ...dataset.server, template: dataset.template },
    `api_bench_${process.pid}`,
  );
  await prepare(database);
  const isPinned = options.pinned;
  if (isPinned) pinTree(database.usage().pids, 'server');
  if (isPinned && 'pid' in redis) pinTree([redis.pid], 'server');
  const directory = createTemporaryDirectory();
  scope.defer('the working folder', () => Promise.resolve(directory.remove()));
  const sides: Clinicians[] = [];
  for (const name of names) {
    progress.say(`starting ${name}`);
    const side = await startSide(name, {
      scope,
      database,
      redisUrl: 'url' in redis ? redis.url : null,
      scenario,
      folder: directory.path,
      isPinned,
      profileDir: options['profile-dir'],
    });
    sides.push(await startClinicians(scope, side, { scenario, isPinned, seed: scenario.seed }));
  }
  if (options.serve) return serveOthers(sides[0]!, { scenario, folder: directory.path, options });
  const meters = { database, redisPid: 'pid' in redis ? redis.pid : null };
  const results = await compareSides(sides, { options, meters, say: progress.say });
  const product = sides.find(({ side }) => side.name === 'kymo');
  const jobs =
    product === undefined
      ? null
      : await compareJobStarts(product, { scenario, options, meters, say: progress.say });
  progress.end();
  const k6 = options.k6 ? runK6(k6WordsFor(sides[0]!, { scenario, folder: directory.path, options })) : null;
  process.stdout.write(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${machine.system}; Node ${machine.node}; ` +
      `load before the run ${machine.loadBefore}\n` +
      `PostgreSQL ${database.durability.version}, fsync ${database.durability.fsync}, synchronous_commit ` +
      `${database.durability.synchronousCommit}; ${dataset.sessions.toLocaleString('en-US')} sessions; ` +
      `${isPinned && isPinning ? 'servers on the first core, load on the last' : 'servers and load on any core'}\n` +
      (isMissing && isFastapi
        ? `no FastAPI beside it: ${'absent' in fastapi ? fastapi.absent : 'no Redis'}\n`
        : '') +
      `\n${sideTable(results)}\n${operationTable(results, scenario)}\n` +
      (jobs === null
        ? ''
        : `asking for a report meanwhile: p95 ${formatFigure(jobs.p95Ms)} ms, ${jobs.accepted} accepted, ${jobs.failed} not\n`),
  );
  const busiest = Math.max(
    ...results.flatMap(({ tried }) => tried.map(({ generatorBusy }) => generatorBusy)),
  );
  printResult({
    bench: 'api',
    machine,
    database: database.durability,
    patients: options.patients,
    sessions: dataset.sessions,
    madeInS: rounded(dataset.madeInS ?? Number.NaN, 0),
    pinned: isPinned && isPinning,
    ...('versions' in fastapi ? { peerVersions: fastapi.versions } : {}),
    generatorBound: busiest > GENERATOR_BOUND,
    ...(k6 === null ? {} : { k6 }),
    ...(jobs === null
      ? {}
      : { jobStartMsP95: rounded(jobs.p95Ms), jobsAccepted: jobs.accepted, jobsFailed: jobs.failed }),
    ...summaryOf(results),
  });
}

interface K6Load {
  readonly scenario: Scenario;
  readonly folder: string;
  readonly options: ApiBenchOptions;
}

function k6WordsFor({ side }: Clinicians, { scenario, folder, options }: K6Load): string[] {
  return k6Words({
    url: `http://${side.host}:${side.port}`,
    keys: writeKeys(scenario, folder),
    ratePerS: options.rate,
    seconds: Math.ceil(options.seconds),
  });
}

/** Until a signal ends the run. */
async function serveOthers(clinicians: Clinicians, load: K6Load): Promise<void> {
  process.stdout.write(`\nk6 ${k6WordsFor(clinicians, load).join(' ')}\n\nCtrl-C ends it.\n`);
  await new Promise((resolve) => void setTimeout(resolve, LONGEST_MS));
}

function chooseSides({ sides, quick, serve }: ApiBenchOptions): SideName[] {
  if (serve) return ['kymo'];
  if (sides === '')
    return quick ? ['kymo', 'kymo-uncached', 'fastapi', 'bare-node-uncached'] : [...sideNames];
  return sides.split(',').map((name) => {
    const found = sideNames.find((known) => known === name);
    if (found === undefined)
      throw new Error(`--sides: there is no ${name}; known are ${sideNames.join(', ')}`);
    return found;
  });
}

/** The tables of the peers, and what counts statements. */
async function prepare(database: BenchDatabase): Promise<void> {
  await database.query('create extension if not exists pg_stat_statements');
  await database.query(`create table peer_audit (id bigint generated always as identity primary key, at timestamptz not null
    default now(), org_id uuid not null, subject text not null, action text not null, path text not null, patients text not
    null, status smallint not null, request_id uuid not null)`);
  await database.query('grant all on peer_audit to public');
  await database.query('checkpoint');
}

/** The product's own figures at the top, the others as its peers, and the ratios that the requirement names. */
function summaryOf(results: readonly SideResult[]): object {
  const figures = new Map(results.map((one) => [one.name, figuresOf(one)]));
  const of = (name: SideName, key: string): number => Number(figures.get(name)?.[key] ?? Number.NaN);
  const share = (name: SideName, other: SideName, key: string): number | null =>
    rounded(of(name, key) / of(other, key), 2);
  const own = figures.get('kymo') ?? {};
  return {
    ...own,
    databaseHitsSavedShare: rounded(
      1 - of('kymo', 'readQueriesPerRequest') / of('kymo-uncached', 'readQueriesPerRequest'),
      4,
    ),
    uncached: figures.get('kymo-uncached') ?? null,
    ratios: {
      cpuToFastapi: share('kymo', 'fastapi', 'requestsPer10CpuS'),
      cpuToFastapiUncached: share('kymo-uncached', 'fastapi-uncached', 'requestsPer10CpuS'),
      cpuToBareNode: share('kymo', 'bare-node', 'requestsPer10CpuS'),
      cpuToBareNodeUncached: share('kymo-uncached', 'bare-node-uncached', 'requestsPer10CpuS'),
      rateToFastapi: share('kymo', 'fastapi', 'ratePerS180'),
      rateToFastapiUncached: share('kymo-uncached', 'fastapi-uncached', 'ratePerS180'),
      rateToBareNode: share('kymo', 'bare-node', 'ratePerS180'),
      rateToBareNodeUncached: share('kymo-uncached', 'bare-node-uncached', 'ratePerS180'),
    },
    peers: {
      fastapi: figures.get('fastapi') ?? null,
      fastapiUncached: figures.get('fastapi-uncached') ?? null,
      bareNode: figures.get('bare-node') ?? null,
      bareNodeUncached: figures.get('bare-node-uncached') ?? null,
    },
  };
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\napi: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
