/**
 * Owns the measurement of what algorithms of motion allocate: run with --expose-gc and a young generation so large that
 * nothing is collected meanwhile, it prints the bytes of heap that a reading takes, by algorithm, as one line of JSON. A step
 * or a stride may allocate, so it is the median over short runs of readings, most of which see neither.
 */

import { getHeapStatistics } from 'node:v8';

import { algorithms } from '#motion/algorithms.ts';
import { conformanceReadings } from '#motion/conformance-signal.ts';

const RATE_HZ = 100;
const WARM_UPDATES = 150_000;
const BLOCKS = 4_000;
const READINGS_PER_BLOCK = 10;
const ATTEMPTS = 3;

const collect = globalThis.gc;
if (collect === undefined) throw new Error('run with --expose-gc');

const bytes = new Float64Array(BLOCKS);

/** Median of what a block takes, that of looking included. */
function bytesOfBlock(block: () => void): number {
  for (let i = 0; i < BLOCKS; i++) {
    const before = getHeapStatistics().used_heap_size;
    block();
    bytes[i] = getHeapStatistics().used_heap_size - before;
  }
  return bytes.toSorted()[BLOCKS >> 1]!;
}

const bytesPerReading: Record<string, number> = {};
for (const definition of algorithms) {
  const readings = conformanceReadings(definition.inputs, RATE_HZ);
  const width = definition.inputs.length;
  const out = new Float64Array(definition.maxRows * definition.outputs.length);
  const algorithm = definition.create(RATE_HZ);
  let at = 0;
  const run = (updates: number): void => {
    for (let i = 0; i < updates; i++) {
      algorithm.update(readings, at, out);
      at = at + width < readings.length ? at + width : 0;
    }
  };
  // Who allocates does so each time; on a busy machine the optimised code may come late.
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ATTEMPTS; i++) {
    run(WARM_UPDATES);
    collect();
    const ofLooking = bytesOfBlock(() => undefined);
    least = Math.min(least, (bytesOfBlock(() => run(READINGS_PER_BLOCK)) - ofLooking) / READINGS_PER_BLOCK);
  }
  bytesPerReading[definition.name] = least;
}
process.stdout.write(`${JSON.stringify(bytesPerReading)}\n`);
