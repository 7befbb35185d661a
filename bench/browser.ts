/**
 * Owns `npm run bench -- browser`: what a person at the screen gets. A real Chromium watches one session while hundreds
 * stream into the same server: from the sending of a frame to its receipt in the browser, and to the drawn picture. Then
 * the same over a link with a round trip and loss, for the device and for the browser. All that was stored is checked.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { messageOf } from '#base/errors.ts';
import { seededRandom } from '#base/random.ts';
import { startKymo, type KymoServer } from '#bench/ingest/kymo-server.ts';
import { watchPage, type PageFigures } from '#bench/browser/watched-page.ts';
import { createBenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import { readOptions, type OptionTable, type OptionValues } from '#bench/support/command-options.ts';
import { startLoad, type LoadOptions } from '#bench/support/load.ts';
import { describeMachine, sharedClockBaseUs } from '#bench/support/machine.ts';
import { machineCpuS } from '#bench/support/process-usage.ts';
import { createReadingChecker, demandExactlyOnce, type SentStream } from '#bench/support/reading-checker.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { startSlowLink, type LinkQuality } from '#bench/support/slow-link.ts';
import { checkStored } from '#bench/support/stored-chunks.ts';

const usage = `Usage: npm run bench -- browser [options]

A real Chromium watches one session while many stream: from sending to the page, and to the drawn picture.`;

const options = {
  sessions: { kind: 'integer', default: 500, min: 2, max: 10_000, doc: 'connections, one device each' },
  rate: { kind: 'number', default: 200, min: 0.1, max: 50_000, doc: 'readings a second of each stream' },
  'readings-per-frame': { kind: 'integer', default: 10, min: 1, max: 500, doc: 'readings of one frame' },
  seconds: { kind: 'number', default: 30, quick: 8, min: 4, max: 3_600, doc: 'measured time of each link' },
  'warm-up-seconds': { kind: 'number', default: 15, quick: 5, min: 0, max: 600, doc: 'before that' },
  'round-trip-ms': { kind: 'number', default: 40, min: 0, max: 2_000, doc: 'of the worse link' },
  'loss-percent': { kind: 'number', default: 1, min: 0, max: 50, doc: 'segments lost on the worse link' },
  seed: { kind: 'integer', default: 1, min: 0, max: 2 ** 31, doc: 'of the readings and of the losses' },
  screenshot: { kind: 'text', default: '', doc: 'a file for a picture of the page while it was measured' },
} as const satisfies OptionTable;

type Options = OptionValues<typeof options>;

const DRAIN_MS = 15_000;

async function main(scope: RunScope): Promise<void> {
  const chosen = readOptions(options, usage);
  const progress = createProgress();
  const machine = describeMachine();
  progress.say('starting PostgreSQL and the server');
  const { databases, folder } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `kymo_browser_${process.pid}`);
  const kymo = await startKymo(scope, database, {
    devices: chosen.sessions,
    stateDir: join(folder, 'server'),
  });
  const sent: SentStream[] = [];
  progress.say('measuring on loopback');
  const direct = await measureLink({ scope, chosen, kymo, sent }, { port: kymo.port, link: 'loopback' });
  const quality: LinkQuality = { roundTripMs: chosen['round-trip-ms'], loss: chosen['loss-percent'] / 100 };
  progress.say(`measuring with ${quality.roundTripMs} ms round trip and ${chosen['loss-percent']} % loss`);
  const random = seededRandom(chosen.seed).next;
  const slowPort = await startSlowLink(scope, { port: kymo.port }, { quality, random });
  const slow = await measureLink({ scope, chosen, kymo, sent }, { port: slowPort, link: 'slow' });
  progress.say('checking what was stored');
  const checker = createReadingChecker(sent, chosen.seed);
  await checkStored(checker, database);
  const check = checker.finish();
  demandExactlyOnce('kymo', check);
  progress.end();
  const slowName = `${quality.roundTripMs} ms, ${chosen['loss-percent']} % loss`;
  process.stdout.write(`${machine.cpu}, ${machine.cores} cores; load before ${machine.loadBefore}\n\n`);
  process.stdout.write(`${tableOf(chosen, { loopback: direct, [slowName]: slow })}\n`);
  printResult({
    bench: 'browser',
    machine,
    database: database.durability,
    sessions: chosen.sessions,
    rateHz: chosen.rate,
    readingsPerFrame: chosen['readings-per-frame'],
    ...figuresOf(direct),
    slowLink: { ...quality, ...figuresOf(slow) },
    sent: check.sent,
    acknowledged: check.acknowledged,
    stored: check.stored,
    duplicates: check.duplicates,
    missing: check.missing,
  });
}

interface Run {
  readonly scope: RunScope;
  readonly chosen: Options;
  readonly kymo: KymoServer;
  /** Grows by what this link's devices sent. */
  readonly sent: SentStream[];
}

