import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

import { algorithms } from '#motion/algorithms.ts';
import { testAlgorithmConformance } from '#motion/conformance.ts';

for (const definition of algorithms) testAlgorithmConformance(definition);

test('no two algorithms have the same name', () => {
  expect(new Set(algorithms.map(({ name }) => name)).size).toBe(algorithms.length);
});

/** A number on the heap takes 16 bytes: less than one a reading is none in the update itself. */
const BYTES_PER_READING = 8;

test('nothing is allocated per reading', async () => {
  const probe = fileURLToPath(new URL('../../test/support/allocation-probe.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--expose-gc',
    '--max-semi-space-size=128',
    '--min-semi-space-size=128',
    probe,
  ]);
  const bytes = JSON.parse(stdout) as Record<string, number>;
  expect(Object.keys(bytes).sort()).toEqual(algorithms.map(({ name }) => name).sort());
  expect(Object.entries(bytes).filter(([, perReading]) => perReading > BYTES_PER_READING)).toEqual([]);
}, 60_000);
