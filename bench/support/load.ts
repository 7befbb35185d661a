/**
 * Owns a load from the benchmark's side: starts the generator processes, splits the sessions among them, drives them
 * through warm-up and measuring, and adds up what they report.
 */

import { fileURLToPath } from 'node:url';

import { hear } from '#bench/support/control-channel.ts';
import { createLatencyHistogram, type LatencyHistogram } from '#bench/support/latency-histogram.ts';
import type {
  LoadPlan,
  LoadReady,
  LoadResult,
  LoadStream,
  LoadWindow,
} from '#bench/support/load-messages.ts';
import { createSharedClock } from '#bench/support/machine.ts';
import type { Child, RunScope } from '#bench/support/run-scope.ts';

const READY_MS = 60_000;
/** From the command to the first sampled reading: all generators have the command by then. */
const START_DELAY_US = 100_000;
/** Busier than this, the generator is what is measured (BENCH.md). */
const BOUND_SHARE = 0.9;

export interface LoadOptions extends Omit<LoadPlan, 'type' | 'firstSession' | 'totalSessions'> {
  /** Processes. */
  readonly generators: number;
}

export interface LoadFigures {
  readonly durationMs: number;
  readonly sentFrames: number;
  readonly sentMessages: number;
  readonly sentReadings: number;
  readonly acknowledgedReadings: number;
  readonly unsentReadings: number;
  readonly unacknowledgedReadings: number;
  readonly ack: LatencyHistogram;
  readonly lag: LatencyHistogram;
  readonly batch: LatencyHistogram;
  /** Of the busiest generator: CPU time over elapsed time. */
  readonly generatorBusyShare: number;
  readonly generatorBound: boolean;
  readonly generatorCpuS: number;
}

export interface LoadEnd {
  readonly streams: readonly LoadStream[];
  readonly reconnects: number;
  readonly resentReadings: number;
  readonly unmeasuredFrames: number;
  readonly creditWaits: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly drained: boolean;
}

export interface Load {
  /** Session ids, all streams open. */
  readonly sessions: readonly string[];
  /** Begins to sample; what happens until `measure` is warm-up. */
  start(): void;
  measure(): void;
  /** Ends sampling; resolves with what was measured since `measure`, before the rest is drained. */
  stop(drainMs: number): Promise<LoadFigures>;
  /** After `stop`: waits for the drain and the end of the generators. */
  end(drainMs: number): Promise<LoadEnd>;
}

export async function startLoad(scope: RunScope, options: LoadOptions): Promise<Load> {
  const { generators, keys, ...plan } = options;
  const nowUs = createSharedClock(options.clockBaseUs);
  const children: Child[] = [];
  const perGenerator = Math.ceil(keys.length / generators);
  for (let first = 0; first < keys.length; first += perGenerator) {
    const child = await scope.start({
      name: 'load generator',
      command: process.execPath,
      args: [fileURLToPath(new URL('./load-generator.ts', import.meta.url))],
    });
    child.send({
      ...plan,
      type: 'plan',
      keys: keys.slice(first, first + perGenerator),
      firstSession: first,
      totalSessions: keys.length,
    } satisfies LoadPlan);
    children.push(child);
  }
  const ready = await Promise.all(children.map((child) => hear<LoadReady>(child, 'ready', READY_MS)));
  const tell = (message: object): void => {
    for (const child of children) child.send(message);
  };
  return {
    sessions: ready.flatMap((message) => message.sessions),
    start: () => tell({ type: 'start', startUs: nowUs() + START_DELAY_US }),
    measure: () => tell({ type: 'measure' }),
    async stop(drainMs) {
      tell({ type: 'stop', drainMs });
      return addWindows(
        await Promise.all(children.map((child) => hear<LoadWindow>(child, 'window', READY_MS))),
      );
    },
    async end(drainMs) {
      const results = await Promise.all(
        children.map((child) => hear<LoadResult>(child, 'result', drainMs + READY_MS)),
      );
      await Promise.all(children.map((child) => child.stop()));
      return addResults(results);
    },
  };
}

function addWindows(windows: readonly LoadWindow[]): LoadFigures {
  const sum = (of: (window: LoadWindow) => number): number =>
    windows.reduce((total, window) => total + of(window), 0);
  const merged = (of: (window: LoadWindow) => LoadWindow['ack']): LatencyHistogram => {
    const histogram = createLatencyHistogram();
    for (const window of windows) histogram.add(of(window));
    return histogram;
  };
  const busy = Math.max(...windows.map((window) => (window.cpuS * 1000) / window.durationMs));
  return {
    durationMs: Math.max(...windows.map((window) => window.durationMs)),
    sentFrames: sum((w) => w.sentFrames),
    sentMessages: sum((w) => w.sentMessages),
    sentReadings: sum((w) => w.sentReadings),
    acknowledgedReadings: sum((w) => w.acknowledgedReadings),
    unsentReadings: sum((w) => w.unsentReadings),
    unacknowledgedReadings: sum((w) => w.unacknowledgedReadings),
    ack: merged((w) => w.ack),
    lag: merged((w) => w.lag),
    batch: merged((w) => w.batch),
    generatorBusyShare: busy,
    generatorBound: busy > BOUND_SHARE,
    generatorCpuS: sum((w) => w.cpuS),
  };
}

function addResults(results: readonly LoadResult[]): LoadEnd {
  const errors: Record<string, number> = {};
  for (const result of results)
    for (const [code, count] of Object.entries(result.errors)) errors[code] = (errors[code] ?? 0) + count;
  const sum = (of: (result: LoadResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  return {
    streams: results.flatMap((result) => result.streams),
    reconnects: sum((r) => r.reconnects),
    resentReadings: sum((r) => r.resentReadings),
    unmeasuredFrames: sum((r) => r.unmeasuredFrames),
    creditWaits: sum((r) => r.creditWaits),
    errors,
    drained: results.every((result) => result.drained),
  };
}