interface LinkFigures extends PageFigures {
  /** Share of all cores that were busy, with everything that ran. */
  readonly cpuShare: number;
}

/** All devices but the watched one are on loopback, so that the load is the same on every link. */
async function measureLink(
  { scope, chosen, kymo, sent }: Run,
  { port, link }: { readonly port: number; readonly link: string },
): Promise<LinkFigures> {
  const shared: Omit<LoadOptions, 'keys' | 'port' | 'seed'> = {
    sensors: 1,
    rateHz: chosen.rate,
    readingsPerFrame: chosen['readings-per-frame'],
    clockBaseUs: sharedClockBaseUs(),
    generators: 1,
    host: '127.0.0.1',
    path: '/v1/device',
    flood: false,
  };
  const { seed } = chosen;
  const watched = await startLoad(scope, { ...shared, seed, keys: kymo.deviceKeys.slice(0, 1), port });
  const others = await startLoad(scope, { ...shared, seed, keys: kymo.deviceKeys.slice(1), port: kymo.port });
  watched.start();
  others.start();
  const page = await watchPage(scope, {
    origin: `http://127.0.0.1:${port}`,
    key: kymo.accessKey,
    session: watched.sessions.join(''),
  });
  await sleep(chosen['warm-up-seconds'] * 1000);
  const cpuBefore = machineCpuS();
  const startedMs = performance.now();
  const figures = await page.measure(chosen.seconds);
  const elapsedS = (performance.now() - startedMs) / 1000;
  const cpuShare = (machineCpuS() - cpuBefore) / elapsedS / describeMachine().cores;
  if (chosen.screenshot !== '' && link === 'loopback') await page.screenshot(chosen.screenshot);
  await page.close();
  for (const load of [watched, others]) {
    await load.stop(DRAIN_MS);
    const end = await load.end(DRAIN_MS);
    sent.push(...end.streams.map((stream) => ({ ...stream, rateHz: chosen.rate })));
  }
  return { ...figures, cpuShare };
}

function figuresOf(link: LinkFigures) {
  return {
    handlerMsP50: rounded(link.handler.quantileMs(0.5)),
    handlerMsP99: rounded(link.handler.quantileMs(0.99)),
    paintMsP50: rounded(link.pixel.quantileMs(0.5)),
    paintMsP99: rounded(link.pixel.quantileMs(0.99)),
    fps: rounded(link.fps, 1),
    longTasks: rounded(link.longTasks, 1),
    frames: link.frames,
    sweepDelayMs: rounded(link.delayMs, 1),
    cpuShare: rounded(link.cpuShare, 3),
  };
}

function tableOf(chosen: Options, links: Readonly<Record<string, LinkFigures>>): string {
  const of = (pick: (link: LinkFigures) => number): string[] =>
    Object.values(links).map((link) => formatFigure(pick(link)));
  return formatTable(
    [`${chosen.sessions} sessions, ${chosen['readings-per-frame']} readings a frame`, ...Object.keys(links)],
    [
      ['from sending to the page, ms, p50', ...of((link) => link.handler.quantileMs(0.5))],
      ['from sending to the page, ms, p99', ...of((link) => link.handler.quantileMs(0.99))],
      ['from sending to the picture, ms, p50', ...of((link) => link.pixel.quantileMs(0.5))],
      ['from sending to the picture, ms, p99', ...of((link) => link.pixel.quantileMs(0.99))],
      ['frames drawn a second', ...of((link) => link.fps)],
      ['long tasks of the page a minute', ...of((link) => link.longTasks)],
      ['sweep behind the present, ms', ...of((link) => link.delayMs)],
      ['both cores busy, share', ...of((link) => link.cpuShare)],
    ],
  );
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nbrowser: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
