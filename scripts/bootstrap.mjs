/**
 * Owns the way from a fresh clone to a running command, on any Node from 20 and with no package installed:
 * Node 24, packages, web page, then the command itself on Node 24. What is fresh is skipped without a word and
 * without the network. Usage: bootstrap.mjs start | kymo ARGS | test ARGS | check | bench NAME ARGS | fuzz ARGS | torture ARGS
 * | check-model ARGS | simulate-faults ARGS.
 */

import { existsSync, readdirSync } from 'node:fs';

import { inCheckout } from './checkout.mjs';
import { runCheck } from './check-steps.mjs';
import { Interrupted, runInForeground } from './child-process.mjs';
import { ensureNode, environmentWithNode } from './node-runtime.mjs';
import { ensurePackages } from './packages.mjs';
import { createProgress, reportFailure, SetupError } from './progress.mjs';
import { ensureSystemTools } from './system-tools.mjs';
import { runTests, summaryLine } from './test-run.mjs';
import { ensureWebPage } from './web-page.mjs';

const commands = {
  start: (args) => runKymo(['demo', ...args], createProgress(process.stdout)),
  kymo: (args) => runKymo(args, createProgress(process.stderr)),
  test: runTestCommand,
  check: async () => {
    const progress = createProgress(process.stdout);
    const node = await ensureNode(progress);
    await ensurePackages('all', progress);
    return runCheck(node, progress);
  },
  bench: runBench,
  fuzz: (args) => runTestProgram(['test', 'fuzz', 'command.ts'], args),
  torture: (args) => runTestProgram(['test', 'torture', 'command.ts'], args),
  'simulate-faults': (args) => runTestProgram(['test', 'simulation', 'command.ts'], args),
  'check-model': runCheckModel,
};

async function runKymo(args, progress) {
  const node = await ensureNode(progress);
  await ensurePackages('production', progress);
  await ensureWebPage(node, progress);
  return runOnNode(node, [inCheckout('src', 'app', 'main.ts'), ...args]);
}

/** The last line is always the count, also when set-up failed: that is one failure. */
async function runTestCommand(args) {
  const progress = createProgress(process.stdout);
  let result;
  try {
    const node = await ensureNode(progress);
    await ensurePackages('all', progress);
    await ensureSystemTools('test', progress);
    await ensureWebPage(node, progress);
    result = await runTests(node, args, progress);
  } catch (error) {
    reportFailure(error);
    result = { exitCode: error.exitCode ?? 1, summary: summaryLine({ passed: 0, failed: 1 }) };
  }
  process.stdout.write(`${result.summary}\n`);
  return result.exitCode;
}

async function runBench([name, ...args]) {
  const names = (existsSync(inCheckout('bench')) ? readdirSync(inCheckout('bench')) : [])
    .filter((file) => /^[a-z][a-z-]*\.ts$/.test(file))
    .map((file) => file.slice(0, -'.ts'.length));
  if (name === undefined || !names.includes(name)) {
    throw new SetupError(name === undefined ? 'Which benchmark?' : `There is no benchmark called ${name}.`, {
      next: `npm run bench -- NAME, with NAME one of: ${names.join(', ') || '(none here yet)'}`,
      exitCode: 2,
    });
  }
  const progress = createProgress(process.stderr);
  const node = await ensureNode(progress);
  await ensurePackages('all', progress);
  await ensureWebPage(node, progress);
  return runOnNode(node, [inCheckout('bench', `${name}.ts`), ...args]);
}

/** A program under test/ that people start themselves. */
async function runTestProgram(path, args) {
  const progress = createProgress(process.stderr);
  const node = await ensureNode(progress);
  await ensurePackages('all', progress);
  return runOnNode(node, [inCheckout(...path), ...args]);
}

/** Needs no packages, but Spin. */
async function runCheckModel(args) {
  const progress = createProgress(process.stderr);
  const node = await ensureNode(progress);
  await ensureSystemTools('check-model', progress);
  return runOnNode(node, [inCheckout('model', 'check-model.ts'), ...args]);
}

function runOnNode(node, args) {
  return runInForeground(node, args, { env: environmentWithNode(node) });
}

async function main([name, ...args]) {
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (command === undefined) {
    throw new SetupError(name === undefined ? 'Which command?' : `There is no command called ${name}.`, {
      next: `npm start, npm test, npm run check, npm run kymo -- --help, npm run bench -- NAME, npm run check-model`,
      exitCode: 2,
    });
  }
  return command(args);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Interrupted)) reportFailure(error);
  process.exitCode = error?.exitCode ?? 1;
}
