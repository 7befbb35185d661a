/**
 * Owns `npm run check`: the steps that need no service and end in under 30 s. They run at the same time; each prints
 * one line with its time, and its output only when it fails.
 */

import { existsSync } from 'node:fs';

import { inCheckout, root } from './checkout.mjs';
import { runQuietly } from './child-process.mjs';
import { environmentWithNode } from './node-runtime.mjs';

/** Name and the arguments for Node, in the order of their expected length, longest first. */
function staticSteps() {
  const tool = (...parts) => inCheckout('node_modules', ...parts);
  const steps = [
    ['Unused code (knip)', [tool('knip', 'bin', 'knip.js'), '--no-progress']],
    ['Lint (oxlint)', [tool('oxlint', 'bin', 'oxlint'), '--type-aware', '--deny-warnings']],
    ['Types', [tool('typescript', 'bin', 'tsc'), '-p', 'tsconfig.json']],
    ['Format (oxfmt)', [tool('oxfmt', 'bin', 'oxfmt'), '--check', '.']],
  ];
  const webConfig = inCheckout('src', 'web', 'tsconfig.json');
  if (existsSync(webConfig)) {
    steps.push(['Types of the web page', [tool('typescript', 'bin', 'tsc'), '-p', webConfig]]);
  }
  return steps;
}

/** Runs the static steps; resolves to how many passed and failed. */
export function runStaticChecks(node, progress) {
  return runSteps(node, staticSteps(), progress);
}

/** Runs the static steps and the tests that need no service; resolves to the exit code. */
export async function runCheck(node, progress) {
  const vitest = inCheckout('node_modules', 'vitest', 'vitest.mjs');
  const tests = ['Unit tests and house rules', [vitest, 'run', '--project', 'unit', '--reporter', 'dot']];
  const startedAt = performance.now();
  const { failed } = await runSteps(node, [tests, ...staticSteps()], progress);
  progress.finished(
    failed === 0 ? 'All checks passed' : `${failed} of the checks failed`,
    performance.now() - startedAt,
  );
  return failed === 0 ? 0 : 1;
}

async function runSteps(node, steps, progress) {
  const env = { ...environmentWithNode(node), NO_COLOR: '1' };
  const outcomes = await Promise.all(
    steps.map(async ([name, args]) => {
      const startedAt = performance.now();
      const result = await runQuietly(node, args, { cwd: root, env });
      const passed = result.exitCode === 0;
      progress.finished(passed ? name : `${name}: failed`, performance.now() - startedAt);
      if (!passed) process.stderr.write(`${result.output.trimEnd()}\n`);
      return passed;
    }),
  );
  const passed = outcomes.filter(Boolean).length;
  return { passed, failed: outcomes.length - passed };
}
