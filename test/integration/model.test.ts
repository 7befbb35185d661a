/**
 * Owns the proof that the model of acknowledgement (model/README.md) holds within its bounds, that all of it takes part
 * in the search, and that each deliberate bug in it is found. Half a minute on two free cores.
 */

import { expect, test } from 'vitest';

import { bugs, isAsExpected, quickProofs, runModel, type Run } from '../../model/model-runs.ts';
import { readReport } from '../../model/spin.ts';

const MEMORY_MB = 4_000;
/** On a machine that is busy with other things. */
const TIMEOUT_MS = 600_000;

test(
  'the model holds, every statement of it is reached, and every deliberate bug is found',
  async () => {
    const runs: Run[] = [];
    await runModel({ proofs: quickProofs, bugs }, { atOnce: 2, memoryMb: MEMORY_MB }, (run) => {
      runs.push(run);
    });
    const named = (run: Run): string =>
      [
        run.kind === 'bug' ? run.bug.name : JSON.stringify(run.bound),
        run.property,
        ...run.verdict.counterexample,
      ].join('\n  ');
    expect(runs.filter((run) => !isAsExpected(run)).map(named)).toEqual([]);
    const whole = runs.find(
      (run) => run.kind === 'proof' && run.bound.readings === 2 && run.bound.faults === 2,
    );
    expect(whole?.verdict.unreached).toEqual([]);
    expect(runs).toHaveLength(quickProofs.flatMap(({ properties }) => properties).length + bugs.length);
    const refuted = new Set(runs.filter(({ kind }) => kind === 'bug').map(({ property }) => property));
    expect([...refuted].toSorted()).toEqual([
      'acknowledgedIsStored',
      'everyReadingSettles',
      'nothingIsLost',
      'storedOnce',
    ]);
  },
  TIMEOUT_MS,
);

test('a search that hit a bound is an error, not a proof', () => {
  const complete = [
    'State-vector 108 byte, depth reached 216, errors: 0',
    '  3014583 states, stored',
    'pan: elapsed time 6.6 seconds',
  ];
  expect(readReport(complete.join('\n'))).toMatchObject({ holds: true, states: 3_014_583, depth: 216 });
  expect(() => readReport(['error: max search depth too small', ...complete].join('\n'))).toThrow(
    'cut short',
  );
  expect(() => readReport(['pan: reached -DMEMLIM bound', 'memory limit', ...complete].join('\n'))).toThrow(
    'cut short',
  );
  expect(() => readReport(['Warning: Search not completed', ...complete].join('\n'))).toThrow('cut short');
  expect(() => readReport('pan: out of memory')).toThrow('did not finish');
  const unreached = [
    'unreached in proctype device',
    '\tacknowledgement.pml:196, state 96, "declared = 0"',
    '\tacknowledgement.pml:291, state 116, "-end-"',
  ];
  expect(readReport([...complete, ...unreached].join('\n')).unreached).toEqual(['line 196: declared = 0']);
});
