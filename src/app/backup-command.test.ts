/** The arguments of back-up and restore, and what people read while they run. */

import { expect, test } from 'vitest';

import { defaultName, parseFileArguments } from '#app/backup-command.ts';
import { formatBytes, formatSpan } from '#app/work-progress.ts';

test('the file, the own flags and the settings are told apart in any order', () => {
  const parse = (line: string) => parseFileArguments(line.split(' '), ['force', 'json']);
  expect(parse('--data /a/b --json x.kymo-backup --log-level=info --no-demo --insecure')).toEqual({
    file: 'x.kymo-backup',
    flags: new Set(['json']),
    rest: ['--data=/a/b', '--log-level=info', '--no-demo', '--insecure'],
  });
  expect(parse('-').file).toBe('-');
  expect(parse('--json')).toMatchObject({ file: undefined, rest: [] });
  expect(() => parse('one two')).toThrow('one file, not 2: one two');
  expect(() => parse('--forse')).toThrow("Unknown option '--forse'");
});

test('a back-up is named by the time in UTC', () => {
  expect(defaultName(Date.UTC(2026, 0, 31, 23, 59, 58, 999) * 1000)).toBe('kymo-20260131-235958.kymo-backup');
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [99_949, '99.9 kB'],
  [99_950, '100 kB'],
  [999_500, '1.0 MB'],
  [1_440_000_000, '1.4 GB'],
  [5e15, '5000 TB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [0.2, '0:00'],
  [59.6, '1:00'],
  [754, '12:34'],
  [3723, '1:02:03'],
])('%d seconds are %s', (seconds, text) => expect(formatSpan(seconds)).toBe(text));
