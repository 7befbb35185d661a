/**
 * Owns `npm run bench -- channels`: connections, broadcasts, rooms, Redis between two instances, and storms, on the real
 * server and beside Socket.IO, bare ws, FastAPI and Go with gorilla/websocket, with the same clients and the same messages
 * in the same run. Every delivery is counted: one that is missing is an error instead of a figure.
 */

import { writeFile } from 'node:fs/promises';

import { AppError, messageOf } from '#base/errors.ts';
import { measureHeld } from '#bench/channels/held-step.ts';
import { createKymoSide } from '#bench/channels/kymo-side.ts';
import { measureLoops, type LoopShape } from '#bench/channels/loop-steps.ts';
import { measureMost } from '#bench/channels/most-step.ts';
import {
  channelsOptions,
  channelsUsage,
  steps,
  type ChannelsOptions,
  type Step,
} from '#bench/channels/options.ts';
import { isPinning } from '#bench/channels/pinning.ts';
import { measureReconnect } from '#bench/channels/reconnect-step.ts';
import { measureRedis } from '#bench/channels/redis-step.ts';
import { findPeers, type ChannelsSide, type FoundSides } from '#bench/channels/sides.ts';
import type { ChannelsRun, StepFigures } from '#bench/channels/step.ts';
import { markdownTable, terminalTable } from '#bench/channels/tables.ts';
import { startBenchPostgres, type BenchPostgres } from '#bench/support/bench-postgres.ts';
import { startBenchRedis } from '#bench/support/bench-redis.ts';
import { readOptions } from '#bench/support/command-options.ts';
import { describeMachine, type Machine } from '#bench/support/machine.ts';
import { createProgress, printResult } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';

const ROOM_SIZE = 10;
/** Busier than this, the clients are what is measured (BENCH.md). */
const BOUND_SHARE = 0.9;
const OURS = 'kymo';

async function main(scope: RunScope): Promise<void> {
  const options = readOptions(channelsOptions, channelsUsage);
  const chosenSteps = namesOf(options.steps, steps);
  const progress = createProgress();
  const machine = describeMachine();
  progress.say('starting PostgreSQL');
  const postgres = await startBenchPostgres(scope, options['database-url']);
  const found = await findSides(scope, options, { postgres, say: progress.say });
  const failures: Record<string, Record<string, string>> = {};
  let isInterrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      isInterrupted = true;
    });
  const run: ChannelsRun = {
    scope,
    options,
    say: progress.say,
    async attempt(side, step, body) {
      try {
        await body();
        return true;
      } catch (error) {
        // What ends because everything ends is no failure of a side, and no other side has its turn.
        if (isInterrupted) throw error;
        (failures[side.name] ??= {})[step] = messageOf(error);
        progress.say(`${side.name}, ${step}: ${messageOf(error)}`);
        return false;
      }
    },
  };
  const figures = await measure(run, found.sides, new Set(chosenSteps));
  progress.end();
  const table = { subscribers: options.subscribers };
  const head = describeRun(machine, options, { ...found.absent, ...flat(failures) });
  process.stdout.write(`${head}\n\n${terminalTable(figures, table)}\n`);
  if (options.markdown !== '')
    await writeFile(options.markdown, `${head}\n\n${markdownTable(figures, table)}`);
  const ours = figures.get(OURS) ?? {};
  const bound = boundFigures(figures);
  printResult({
    bench: 'channels',
    machine,
    isPinned: isPinning,
    payloadBytes: options['payload-bytes'],
    inFlight: options['in-flight'],
    subscribers: options.subscribers,
    ...ours,
    peers: Object.fromEntries([...figures].filter(([name]) => name !== OURS)),
    peerVersions: found.versions,
    absent: found.absent,
    failures,
    generatorBound: bound.length > 0,
    generatorBoundIn: bound,
  });
  if (failures[OURS] !== undefined) throw new AppError('internal', 'the server failed in a step: see above');
}

