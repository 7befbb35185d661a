/**
 * Owns `npm run simulate-faults`: histories of many seeds on several threads, what they reached, and of the first that
 * fails the smallest that fails in the same way, with its trace.
 */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

import { parseOptions, type OptionTable, type OptionValues } from '#bench/support/command-options.ts';
import { formatFigure } from '#bench/support/report.ts';
import { runChannelCampaign } from '#test/simulation/channels/channel-campaign.ts';
import { addSum, emptySum, type CampaignSum, type SeedRange } from '#test/simulation/campaign.ts';
import { coverageReport } from '#test/simulation/coverage.ts';
import { runHistory, type History } from '#test/simulation/run-history.ts';
import { runMutations } from '#test/simulation/mutations/mutation-command.ts';
import { profiles, scenarioOf, type ProfileName, type Scenario } from '#test/simulation/scenario.ts';
import { shrink } from '#test/simulation/shrink.ts';

const names = Object.keys(profiles) as ProfileName[];

const usage = `Usage: npm run simulate-faults -- [options]

Runs whole histories of devices, servers, a network and a database in simulated time, lets things go wrong in them, and
judges whether any reading was lost, doubled or changed, and whether all came to rest again. The same seed gives the same
history.

Profiles:
${names.map((name) => `  ${name.padEnd(16)}${profiles[name].doc}\n`).join('')}  ${'channels'.padEnd(16)}instances, a place they share, subscribers and publishers, in a world of their own\n`;

const options = {
  seeds: { kind: 'integer', default: 1000, quick: 200, min: 1, max: 1e12, doc: 'histories' },
  from: { kind: 'integer', default: 1, min: 0, max: 1e15, doc: 'the first seed' },
  profile: { kind: 'text', default: 'short', doc: 'what the histories are like' },
  seed: { kind: 'text', default: '', doc: 'this one alone' },
  trace: { kind: 'flag', doc: 'with --seed: everything that happens' },
  mutations: { kind: 'flag', doc: 'instead: whether deliberate bugs in the program are found' },
  minutes: {
    kind: 'number',
    default: 0,
    min: 0,
    max: 1e5,
    doc: 'as many seeds as this takes, whatever --seeds says; 0 for --seeds',
  },
  workers: { kind: 'integer', default: availableParallelism(), min: 1, max: 256, doc: 'threads' },
} as const satisfies OptionTable;

type Values = OptionValues<typeof options>;

/** Seeds that a thread takes at once: about a second of short ones. */
const BATCH = { short: 100, other: 10 } as const;
/** Notes of a history that a person asked to see whole. */
const WHOLE_TRACE = 1_000_000;

async function main(): Promise<number> {
  const parsed = parseOptions(options, process.argv.slice(2), usage);
  if (parsed.outcome === 'help') {
    process.stdout.write(parsed.text);
    return 0;
  }
  if (parsed.outcome === 'error') return mistake(parsed.message);
  const { values } = parsed;
  if (values.mutations) return runMutations();
  if (values.profile === 'channels') {
    const { from, seeds, seed, minutes } = values;
    return runChannelCampaign(
      seed === '' ? { from, seeds, minutes } : { from: Number(seed), seeds: 1, minutes: 0 },
    );
  }
  const profile = names.find((name) => name === values.profile);
  if (profile === undefined)
    return mistake(`There is no profile '${values.profile}'. Known are ${names.join(', ')}.`);
  if (values.seed === '') return campaign(values, profile);
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed)) return mistake(`--seed is a whole number, not '${values.seed}'`);
  return replay(seed, profile, values.trace);
}

function mistake(message: string): number {
  process.stderr.write(`${message}\nNext: npm run simulate-faults -- --help\n`);
  return 2;
}

async function replay(seed: number, profile: ProfileName, isTraced: boolean): Promise<number> {
  const history = await runHistory(scenarioOf(seed, profile), isTraced ? { maxNotes: WHOLE_TRACE } : {});
  if (isTraced) process.stdout.write(`${history.trace.join('\n')}\n`);
  say(
    `seed ${seed}, profile ${profile}: ${seconds(history.simulatedMs)} simulated, trace ${history.traceHash}`,
  );
  if (history.violation === null) {
    say('nothing was wrong');
    return 0;
  }
  await explain(history);
  return 1;
}

