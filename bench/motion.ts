/**
 * Owns `npm run bench -- motion`: what every algorithm of motion costs a reading on one thread, how many sessions of seven
 * sensors the whole chain carries on one core, and how long after a frame its results are there. All on one thread of this
 * process, nothing else: what the worker threads add is in the ingest bench.
 */

import { messageOf } from '#base/errors.ts';
import { measureAlgorithms, type AlgorithmCost } from '#bench/motion/algorithm-cost.ts';
import { measureChain } from '#bench/motion/chain-cost.ts';
import { readOptions, type OptionTable } from '#bench/support/command-options.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';

const usage = `Usage: npm run bench -- motion [options]

Updates a second of each algorithm, and sessions of seven sensors that the whole chain carries on one core.`;

const options = {
  updates: {
    kind: 'integer',
    default: 400_000,
    quick: 100_000,
    min: 1_000,
    max: 1e8,
    doc: 'readings of each algorithm in a round',
  },
  rounds: {
    kind: 'integer',
    default: 7,
    quick: 3,
    min: 1,
    max: 100,
    doc: 'rounds, of which the median counts',
  },
  sessions: { kind: 'integer', default: 100, quick: 20, min: 1, max: 2_000, doc: 'sessions side by side' },
  seconds: {
    kind: 'number',
    default: 20,
    quick: 10,
    min: 1,
    max: 600,
    doc: 'walked by each, after the warm-up',
  },
  rate: { kind: 'number', default: 200, min: 50, max: 400, doc: 'readings a second of each sensor' },
} as const satisfies OptionTable;

/** What others published of their implementations, a reading in microseconds. */
const published: Readonly<Record<string, { cpuUs: number; by: string }>> = {
  vqf: { cpuUs: 0.54, by: 'C++ reference implementation' },
};

function main(): void {
  const values = readOptions(options, usage);
  const machine = describeMachine();
  const progress = createProgress();
  const costs = measureAlgorithms(values, progress.say);
  const chain = measureChain(
    {
      sessions: values.sessions,
      seconds: values.seconds,
      rateHz: values.rate,
      heldShare: 0.8,
    },
    progress.say,
  );
  progress.end();
  process.stdout.write(`${describeCosts(costs)}\n`);
  process.stdout.write(
    formatTable(
      ['seven sensors', 'figure'],
      [
        ['sessions a core', formatFigure(chain.sessionsPerCore)],
        ['CPU us a reading', formatFigure(chain.cpuUsPerReading)],
        [`window ms p50 with ${chain.windowSessions} sessions`, formatFigure(chain.windowMsP50)],
        [`window ms p99 with ${chain.windowSessions} sessions`, formatFigure(chain.windowMsP99)],
        ['frames left out, core was taken', formatFigure(chain.windowLeftOut)],
        ['memory of a session, KiB', formatFigure(chain.sessionKiB)],
        ['strides found', formatFigure(chain.strides)],
      ],
    ),
  );
  printResult({
    bench: 'motion',
    machine,
    rateHz: values.rate,
    updatesPerS: Object.fromEntries(costs.map(({ name, cpuUs }) => [name, Math.round(1e6 / cpuUs)])),
    cpuUsPerUpdate: Object.fromEntries(costs.map(({ name, cpuUs }) => [name, rounded(cpuUs, 3)])),
    publishedCpuUsPerUpdate: Object.fromEntries(
      Object.entries(published).map(([name, { cpuUs, by }]) => [name, { cpuUs, by }]),
    ),
    sessionsMeasured: values.sessions,
    ...chain,
  });
}

function describeCosts(costs: readonly AlgorithmCost[]): string {
  return formatTable(
    ['algorithm', 'updates/s', 'CPU us', 'published us', 'by'],
    costs.map(({ name, cpuUs }) => [
      name,
      formatFigure(1e6 / cpuUs),
      formatFigure(cpuUs),
      formatFigure(published[name]?.cpuUs),
      published[name]?.by ?? '',
    ]),
  );
}

try {
  main();
} catch (error) {
  process.stderr.write(`\nmotion: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