async function measure(
  run: ChannelsRun,
  sides: readonly ChannelsSide[],
  chosen: ReadonlySet<Step>,
): Promise<Map<string, StepFigures>> {
  const { options, say } = run;
  const figures = new Map<string, StepFigures>(sides.map(({ name }) => [name, {}]));
  const add = (name: string, more: StepFigures): void =>
    void figures.set(name, { ...figures.get(name), ...more });
  const eachSide = async (step: Step, body: (side: ChannelsSide) => Promise<StepFigures>): Promise<void> => {
    if (!chosen.has(step)) return;
    for (const side of sides) {
      say(`${step}: ${side.name}`);
      await run.attempt(side, step, async () => add(side.name, await body(side)));
    }
  };
  const shapes = shapesOf(options).filter(({ key }) => chosen.has(key === 'rooms' ? 'rooms' : 'broadcast'));
  await eachSide('held', (side) => measureHeld(run, side));
  await eachSide('reconnect', (side) => measureReconnect(run, side));
  if (shapes.length > 0) for (const [name, more] of await measureLoops(run, sides, shapes)) add(name, more);
  if (!chosen.has('redis') && !chosen.has('most')) return figures;
  const redis = await startBenchRedis(run.scope, say);
  if ('absent' in redis) say(redis.absent);
  else await eachSide('redis', (side) => measureRedis(run, side, redis.url));
  if (options.processes > 0)
    await eachSide('most', (side) => measureMost(run, side, 'absent' in redis ? null : redis.url));
  return figures;
}

function shapesOf(options: ChannelsOptions): LoopShape[] {
  const inFlight = options['in-flight'];
  const rooms = Math.floor(options['room-members'] / ROOM_SIZE);
  const broadcast = (title: string, key: string, subscribers: number): LoopShape => ({
    title,
    key,
    subscribers,
    roomSize: subscribers,
    inFlight,
    inFlightPerGroup: inFlight,
    isByMembers: false,
  });
  return [
    broadcast('broadcast to 500', 'broadcast500', 500),
    broadcast(`broadcast to ${options.subscribers}`, 'broadcast5000', options.subscribers),
    {
      title: 'rooms of 10',
      key: 'rooms',
      subscribers: rooms * ROOM_SIZE,
      roomSize: ROOM_SIZE,
      // Every room says its next message when the one before has reached its members.
      inFlight: rooms,
      inFlightPerGroup: 1,
      isByMembers: true,
    },
  ];
}

async function findSides(
  scope: RunScope,
  options: ChannelsOptions,
  { postgres, say }: { readonly postgres: BenchPostgres; readonly say: (text: string) => void },
): Promise<FoundSides> {
  const kymo = await createKymoSide(scope, postgres, options['profile-dir']);
  if (options['without-peers']) return { sides: [kymo], absent: {}, versions: {} };
  const peers = await findPeers(postgres.folder, say);
  const all = [kymo, ...peers.sides];
  const known = [...all.map(({ name }) => name), ...Object.keys(peers.absent)];
  const chosen = namesOf(options.sides, known);
  return { ...peers, sides: all.filter(({ name }) => chosen.includes(name)) };
}

/** Names of a list on the command line; all when it is empty. */
function namesOf<T extends string>(text: string, known: readonly T[]): readonly T[] {
  if (text === '') return known;
  return text.split(',').map((word) => {
    const name = known.find((one) => one === word.trim());
    if (name === undefined) throw new AppError('invalid-field', `'${word}' is none of ${known.join(', ')}`);
    return name;
  });
}

function boundFigures(figures: ReadonlyMap<string, StepFigures>): string[] {
  return [...figures].flatMap(([name, values]) =>
    Object.entries(values)
      .filter(
        ([key, value]) =>
          key.endsWith('GeneratorBusyShare') && typeof value === 'number' && value > BOUND_SHARE,
      )
      .map(([key]) => `${name} ${key.slice(0, -'GeneratorBusyShare'.length)}`),
  );
}

function flat(failures: Readonly<Record<string, Readonly<Record<string, string>>>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(failures).flatMap(([side, ofSide]) =>
      Object.entries(ofSide).map(([step, why]) => [`${side}, ${step}`, why]),
    ),
  );
}

function describeRun(
  machine: Machine,
  options: ChannelsOptions,
  missing: Readonly<Record<string, string>>,
): string {
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${machine.system}; Node ${machine.node}`,
    `${isPinning ? 'servers on the first core, clients on the last' : 'nothing pinned to a core'}; messages of ${options['payload-bytes']} bytes of JSON, ${options['in-flight']} of a broadcast on their way`,
    `load of the machine before the run: ${machine.loadBefore}`,
    ...Object.entries(missing).map(([name, why]) => `no figure of ${name}: ${why}`),
  ].join('\n');
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nchannels: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
