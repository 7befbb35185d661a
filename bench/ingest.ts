/**
 * Owns `npm run bench -- ingest`: devices stream over WebSocket into the real server and a real PostgreSQL, beside a
 * server that drops what it reads, plain COPY of the same rows, and FastAPI. Sides take turns in rounds, with the same
 * generator. Every stored reading is checked; a missing, doubled or altered one is an error instead of a figure.
 */

import { messageOf } from '#base/errors.ts';
import { provideFastapi, type FastapiLayout } from '#bench/ingest/fastapi-peer.ts';
import { compareSides, type IngestContext, type Outcome } from '#bench/ingest/comparison.ts';
import { findHighestRate, type HighestRate } from '#bench/ingest/highest-rate.ts';
import { describeMotion } from '#bench/ingest/motion-figures.ts';
import { ingestOptions, ingestUsage, type IngestOptions } from '#bench/ingest/options.ts';
import { highestRateTable } from '#bench/ingest/tables.ts';
import {
  createFastapiSide,
  createKymoSide,
  type SideOptions,
  type StoringSide,
} from '#bench/ingest/sides.ts';
import type { StoringRun } from '#bench/ingest/storing-side.ts';
import type { Durability } from '#bench/support/bench-database.ts';
import { readOptions } from '#bench/support/command-options.ts';
import { describeMachine, sharedClockBaseUs, type Machine } from '#bench/support/machine.ts';
import { demandExactlyOnce } from '#bench/support/reading-checker.ts';
import { createProgress, printResult, type Progress } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';

interface Peers {
  readonly versions: Readonly<Record<string, string>> | null;
  /** Why there is no peer. */
  readonly absent: string | null;
  readonly layouts: readonly FastapiLayout[];
}

async function main(scope: RunScope): Promise<void> {
  const options = readOptions(ingestOptions, ingestUsage);
  const progress = createProgress();
  const machine = describeMachine();
  const sides: SideOptions = {
    scope,
    databaseUrl: options['database-url'],
    seed: options.seed,
    sessions: options.sessions,
  };
  const run: StoringRun = {
    viewers: options.viewers,
    warmUpS: options['warm-up-seconds'],
    windowS: options.seconds / options.rounds,
    load: {
      sensors: options.sensors,
      rateHz: options.rate,
      readingsPerFrame: options['readings-per-frame'],
      seed: options.seed,
      clockBaseUs: sharedClockBaseUs(),
      generators: options.generators,
    },
  };
  const peers = await choosePeers(options, progress);
  progress.say('starting PostgreSQL and the servers');
  const [kymo, ...peerSides] = await Promise.all([
    createKymoSide({
      ...sides,
      profileDir: options['profile-dir'],
      motionWorkers: options['motion-workers'],
    }),
    ...peers.layouts.map((layout) => createFastapiSide(sides, layout)),
  ]);
  const fastapi = new Map(
    peers.layouts.map((layout, i): [FastapiLayout, StoringSide] => [layout, peerSides[i]!]),
  );
  const head = {
    bench: 'ingest',
    machine,
    database: kymo.database.durability,
    peerVersions: peers.versions,
    ...(peers.absent === null ? {} : { peersAbsent: peers.absent }),
  };
  const context = { scope, options, run, kymo, fastapi, say: progress.say };
  const { table, result } = options['find-max'] ? await findMaxima(context) : await compareSides(context);
  const motion = await kymo.motion();
  progress.end();
  process.stdout.write(`${describeRun(head)}\n\n${table}\n${describeMotion(motion)}\n`);
  printResult({ ...head, ...result, motion });
}

async function choosePeers(options: IngestOptions, progress: Progress): Promise<Peers> {
  if (options['without-peers']) return { versions: null, absent: '--without-peers', layouts: [] };
  const found = await provideFastapi(progress.say);
  if ('absent' in found) {
    progress.say(found.absent);
    return { versions: null, absent: found.absent, layouts: [] };
  }
  // A row a reading costs the checker minutes in a long run: it is a side of its own in the full run only.
  return { versions: found.versions, absent: null, layouts: options.quick ? ['chunks'] : ['chunks', 'rows'] };
}

async function findMaxima({ run, kymo, fastapi, say }: IngestContext): Promise<Outcome> {
  const found = new Map<string, HighestRate>();
  for (const side of [kymo, ...fastapi.values()]) {
    found.set(side.name, await findHighestRate(side, run, say));
    say(`checking what ${side.name} stored`);
    const check = await side.check();
    if (side === kymo) demandExactlyOnce(side.name, check);
  }
  const { readingsPerFrame } = run.load;
  return {
    table: highestRateTable(found, readingsPerFrame),
    result: { mode: 'find-max', readingsPerFrame, sides: Object.fromEntries(found) },
  };
}

function describeRun(head: {
  readonly machine: Machine;
  readonly database: Durability;
  readonly peersAbsent?: string;
}): string {
  const { machine, database } = head;
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${machine.system}; Node ${machine.node}`,
    `PostgreSQL ${database.version}, fsync ${database.fsync}, synchronous_commit ${database.synchronousCommit}, full_page_writes ${database.fullPageWrites}`,
    `load of the machine before the run: ${machine.loadBefore}`,
    ...(head.peersAbsent === undefined ? [] : [`no FastAPI beside it: ${head.peersAbsent}`]),
  ].join('\n');
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\ningest: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
