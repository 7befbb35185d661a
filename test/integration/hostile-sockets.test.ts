/** A real server under hostile clients while an honest device streams: nothing is held, lost, late or without a code. */

import { expect, test } from 'vitest';

import { runSiege } from '#test/fuzz/sockets/siege-run.ts';

/** A reading waits for a flush and its commit; what is more is the siege's, on a machine that runs all three. */
const LONGEST_WAIT_MS = 10_000;
/** What the allocator and the database's pools may keep. */
const RSS_MARGIN_MIB = 64;
const HEAP_MARGIN_MIB = 12;
const DESCRIPTORS_MARGIN = 24;

test('hostile sockets are refused with a code, leave nothing behind, and keep nobody waiting', async () => {
  const lines: string[] = [];
  const siege = await runSiege({ seed: 4, inputs: 1_000, halfOpen: 500, tell: (line) => lines.push(line) });
  const { report, before, after } = siege;
  expect([...report.problems]).toEqual([]);
  // It did reach what it is about.
  for (const answer of ['close 1002', 'close 4002', 'status 429', 'status 404', 'error invalid-field'])
    expect(report.answers.get(answer) ?? 0, answer).toBeGreaterThan(0);
  expect(siege.halfOpen).toBe(500);
  expect(siege.countedErrors).toBeGreaterThanOrEqual(report.errors);
  expect(siege).toMatchObject({ reconnects: 0, isDrained: true, exitCode: 0 });
  expect(Math.max(...siege.waitsMs.values()), lines.join('\n')).toBeLessThan(LONGEST_WAIT_MS);
  expect(after.connections).toBe(1);
  expect(after.creditBytes).toBeLessThanOrEqual(before.creditBytes);
  expect(after.heapMib - before.heapMib).toBeLessThan(HEAP_MARGIN_MIB);
  expect(after.rssMib - before.rssMib).toBeLessThan(RSS_MARGIN_MIB);
  expect(after.descriptors - before.descriptors).toBeLessThan(DESCRIPTORS_MARGIN);
});
