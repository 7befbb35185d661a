/** Owns the proof that the last line of `npm test` counts everything that failed. */

import { expect, test } from 'vitest';

import { countTests, summaryLine } from './test-run.mjs';

const file = (status, ...tests) => ({ status, assertionResults: tests.map((one) => ({ status: one })) });

test('tests are counted over all files', () => {
  const report = {
    testResults: [file('passed', 'passed', 'passed'), file('failed', 'failed', 'passed', 'skipped')],
  };
  expect(countTests(report, 1)).toEqual({ passed: 3, failed: 1, skipped: 1 });
});

test('a file that cannot be loaded is a failure', () => {
  expect(countTests({ testResults: [file('failed')] }, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('a failed hook is a failure though its tests were only skipped', () => {
  expect(countTests({ testResults: [file('failed', 'skipped', 'skipped')] }, 1)).toMatchObject({
    failed: 1,
    skipped: 2,
  });
});

test('an error outside any test, or no report at all, is a failure', () => {
  expect(countTests({ testResults: [file('passed', 'passed')] }, 1)).toMatchObject({ passed: 1, failed: 1 });
  expect(countTests(undefined, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('the line says what was skipped only when something was', () => {
  expect(summaryLine({ passed: 12, failed: 0 })).toBe('12 passed, 0 failed');
  expect(summaryLine({ passed: 12, failed: 1, skipped: 2 })).toBe('12 passed, 1 failed, 2 skipped');
});
