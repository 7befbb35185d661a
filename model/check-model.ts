/**
 * Owns the command `npm run check-model`: checks the model and prints a table. `--large` adds larger bounds, `--trace
 * BUG` prints how a deliberate bug goes wrong. Exit code 1 when anything is not as it should be.
 */

import { parseArgs } from 'node:util';

import { bugs, isAsExpected, largeProofs, quickProofs, runModel, type Run } from './model-runs.ts';
import type { Bound } from './spin.ts';

/** Half a minute on two free cores. A checker takes 0.5 GB, of the large ones 2 GB; one that needs more fails. */
const AT_ONCE = 2;
const MEMORY_MB = { quick: 4_000, large: 16_000 } as const;

const columns = [24, 38, 11, 7, 9] as const;

function line(cells: readonly string[], last: string): void {
  const text = cells.map((cell, i) => (i < 2 ? cell.padEnd(columns[i]!) : cell.padStart(columns[i] ?? 0)));
  process.stdout.write(`${text.join(' ')}  ${last}\n`);
}

function boundText({ readings, faults, hasRoom }: Bound): string {
  const many = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
  return `${many(readings, 'reading')}, ${many(faults, 'fault')}${hasRoom === true ? ', device has room' : ''}`;
}

function print(run: Run): void {
  const { verdict, bound, property } = run;
  const result =
    run.kind === 'proof'
      ? verdict.holds
        ? 'holds'
        : 'FAILS'
      : `${verdict.holds ? 'NOT FOUND' : `found in ${verdict.counterexample.length} steps`}: ${run.bug.is}`;
  line(
    [
      property,
      run.kind === 'proof' ? boundText(bound) : `bug ${run.bug.name}`,
      verdict.states.toLocaleString('en'),
      String(verdict.depth),
      `${verdict.seconds.toFixed(1)} s`,
    ],
    result,
  );
  if (run.kind === 'proof') for (const step of verdict.counterexample) process.stdout.write(`    ${step}\n`);
}

const { values } = parseArgs({
  options: { large: { type: 'boolean', default: false }, trace: { type: 'string' } },
});

if (values.trace === undefined) {
  line(['property', 'bound', 'states', 'depth', 'time'], 'result');
  const proofs = values.large ? [...quickProofs, ...largeProofs] : quickProofs;
  // The large ones one after the other: each has the memory to itself.
  const limits = {
    atOnce: values.large ? 1 : AT_ONCE,
    memoryMb: values.large ? MEMORY_MB.large : MEMORY_MB.quick,
  };
  let wrong = 0;
  await runModel({ proofs, bugs }, limits, (run) => {
    print(run);
    if (!isAsExpected(run)) wrong++;
  });
  process.stdout.write(wrong === 0 ? 'Everything is as it should be.\n' : `${wrong} not as it should be.\n`);
  process.exitCode = wrong === 0 ? 0 : 1;
} else {
  const chosen = bugs.filter((bug) => bug.name === values.trace);
  if (chosen.length === 0) {
    process.stderr.write(`Which bug? One of: ${bugs.map((bug) => bug.name).join(', ')}\n`);
    process.exitCode = 2;
  }
  await runModel({ proofs: [], bugs: chosen }, { atOnce: 1, memoryMb: MEMORY_MB.quick }, (run) => {
    print(run);
    for (const step of run.verdict.counterexample) process.stdout.write(`    ${step}\n`);
  });
}
