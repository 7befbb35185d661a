import { expect, test } from 'vitest';

import { parseOptions, type OptionTable } from '#bench/support/command-options.ts';

const table = {
  rate: { kind: 'number', default: 200, quick: 50, min: 1, max: 1000, doc: 'readings a second' },
  sessions: { kind: 'integer', default: 5, min: 1, max: 10, doc: 'connections' },
  folder: { kind: 'text', default: '', doc: 'where' },
  alone: { kind: 'flag', doc: 'no peers' },
} as const satisfies OptionTable;

const parse = (...argv: string[]) => parseOptions(table, argv, 'Usage');

test('defaults, quick defaults and given values, in both spellings', () => {
  expect(parse()).toEqual({
    outcome: 'values',
    values: { rate: 200, sessions: 5, folder: '', alone: false, quick: false },
  });
  expect(parse('--quick', '--sessions=7', '--folder', 'x', '--alone')).toEqual({
    outcome: 'values',
    values: { rate: 50, sessions: 7, folder: 'x', alone: true, quick: true },
  });
  expect(parse('--quick', '--rate', '99.5')).toMatchObject({ values: { rate: 99.5 } });
});

test.each([
  [['--speed', '3'], /Unknown option '--speed'.*--rate, --sessions/s],
  [['30'], /Unknown option '30'/],
  [['--constructor', '1'], /Unknown option/],
  [['--rate'], /--rate needs a value/],
  [['--rate', '--alone'], /--rate needs a value/],
  [['--rate', ''], /--rate is a number from 1 to 1000/],
  [['--rate', 'fast'], /not 'fast'/],
  [['--rate', '1001'], /from 1 to 1000/],
  [['--sessions', '2.5'], /a whole number/],
  [['--alone=yes'], /takes no value/],
  [['--rate', '3', '--rate', '4'], /given twice/],
])('%j is an error that says why', (argv, message) => {
  const parsed = parse(...argv);
  expect(parsed.outcome).toBe('error');
  expect(parsed.outcome === 'error' && parsed.message).toMatch(message);
});

test('help names every option with its default', () => {
  const parsed = parse('--help');
  expect(parsed.outcome).toBe('help');
  const text = parsed.outcome === 'help' ? parsed.text : '';
  for (const name of [...Object.keys(table), 'quick', 'help']) expect(text).toContain(`--${name}`);
  expect(text).toContain('default 200, 50 with --quick');
});
