/**
 * Owns `npm test` after set-up: the static checks, then every vitest project, then one last line with the counts.
 * A file that cannot be loaded, a failed hook and an error outside any test count as failures, so the last line can
 * never say less than the exit code.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { runStaticChecks } from './check-steps.mjs';
import { inCheckout, readJson, root } from './checkout.mjs';
import { runInForeground } from './child-process.mjs';
import { environmentWithNode } from './node-runtime.mjs';

/** Runs the tests that `filters` (vitest's arguments) select, all when empty. Resolves to `{exitCode, summary}`. */
export async function runTests(node, filters, progress) {
  const checks = filters.length === 0 ? await runStaticChecks(node, progress) : { passed: 0, failed: 0 };
  const tests = await runVitest(node, filters);
  const passed = checks.passed + tests.passed;
  const failed = checks.failed + tests.failed;
  return { exitCode: failed === 0 ? 0 : 1, summary: summaryLine({ passed, failed, skipped: tests.skipped }) };
}

export function summaryLine({ passed, failed, skipped = 0 }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

async function runVitest(node, filters) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'kymo-test-report-'));
  const report = path.join(directory, 'report.json');
  const vitest = inCheckout('node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  try {
    const exitCode = await runInForeground(node, [vitest, 'run', ...reporters, ...filters], {
      cwd: root,
      // Hundreds of servers and commands are started; what one has compiled, the next need not: half of their work.
      env: { ...environmentWithNode(node), NODE_COMPILE_CACHE: path.join(directory, 'compiled') },
    });
    return countTests(readJson(report), exitCode);
  } finally {
    // A process that ends late may still write what it compiled.
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Counts from vitest's JSON report; an exit code that no counted failure explains is a failure of its own. */
export function countTests(report, exitCode) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report?.testResults ?? []) {
    let failedHere = 0;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') counts.passed++;
      else if (test.status === 'failed') failedHere++;
      else counts.skipped++;
    }
    if (file.status === 'failed' && failedHere === 0) failedHere = 1;
    counts.failed += failedHere;
  }
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}
