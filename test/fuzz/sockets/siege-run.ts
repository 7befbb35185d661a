/**
 * Owns a whole siege: a server, an honest device that streams, every attack once to warm up, then the measured ones, a
 * pause, and the comparison of what the server holds before and after.
 */

import { createChance } from '#test/fuzz/chance.ts';
import { startBesieged, type BesiegedServer } from '#test/fuzz/sockets/besieged-server.ts';
import { newSiegeReport, storm, violate, type SiegeReport } from '#test/fuzz/sockets/siege.ts';
import { floodUnread, halfOpen, sayNothing, stayRefused } from '#test/fuzz/sockets/squatters.ts';

export interface SiegeOptions {
  readonly seed: number;
  /** Inputs of the storm; the other attacks have their own. */
  readonly inputs: number;
  readonly halfOpen: number;
  readonly tell: (line: string) => void;
}

/** What a server holds when it rests. */
export interface Holding {
  readonly rssMib: number;
  readonly heapMib: number;
  readonly descriptors: number;
  readonly connections: number;
  readonly creditBytes: number;
}

export interface SiegeOutcome {
  readonly report: SiegeReport;
  readonly before: Holding;
  readonly after: Holding;
  /** Connections that were half open at once. */
  readonly halfOpen: number;
  /** The longest that a reading of the honest device waited for its acknowledgement, by attack. */
  readonly waitsMs: ReadonlyMap<string, number>;
  /** The honest device was never thrown out, and everything it sent was acknowledged. */
  readonly reconnects: number;
  readonly isDrained: boolean;
  /** Errors that the server counted: at least those that were heard. */
  readonly countedErrors: number;
  readonly exitCode: number | null;
}

export async function runSiege(options: SiegeOptions): Promise<SiegeOutcome> {
  const { tell } = options;
  const chance = createChance(options.seed);
  const server = await startBesieged();
  const report = newSiegeReport();
  const waitsMs = new Map<string, number>();
  const attack = async (name: string, run: () => Promise<void>): Promise<void> => {
    const startedMs = performance.now();
    server.honest.takeLongestWaitMs();
    await run();
    const waitMs = Math.round(server.honest.takeLongestWaitMs());
    waitsMs.set(name, Math.max(waitMs, waitsMs.get(name) ?? 0));
    tell(
      `${name}: ${Math.round(performance.now() - startedMs)} ms, ${report.inputs} inputs so far; ` +
        `the honest device waited ${waitMs} ms at most`,
    );
  };
  const warmUp = { ...newSiegeReport(), problems: report.problems };
  let held = 0;
  await attack('warm-up', async () => {
    await storm(server, warmUp, { inputs: 500, chance });
    await floodUnread(server, warmUp, 1_000);
  });
  const before = await holdingOf(server);
  await attack('broken frames', () => violate(server, report, chance));
  await attack('storm', () => storm(server, report, { inputs: options.inputs, chance }));
  await attack('refused and staying', () => stayRefused(server, report, 300));
  await attack('pings unread', () => floodUnread(server, report, 10_000));
  await attack('half open', async () => {
    const half = await halfOpen(server, report, options.halfOpen);
    held = half.held;
    await storm(server, report, { inputs: 300, chance });
    half.leave();
  });
  await attack('silence', () => sayNothing(server, report, 400));
  const after = await holdingOf(server);
  const metrics = await server.metrics();
  const countedErrors = [...metrics]
    .filter(([name]) => /^kymo_(device|viewer)_errors_total/.test(name))
    .reduce((sum, [, value]) => sum + value, 0);
  const isDrained = await server.honest.finish();
  const { reconnects } = server.honest;
  const exitCode = await server.stop();
  return { report, before, after, halfOpen: held, waitsMs, reconnects, isDrained, countedErrors, exitCode };
}

/** Once nobody hostile is connected any more. */
async function holdingOf(server: BesiegedServer): Promise<Holding> {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    const metrics = await server.metrics();
    if (metrics.get('kymo_device_connections') === 1 || performance.now() > deadlineMs) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await server.collectGarbage();
  const metrics = await server.metrics();
  const of = (name: string): number => metrics.get(name) ?? Number.NaN;
  return {
    rssMib: Math.round(of('process_resident_memory_bytes') / 2 ** 20),
    heapMib: Math.round(of('nodejs_heap_size_used_bytes') / 2 ** 20),
    descriptors: of('process_open_fds'),
    connections: of('kymo_device_connections'),
    creditBytes: of('kymo_credit_reserved_bytes'),
  };
}
