/**
 * Owns `npm run bench -- replay`: a device that was offline for hours sends all it kept, with the device SDK, while other
 * sessions stream at their true rate. Shown: how fast it catches up, and what the live viewers notice of it. Every
 * stored reading is checked, replayed and live.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { messageOf } from '#base/errors.ts';
import { startKymo, type KymoServer } from '#bench/ingest/kymo-server.ts';
import { startViewer, spread } from '#bench/ingest/storing-side.ts';
import type { ConnectCommand, OfflinePlan, Recorded, Replayed } from '#bench/replay/offline-device.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import { readOptions, type OptionTable } from '#bench/support/command-options.ts';
import { hear } from '#bench/support/control-channel.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { startLoad, type Load } from '#bench/support/load.ts';
import type { ViewerWindow } from '#bench/support/load-messages.ts';
import { describeMachine, sharedClockBaseUs } from '#bench/support/machine.ts';
import { createReadingChecker, demandExactlyOnce, type SentStream } from '#bench/support/reading-checker.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type Child, type RunScope } from '#bench/support/run-scope.ts';
import { checkStored } from '#bench/support/stored-chunks.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';

const usage = `Usage: npm run bench -- replay [options]

A device that was offline for hours sends what it kept while other sessions stream live.`;

const options = {
  hours: {
    kind: 'number',
    default: 8,
    quick: 1,
    min: 0.01,
    max: 240,
    doc: 'how long the device was offline',
  },
  sessions: {
    kind: 'integer',
    default: 500,
    quick: 200,
    min: 1,
    max: 10_000,
    doc: 'sessions that stream live meanwhile',
  },
  rate: { kind: 'number', default: 200, min: 0.1, max: 50_000, doc: 'readings a second of each stream' },
  'readings-per-frame': { kind: 'integer', default: 10, min: 1, max: 500, doc: 'readings of one frame' },
  seconds: {
    kind: 'number',
    default: 15,
    quick: 4,
    min: 1,
    max: 600,
    doc: 'live latency without a replay, measured before',
  },
  'warm-up-seconds': { kind: 'number', default: 15, quick: 3, min: 0, max: 600, doc: 'before that' },
  viewers: {
    kind: 'integer',
    default: 20,
    min: 1,
    max: 5_000,
    doc: 'connections that watch a live session each',
  },
  generators: { kind: 'integer', default: 1, min: 1, max: 64, doc: 'processes that play the live devices' },
  seed: { kind: 'integer', default: 1, min: 0, max: 2 ** 31, doc: 'of the readings' },
} as const satisfies OptionTable;

const RECORD_MS = 30 * 60_000;
const REPLAY_MS = 60 * 60_000;
const WINDOW_MS = 30_000;
const DRAIN_MS = 15_000;
/** What the device's store keeps beside the values: less than this a reading. */
const STORE_BYTES_PER_READING = 64;

async function main(scope: RunScope): Promise<void> {
  const chosen = readOptions(options, usage);
  const progress = createProgress();
  const machine = describeMachine();
  progress.say('starting PostgreSQL and the server');
  const { databases, folder } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `kymo_replay_${process.pid}`);
  const kymo = await startKymo(scope, database, {
    devices: chosen.sessions + 1,
    stateDir: join(folder, 'server'),
  });
  const plan: OfflinePlan = {
    type: 'plan',
    storeDir: join(folder, 'device'),
    readings: Math.round(chosen.hours * 3600 * chosen.rate),
    maxBytes: Math.ceil(chosen.hours * 3600 * chosen.rate * STORE_BYTES_PER_READING) + 2 ** 20,
    rateHz: chosen.rate,
    readingsPerFrame: chosen['readings-per-frame'],
    seed: chosen.seed,
    stream: chosen.sessions,
    startUs: Date.now() * 1000 - Math.round(chosen.hours * 3.6e9),
  };
  progress.say(`recording ${formatFigure(plan.readings)} readings without a server`);
  const offline = await scope.start({
    name: 'offline device',
    command: process.execPath,
    args: [fileURLToPath(new URL('./replay/offline-device.ts', import.meta.url))],
  });
  offline.send(plan);
  const recorded = await hear<Recorded>(offline, 'recorded', RECORD_MS);
  const { before, during, replayed, live } = await measure({
    scope,
    chosen,
    kymo,
    offline,
    say: progress.say,
  });
  progress.say('checking what was stored');
  const streams = [...live, await replayedStream(database, plan, recorded.streamId)];
  const checker = createReadingChecker(streams, chosen.seed);
  await checkStored(checker, database);
  const check = checker.finish();
  demandExactlyOnce('kymo', check);
  progress.end();
  const replayReadingsPerS = plan.readings / (replayed.replayMs / 1000);
  const rows: [string, string][] = [
    ['hours replayed', formatFigure(chosen.hours)],
    ['readings replayed', formatFigure(plan.readings)],
    ['replayed, readings/s', formatFigure(replayReadingsPerS)],
    ['caught up after, s', formatFigure(replayed.replayMs / 1000)],
    ['live p99 from sending, before, ms', formatFigure(before.fromSending.quantileMs(0.99))],
    ['live p99 from sending, during, ms', formatFigure(during.fromSending.quantileMs(0.99))],
    ['live p99 from sampling, before, ms', formatFigure(before.fromSampling.quantileMs(0.99))],
    ['live p99 from sampling, during, ms', formatFigure(during.fromSampling.quantileMs(0.99))],
  ];
  const heading = [`${chosen.sessions} live sessions, ${plan.readingsPerFrame} readings a frame`, ''];
  process.stdout.write(`${machine.cpu}, ${machine.cores} cores; load before ${machine.loadBefore}\n\n`);
  process.stdout.write(`${formatTable(heading, rows)}\n`);
  printResult({
    bench: 'replay',
    machine,
    database: database.durability,
    hours: chosen.hours,
    sessions: chosen.sessions,
    rateHz: chosen.rate,
    readingsPerFrame: plan.readingsPerFrame,
    replayReadings: plan.readings,
    replayReadingsPerS: rounded(replayReadingsPerS, 0),
    replayS: rounded(replayed.replayMs / 1000),
    timesTrueRate: rounded(replayReadingsPerS / chosen.rate, 0),
    deviceCpuS: rounded(replayed.cpuS),
    recordS: rounded(recorded.recordMs / 1000),
    liveMsP99During: rounded(during.fromSending.quantileMs(0.99)),
    liveFromSamplingMsP99During: rounded(during.fromSampling.quantileMs(0.99)),
    liveMsP99Before: rounded(before.fromSending.quantileMs(0.99)),
    liveFromSamplingMsP99Before: rounded(before.fromSampling.quantileMs(0.99)),
    sent: check.sent,
    acknowledged: check.acknowledged,
    stored: check.stored,
    duplicates: check.duplicates,
    missing: check.missing,
  });
}

