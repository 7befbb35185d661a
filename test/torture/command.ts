/**
 * Owns `npm run torture`: options in, progress on standard error, the time line and the verdict on standard output,
 * torture.svg and torture.json in the folder asked for, and the exit code. `npm run torture -- channels` is another
 * torture, of channels (channels/command.ts).
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { randomInt } from 'node:crypto';

import { messageOf } from '#base/errors.ts';
import { readOptions } from '#bench/support/command-options.ts';
import { tortureChannels } from '#test/torture/channels/command.ts';
import { tortureOptions, usage } from '#test/torture/run-options.ts';
import { runTorture } from '#test/torture/torture-run.ts';
import { figuresOf, reportOf } from '#test/torture/run-report.ts';
import { drawRun } from '#test/torture/run-picture.ts';

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

async function main(): Promise<number> {
  const options = readOptions(tortureOptions, usage);
  if (options.devices <= options.servers) {
    process.stderr.write(
      '--devices must exceed --servers: each server has one device that no fault aims at\n',
    );
    return 2;
  }
  const seed = options.seed >= 0 ? options.seed : randomInt(2 ** 31);
  const out = resolve(options.out);
  mkdirSync(out, { recursive: true });
  const startedMs = performance.now();
  const say = (text: string): void => {
    const atS = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(7);
    process.stderr.write(`${atS} s  ${text}\n`);
  };
  say(`seed ${seed}`);
  const interrupted = new AbortController();
  let exitCode = 0;
  for (const [name, code] of Object.entries(exitCodes))
    process.once(name, () => {
      exitCode = code;
      process.stderr.write(`${name}: ending what was started\n`);
      interrupted.abort();
    });
  try {
    const { minutes, devices, streams, servers } = options;
    const settings = { minutes, seed, devices, streams, servers, heartbeatMs: options['heartbeat-ms'] };
    const outcome = await runTorture(
      { ...settings, faults: options.faults, logDirectory: out, say },
      interrupted.signal,
    );
    const figures = figuresOf(outcome, settings);
    writeFileSync(join(out, 'torture.json'), `${JSON.stringify(figures, null, 2)}\n`);
    writeFileSync(join(out, 'torture.svg'), drawRun(outcome, figures));
    process.stdout.write(reportOf(outcome, figures));
    process.stdout.write(`\n${join(out, 'torture.svg')}\n${join(out, 'torture.json')}\n`);
    return outcome.isGood ? 0 : 1;
  } catch (error) {
    if (exitCode !== 0) return exitCode;
    throw error;
  }
}

// What an interrupted run was about to do is not waited for.
const run = process.argv[2] === 'channels' ? tortureChannels(process.argv.slice(3)) : main();
run.then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    process.stderr.write(`\ntorture: ${messageOf(error)}\n`);
    process.exit(1);
  },
);
