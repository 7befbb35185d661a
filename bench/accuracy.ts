/**
 * Owns `npm run bench -- accuracy`: every set of recordings with references that a folder has, measured by our algorithms,
 * printed with the published figure beside ours, and written to docs/accuracy.md.
 */

import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { messageOf } from '#base/errors.ts';
import { accuracyDocument, figure, inOrder, type MeasuredSet } from '#bench/accuracy/accuracy-report.ts';
import type { AccuracySet } from '#bench/accuracy/accuracy-set.ts';
import { accuracySets } from '#bench/accuracy/sets.ts';
import { readOptions, type OptionTable } from '#bench/support/command-options.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { createProgress, formatTable, printResult, type Progress } from '#bench/support/report.ts';

const usage = `Usage: npm run bench -- accuracy [options]

Joint angles, gait and orientation against recorded references. Sets are the folders of DIR; those that are
absent are named. The result is also written to docs/accuracy.md.`;

const options = {
  data: { kind: 'text', default: '', doc: 'folder of sets, as data/ of the repository' },
  sets: { kind: 'text', default: '', doc: 'only these sets, with commas between' },
  'keep-document': { kind: 'flag', doc: 'leave docs/accuracy.md as it is' },
} as const satisfies OptionTable;

const checkout = fileURLToPath(new URL('..', import.meta.url));

async function measure(set: AccuracySet, folder: string, progress: Progress): Promise<MeasuredSet> {
  const { name, method } = set;
  if (!existsSync(join(folder, 'manifest.json')))
    return { set: name, method, rows: null, isAbsent: true, problem: null };
  try {
    const rows = await set.measure(folder, (share) =>
      progress.say(`${name}: ${Math.round(share * 100)} % of the trials`),
    );
    return { set: name, method, rows, isAbsent: false, problem: null };
  } catch (error) {
    return { set: name, method, rows: null, isAbsent: false, problem: messageOf(error) };
  }
}

async function main(): Promise<void> {
  const given = readOptions(options, usage);
  const folder = given.data === '' ? join(checkout, 'data') : resolve(given.data);
  const wanted = given.sets === '' ? null : given.sets.split(',');
  const unknown = wanted?.find((name) => !accuracySets.some((set) => set.name === name));
  if (unknown !== undefined || !existsSync(folder)) {
    const known = accuracySets.map(({ name }) => name).join(', ');
    process.stderr.write(
      unknown === undefined
        ? `There is no folder ${folder}. Give --data a folder of sets.\n`
        : `There is no set ${unknown}. Known are ${known}.\n`,
    );
    process.exitCode = 2;
    return;
  }
  const machine = describeMachine();
  const progress = createProgress();
  const measured: MeasuredSet[] = [];
  for (const set of accuracySets) {
    if (wanted !== null && !wanted.includes(set.name)) continue;
    progress.say(set.name);
    measured.push(await measure(set, join(folder, set.name), progress));
  }
  progress.end();
  for (const { set, rows, isAbsent, problem } of measured) {
    if (rows === null) {
      process.stdout.write(`${set}: ${isAbsent ? 'absent' : `not measured, ${problem}`}\n\n`);
      continue;
    }
    process.stdout.write(
      `${formatTable(
        [set, 'metric', 'unit', 'ours', 'published', 'by'],
        inOrder(rows).map((row) => [
          row.trials,
          row.metric,
          row.unit,
          figure(row.ours),
          figure(row.published),
          row.publishedBy ?? '',
        ]),
      )}\n`,
    );
  }
  if (!given['keep-document'] && wanted === null) {
    const command = `npm run bench -- accuracy${given.data === '' ? '' : ' --data DIR'}`;
    const date = new Date().toISOString().slice(0, 10);
    await writeFile(
      join(checkout, 'docs', 'accuracy.md'),
      accuracyDocument(measured, { command, date, machine }),
    );
  }
  // A set that is there and cannot be measured is a fault; one that is absent is not.
  if (measured.some(({ problem }) => problem !== null)) process.exitCode = 1;
  printResult({
    bench: 'accuracy',
    machine,
    sets: measured.flatMap(({ set, rows }) => (rows ?? []).map((row) => ({ set, ...row }))),
    absent: measured.filter(({ isAbsent }) => isAbsent).map(({ set }) => set),
    failed: measured.flatMap(({ set, problem }) => (problem === null ? [] : [{ set, problem }])),
  });
}

await main();