interface Measuring {
  readonly scope: RunScope;
  readonly chosen: ReturnType<typeof readOptions<typeof options>>;
  readonly kymo: KymoServer;
  readonly offline: Child;
  readonly say: (text: string) => void;
}

async function measure({ scope, chosen, kymo, offline, say }: Measuring) {
  const clockBaseUs = sharedClockBaseUs();
  const load: Load = await startLoad(scope, {
    sensors: 1,
    rateHz: chosen.rate,
    readingsPerFrame: chosen['readings-per-frame'],
    seed: chosen.seed,
    clockBaseUs,
    generators: chosen.generators,
    keys: kymo.deviceKeys.slice(0, chosen.sessions),
    host: '127.0.0.1',
    port: kymo.port,
    path: '/v1/device',
    flood: false,
  });
  const viewer = await startViewer(scope, {
    type: 'plan',
    url: `ws://127.0.0.1:${kymo.port}/v1/live`,
    subprotocol: LIVE_SUBPROTOCOL,
    key: kymo.accessKey,
    sessions: spread(load.sessions, chosen.viewers),
    clockBaseUs,
    format: 'live',
  });
  load.start();
  await sleep(chosen['warm-up-seconds'] * 1000);
  say('measuring live latency without a replay');
  viewer.send({ type: 'measure' });
  await sleep(chosen.seconds * 1000);
  const before = await windowOf(viewer);
  say('the device connects and sends what it kept');
  viewer.send({ type: 'measure' });
  offline.send({
    type: 'connect',
    url: `http://127.0.0.1:${kymo.port}`,
    key: kymo.deviceKeys[chosen.sessions]!,
  } satisfies ConnectCommand);
  const replayed = await hear<Replayed>(offline, 'replayed', REPLAY_MS);
  const during = await windowOf(viewer);
  await load.stop(DRAIN_MS);
  const end = await load.end(DRAIN_MS);
  await viewer.stop();
  return {
    before,
    during,
    replayed,
    live: end.streams.map((stream) => ({ ...stream, rateHz: chosen.rate })),
  };
}

async function windowOf(viewer: Child) {
  viewer.send({ type: 'window' });
  const window = await hear<ViewerWindow>(viewer, 'window', WINDOW_MS);
  const fromSending = createLatencyHistogram();
  const fromSampling = createLatencyHistogram();
  fromSending.add(window.fromSending);
  fromSampling.add(window.fromSampling);
  return { fromSending, fromSampling };
}

/** What the device sent: all of it was acknowledged, in one epoch. */
async function replayedStream(
  database: BenchDatabase,
  plan: OfflinePlan,
  streamId: string,
): Promise<SentStream> {
  const rows = await database.query<{ epoch: string }>(
    `select encode(int8send(epoch), 'hex') as epoch from kymo.stream_epoch where stream_id = $1`,
    [streamId],
  );
  return {
    streamId,
    epoch: rows[0]?.epoch ?? '',
    stream: plan.stream,
    startUs: plan.startUs,
    sentTo: plan.readings,
    next: plan.readings,
    ranges: [],
    rateHz: plan.rateHz,
  };
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nreplay: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