async function campaign(values: Values, profile: ProfileName): Promise<number> {
  const startedMs = performance.now();
  const sum = emptySum();
  const bar = createBar(values, startedMs);
  const batch = profile === 'short' ? BATCH.short : BATCH.other;
  const endMs = values.minutes > 0 ? startedMs + values.minutes * 60_000 : Number.POSITIVE_INFINITY;
  const toSeed = values.minutes > 0 ? Number.POSITIVE_INFINITY : values.from + values.seeds;
  let next = values.from;
  /** Null when there is nothing left to do. */
  const take = (): SeedRange | null => {
    if (next >= toSeed || performance.now() >= endMs || sum.failures.length > 0) return null;
    const range = { profile, from: next, count: Math.min(batch, toSeed - next) };
    next += range.count;
    return range;
  };
  const threads = Array.from({ length: values.workers }, () =>
    thread(take, (part) => {
      addSum(sum, part);
      bar.show(sum);
    }),
  );
  await Promise.all(threads);
  bar.end();
  report(sum, performance.now() - startedMs, values, profile);
  const [first] = sum.failures;
  if (first === undefined) return 0;
  const more =
    sum.failures.length > 1 ? ` (and ${sum.failures.length - 1} more of those that had begun)` : '';
  say(
    `\nseed ${first.seed} fails${more}: npm run simulate-faults -- --profile ${profile} --seed ${first.seed} --trace`,
  );
  await explain(await runHistory(scenarioOf(first.seed, profile)));
  return 1;
}

/** One worker, as long as there are seeds. */
function thread(take: () => SeedRange | null, done: (sum: CampaignSum) => void): Promise<void> {
  const worker = new Worker(new URL('campaign-worker.ts', import.meta.url));
  return new Promise((resolve, reject) => {
    const go = (): void => {
      const range = take();
      if (range !== null) worker.postMessage(range, []);
      else void worker.terminate().then(() => resolve());
    };
    worker.on('message', (sum: CampaignSum) => {
      done(sum);
      go();
    });
    worker.on('error', reject);
    go();
  });
}

interface Bar {
  show(sum: CampaignSum): void;
  end(): void;
}

const CELLS = 30;

function createBar(values: Values, startedMs: number): Bar {
  const { stderr } = process;
  return {
    show({ histories, failures }) {
      if (!stderr.isTTY) return;
      const elapsedMs = performance.now() - startedMs;
      const share = values.minutes > 0 ? elapsedMs / (values.minutes * 60_000) : histories / values.seeds;
      const filled = Math.min(CELLS, Math.round(share * CELLS));
      const rate = formatFigure(histories / (elapsedMs / 1000));
      const failed = failures.length > 0 ? `, ${failures.length} failed` : '';
      stderr.write(
        `\r\u001b[2K  ${'━'.repeat(filled)}${'┄'.repeat(CELLS - filled)}  ${histories.toLocaleString('en-US')} histories, ${rate}/s${failed}`,
      );
    },
    end: () => void (stderr.isTTY && stderr.write('\r\u001b[2K')),
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function report(sum: CampaignSum, elapsedMs: number, values: Values, profile: ProfileName): void {
  const { histories, simulatedMs, events, readings, busyMs, coverage, failures } = sum;
  const rate = histories / (elapsedMs / 1000);
  const perThread = busyMs === 0 ? 0 : histories / (busyMs / 1000);
  say(
    `profile ${profile}, seeds ${values.from} to ${values.from + histories - 1}, ${seconds(elapsedMs)} on ${values.workers} threads`,
  );
  say(
    `  ${formatFigure(histories)} histories, ${formatFigure(rate)} a second, ${formatFigure(perThread)} a second on one thread`,
  );
  say(
    `  ${formatFigure(simulatedMs / 3_600_000)} simulated hours, ${formatFigure(events)} events, ${formatFigure(readings)} readings`,
  );
  for (const { group, reached, unreached } of coverageReport(coverage)) {
    say(`\n${group}`);
    say(wrapped(reached.map(([name, times]) => `${name} ${times.toLocaleString('en-US')}`)));
    if (unreached.length > 0) say(`  never:\n${wrapped(unreached)}`);
  }
  say(`\n${failures.length === 0 ? 'No history failed.' : `${failures.length} histories failed.`}`);
}

/** In lines of about a hundred characters. */
function wrapped(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length > 100) lines.push(`  ${word}`);
    else lines[lines.length - 1] = `${last}, ${word}`;
  }
  return lines.join('\n');
}

/** Makes the history small, and shows it. */
async function explain(history: History): Promise<void> {
  const { violation } = history;
  if (violation === null) return say('It did not fail again: the simulation is not deterministic.');
  say(`${violation.check}: ${violation.message}`);
  const isTerminal = process.stderr.isTTY;
  let runs = 0;
  const { scenario } = await shrink(history.scenario, async (candidate) => {
    if (isTerminal) process.stderr.write(`\r\u001b[2K  making it smaller, ${++runs} histories`);
    return (await runHistory(candidate)).violation?.check === violation.check;
  });
  if (isTerminal) process.stderr.write('\r\u001b[2K');
  const least = await runHistory(scenario);
  say('\nThe smallest history that fails so:');
  say(scenarioText(scenario));
  say(`\n${least.trace.join('\n')}`);
  say(`\n${least.violation?.check}: ${least.violation?.message}`);
}

/** As it is written into regressions.ts. */
function scenarioText(scenario: Scenario): string {
  return JSON.stringify(scenario, null, 1)
    .replaceAll(/\n\s+(?=[^\n]*[\]}])/g, ' ')
    .replaceAll(/([[{,])\n\s+(?!")/g, '$1 ');
}

process.exitCode = await main();
