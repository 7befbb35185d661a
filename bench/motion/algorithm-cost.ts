/**
 * Owns what a reading costs each algorithm: CPU time of this thread, so that other programs on the machine count little, in
 * rounds in which the algorithms take turns, over a signal of a foot and a lower back that rest and walk.
 */

import { runBatch } from '#motion/algorithm.ts';
import { algorithms } from '#motion/algorithms.ts';
import { conformanceReadings } from '#motion/conformance-signal.ts';

export interface AlgorithmCost {
  readonly name: string;
  /** Median of the rounds. */
  readonly cpuUs: number;
}

export interface CostOptions {
  readonly updates: number;
  readonly rounds: number;
  readonly rate: number;
}

export function measureAlgorithms(options: CostOptions, say: (text: string) => void): AlgorithmCost[] {
  const entries = algorithms.map((definition) => {
    const readings = conformanceReadings(definition.inputs, options.rate);
    return {
      definition,
      readings,
      algorithm: definition.create(options.rate),
      out: new Float64Array(definition.maxRows * definition.outputs.length),
      at: 0,
      cpuUs: [] as number[],
    };
  });
  for (const entry of entries) {
    say(`${entry.definition.name}: warming up`);
    runBatch(entry.algorithm, entry.readings, entry.readings.length / entry.definition.inputs.length);
    run(entry, options.updates / 2);
  }
  for (let round = 1; round <= options.rounds; round++) {
    say(`algorithms: round ${round} of ${options.rounds}`);
    for (const entry of entries) {
      const before = process.threadCpuUsage();
      run(entry, options.updates);
      const used = process.threadCpuUsage(before);
      entry.cpuUs.push((used.user + used.system) / options.updates);
    }
  }
  return entries.map(({ definition, cpuUs }) => ({ name: definition.name, cpuUs: median(cpuUs) }));
}

interface Run {
  readonly algorithm: ReturnType<(typeof algorithms)[number]['create']>;
  readonly readings: Float64Array;
  readonly out: Float64Array;
  at: number;
}

function run(entry: Run, updates: number): void {
  const { algorithm, readings, out } = entry;
  const width = algorithm.definition.inputs.length;
  let { at } = entry;
  for (let i = 0; i < updates; i++) {
    algorithm.update(readings, at, out);
    at = at + width < readings.length ? at + width : 0;
  }
  entry.at = at;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!;
}
