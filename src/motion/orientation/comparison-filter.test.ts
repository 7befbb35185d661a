import { expect, test } from 'vitest';

import { runBatch, type AlgorithmDefinition } from '#motion/algorithm.ts';
import { madgwick } from '#motion/orientation/madgwick.ts';
import { mahony } from '#motion/orientation/mahony.ts';
import { angleBetween, rotateInverse } from '#motion/quaternion.ts';
import { swinging, turningSensor } from '#test/support/turning-sensor.ts';

const RATE_HZ = 100;
const COUNT = 3000;
const made = turningSensor({ seconds: 30, rateHz: RATE_HZ, bias: [0.002, 0, 0], rateAt: swinging });

/** With a field of 48 uT that dips by 65 degrees, y of the earth being north; or without one. */
function readingsWith(hasField: boolean): Float64Array {
  const readings = new Float64Array(9 * COUNT).fill(Number.NaN);
  const seen = new Float64Array(3);
  for (let i = 0; i < COUNT; i++) {
    readings.set(made.readings.subarray(6 * i, 6 * i + 6), 9 * i);
    rotateInverse(made.truth[i]!, Float64Array.of(0, 20, -44), seen);
    if (hasField) readings.set(seen, 9 * i + 6);
  }
  return readings;
}

const both: readonly AlgorithmDefinition[] = [madgwick, mahony];

test.each(both)('$name is east, north, up with a magnetometer, from the first reading on', (definition) => {
  const rows = runBatch(definition.create(RATE_HZ), readingsWith(true), COUNT);
  for (let i = 0; i < COUNT; i += 10)
    expect(angleBetween(rows.subarray(4 * i), made.truth[i]!)).toBeLessThan(0.04);
});

test.each(both)('$name knows up without one', (definition) => {
  const rows = runBatch(definition.create(RATE_HZ), readingsWith(false), COUNT);
  const up = Float64Array.of(0, 0, 1);
  const truth = Float64Array.of(0, 0, 1);
  rotateInverse(rows.subarray(rows.length - 4), up, up);
  rotateInverse(made.truth[COUNT - 1]!, truth, truth);
  expect(up[0]! * truth[0]! + up[1]! * truth[1]! + up[2]! * truth[2]!).toBeGreaterThan(0.999);
});
