/**
 * Owns `npm run fuzz`: hostile input for every target from one seed, with figures at the end, and the replay of a seed or
 * of a kept case. A case that breaks a promise is shrunk, printed, and written to a file; the exit code is then 1.
 */

import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { messageOf } from '#base/errors.ts';
import { problemOf, runCampaign, type CampaignReport, type Failure } from '#test/fuzz/campaign.ts';
import { keptCases } from '#test/fuzz/corpus.ts';
import { runSiege } from '#test/fuzz/sockets/siege-run.ts';
import { caseToJson, readCase } from '#test/fuzz/step.ts';
import { targetNamed, targets } from '#test/fuzz/targets.ts';
import type { Target } from '#test/fuzz/target.ts';

const PROGRESS_MS = 5_000;

const usage = `npm run fuzz -- [options]

Gives hostile input to the parts of Kymo that read what others send, and checks what must always hold.

  --inputs N     how many inputs, shared by the targets (default 300000); an input is one message, frame,
                 answer or moment, and a case is a sequence of them
  --target T     only this one:
${targets.map(({ name, about }) => `                   ${name.padEnd(10)} ${about}`).join('\n')}
                   sockets    clients of every bad kind against a real server process, while an honest device
                              streams; needs what npm test needs, and runs only when it is named
  --half-open N  sockets: connections that stay half open (default 1000; the limit of open files is the
                 most, for server and client each)
  --seed S       begin with this seed; the same seed does the same again (default: a fresh one)
  --input FILE   run the case of this file alone (test/fuzz/corpus has those that once failed)
  --situations   list which situations were reached how often
  --help
`;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      inputs: { type: 'string', default: '300000' },
      target: { type: 'string' },
      seed: { type: 'string' },
      input: { type: 'string' },
      'half-open': { type: 'string', default: '1000' },
      situations: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.input !== undefined) return replay(values.input);
  const inputs = countOf('--inputs', values.inputs);
  const seed = values.seed === undefined ? randomInt(2 ** 31) : countOf('--seed', values.seed);
  if (values.target === 'sockets')
    return siege({ seed, inputs, halfOpen: countOf('--half-open', values['half-open']) });
  const chosen = values.target === undefined ? targets : [named(values.target)];
  console.log(`seed ${seed}: ${inputs} inputs for ${chosen.map(({ name }) => name).join(', ')}`);
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  let failures = 0;
  for (const target of chosen) {
    const report = await run(target, Math.ceil((inputs * target.share) / shares), seed);
    if (values.situations) console.log(table(report.situations));
    if (report.failure !== null) {
      failures++;
      tellFailure(report, report.failure);
    }
  }
  return failures === 0 ? 0 : 1;
}

async function run(target: Target, inputs: number, seed: number): Promise<CampaignReport> {
  const kept = [...keptCases().values()].filter((one) => one.target === target.name);
  const heapBefore = heapMib();
  const startedMs = performance.now();
  const cpuBefore = process.cpuUsage();
  let toldMs = startedMs;
  const report = await runCampaign({
    target,
    inputs,
    seed,
    kept: kept.map(({ steps }) => steps),
    isOver(soFar) {
      if (performance.now() - toldMs > PROGRESS_MS) {
        toldMs = performance.now();
        const share = Math.round((100 * soFar.inputs) / inputs);
        console.log(
          `  ${target.name}: ${share} %, ${soFar.situations.size} situations, ${soFar.kept} cases kept`,
        );
      }
      return false;
    },
  });
  const seconds = (performance.now() - startedMs) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  const cpuSeconds = (cpu.user + cpu.system) / 1e6;
  const refused = [...report.refusals.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `${target.name}: ${report.inputs} inputs in ${report.cases} cases, ${Math.round(report.inputs / seconds)} inputs/s, ` +
      `${Math.round(report.inputs / cpuSeconds)} a second of processor time; ` +
      `${report.situations.size} situations, ${report.kept} cases kept; ${refused} refusals; ` +
      `slowest case ${report.slowestMs.toFixed(0)} ms; heap ${heapBefore} to ${heapMib()} MiB`,
  );
  if (report.refusals.size > 0) console.log(table(report.refusals));
  return report;
}

async function siege(options: { seed: number; inputs: number; halfOpen: number }): Promise<number> {
  console.log(`seed ${options.seed}: ${options.inputs} inputs for a real server`);
  const outcome = await runSiege({ ...options, tell: (line) => console.log(`  ${line}`) });
  const { report, before, after } = outcome;
  console.log(
    `sockets: ${report.inputs} inputs over ${report.connections} connections, ${outcome.halfOpen} half open at once; ` +
      `server heap ${before.heapMib} to ${after.heapMib} MiB, resident ${before.rssMib} to ${after.rssMib} MiB, ` +
      `descriptors ${before.descriptors} to ${after.descriptors}; errors heard ${report.errors}, counted ` +
      `${outcome.countedErrors}; honest device: ${outcome.reconnects} reconnects, all acknowledged: ${outcome.isDrained}`,
  );
  console.log(table(report.answers));
  for (const problem of report.problems) console.log(`FAILED ${problem}`);
  const isFine = report.problems.size === 0 && outcome.isDrained && outcome.exitCode === 0;
  return isFine ? 0 : 1;
}

/** What is live after a full collection. */
function heapMib(): string {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return (process.memoryUsage().heapUsed / 2 ** 20).toFixed(1);
}

function table(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `  ${String(count).padStart(10)}  ${name}`)
    .join('\n');
}

function tellFailure({ target, seed }: CampaignReport, { message, shrunk }: Failure): void {
  const text = caseToJson({ target, why: message, steps: shrunk });
  const file = join(tmpdir(), `kymo-fuzz-${target}-${seed}.json`);
  writeFileSync(file, text);
  console.log(`FAILED ${target}, seed ${seed}: ${message}\n${text}Replay: npm run fuzz -- --input ${file}`);
}

async function replay(file: string): Promise<number> {
  const { target, steps } = readCase(file);
  const problem = await problemOf(named(target), steps);
  console.log(
    problem === null ? `${target}: ${steps.length} inputs, every promise held` : `FAILED ${problem}`,
  );
  return problem === null ? 0 : 1;
}

function named(name: string): Target {
  const target = targetNamed(name);
  if (target === undefined)
    throw new Error(`there is no target ${name}; known are ${targets.map((one) => one.name).join(', ')}`);
  return target;
}

function countOf(option: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 0) throw new Error(`${option} is a number, not ${text}`);
  return count;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 2;
}
