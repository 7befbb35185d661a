/**
 * Owns one measured stretch of a server that stores, ours or a peer's: the same load, the same viewers, the same
 * figures. CPU time is taken from the process trees of server and database over the window.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { BenchDatabase } from '#bench/support/bench-database.ts';
import { hear } from '#bench/support/control-channel.ts';
import { createLatencyHistogram, type LatencyHistogram } from '#bench/support/latency-histogram.ts';
import { startLoad, type LoadEnd, type LoadFigures, type LoadOptions } from '#bench/support/load.ts';
import type { ViewerPlan, ViewerWindow } from '#bench/support/load-messages.ts';
import { machineCpuS, treeUsage } from '#bench/support/process-usage.ts';
import type { RunScope } from '#bench/support/run-scope.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';

const VIEWER_MS = 30_000;
/** After the window: what is not acknowledged by then is reported as such. */
const DRAIN_MS = 15_000;
const RSS_SAMPLE_MS = 500;

export interface StoringServer {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly accessKey: string;
  readonly deviceKeys: readonly string[];
  readonly liveFormat: ViewerPlan['format'];
}

export interface StoringRun {
  readonly load: Omit<LoadOptions, 'host' | 'port' | 'path' | 'keys' | 'flood'>;
  readonly viewers: number;
  readonly warmUpS: number;
  readonly windowS: number;
}

export interface StoringFigures {
  readonly load: LoadFigures;
  readonly end: LoadEnd;
  readonly serverCpuS: number;
  readonly databaseCpuS: number;
  /** The largest seen. */
  readonly rssMiB: number;
  readonly fromSending: LatencyHistogram;
  readonly fromSampling: LatencyHistogram;
  readonly liveFrames: number;
  readonly liveSkipped: number;
  readonly viewerCpuS: number;
  /** What else the machine did meanwhile; more than a few hundredths of a core makes latencies worthless. */
  readonly otherCpuS: number;
}

export async function measureStoring(
  scope: RunScope,
  server: StoringServer,
  { database, run }: { readonly database: BenchDatabase; readonly run: StoringRun },
): Promise<StoringFigures> {
  const load = await startLoad(scope, {
    ...run.load,
    keys: server.deviceKeys,
    host: '127.0.0.1',
    port: server.port,
    path: '/v1/device',
    flood: false,
  });
  const viewer = await startViewer(scope, {
    type: 'plan',
    url: `ws://127.0.0.1:${server.port}/v1/live`,
    subprotocol: LIVE_SUBPROTOCOL,
    key: server.accessKey,
    sessions: spread(load.sessions, run.viewers),
    clockBaseUs: run.load.clockBaseUs,
    format: server.liveFormat,
  });
  load.start();
  await sleep(run.warmUpS * 1000);
  const serverBefore = treeUsage(server.pid);
  const databaseBefore = database.usage();
  const machineBefore = machineCpuS();
  load.measure();
  viewer.send({ type: 'measure' });
  const rssMiB = await watchMemory(server.pid, run.windowS * 1000);
  const serverAfter = treeUsage(server.pid);
  const databaseAfter = database.usage();
  const machineS = machineCpuS() - machineBefore;
  const figures = await load.stop(DRAIN_MS);
  viewer.send({ type: 'window' });
  const seen = await hear<ViewerWindow>(viewer, 'window', VIEWER_MS);
  const end = await load.end(DRAIN_MS);
  await viewer.stop();
  const serverCpuS = serverAfter.cpuS - serverBefore.cpuS;
  const databaseCpuS = databaseAfter.cpuS - databaseBefore.cpuS;
  return {
    load: figures,
    end,
    serverCpuS,
    databaseCpuS,
    otherCpuS: machineS - serverCpuS - databaseCpuS - figures.generatorCpuS - seen.cpuS,
    rssMiB,
    fromSending: histogramOf(seen.fromSending),
    fromSampling: histogramOf(seen.fromSampling),
    liveFrames: seen.frames,
    liveSkipped: seen.skipped,
    viewerCpuS: seen.cpuS,
  };
}

export async function startViewer(scope: RunScope, plan: ViewerPlan) {
  const viewer = await scope.start({
    name: 'viewer',
    command: process.execPath,
    args: [fileURLToPath(new URL('../support/viewer.ts', import.meta.url))],
  });
  viewer.send(plan);
  await hear(viewer, 'ready', VIEWER_MS);
  return viewer;
}

/** `count` of the items, evenly over all of them. */
export function spread(items: readonly string[], count: number): string[] {
  const wanted = Math.min(count, items.length);
  return Array.from({ length: wanted }, (_, i) => items[Math.floor((i * items.length) / wanted)]!);
}

async function watchMemory(pid: number, durationMs: number): Promise<number> {
  const endMs = performance.now() + durationMs;
  let most = treeUsage(pid).rssMiB;
  for (let leftMs = durationMs; leftMs > 0; leftMs = endMs - performance.now()) {
    await sleep(Math.min(leftMs, RSS_SAMPLE_MS));
    most = Math.max(most, treeUsage(pid).rssMiB);
  }
  return most;
}

function histogramOf(snapshot: ViewerWindow['fromSending']): LatencyHistogram {
  const histogram = createLatencyHistogram();
  histogram.add(snapshot);
  return histogram;
}
