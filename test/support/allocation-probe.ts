/**
 * Owns the measurement of what algorithms of motion allocate: run with --expose-gc and a young generation so large that
 * nothing is collected meanwhile, it prints the bytes of heap a reading takes, by algorithm, as one line of JSON.
 */

import { algorithms } from '#motion/algorithms.ts';
import { conformanceReadings } from '#motion/conformance-signal.ts';

const RATE_HZ = 100;
const WARM_UPDATES = 100_000;
const UPDATES = 50_000;
/** The least of these counts: the engine's own work, such as compiling, takes memory in the others. */
const ROUNDS = 3;

const collect = globalThis.gc;
if (collect === undefined) throw new Error('run with --expose-gc');

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
  run(WARM_UPDATES);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    collect();
    const before = process.memoryUsage().heapUsed;
    run(UPDATES);
    least = Math.min(least, (process.memoryUsage().heapUsed - before) / UPDATES);
  }
  bytesPerReading[definition.name] = least;
}
process.stdout.write(`${JSON.stringify(bytesPerReading)}\n`);
