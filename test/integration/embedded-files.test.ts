/** Owns the proof of where the embedded database keeps its files, and that its log stays bounded. */

import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { defaultDataDirectory, layoutOf } from '#app/embedded-data-directory.ts';
import { boundLog, readLogFrom } from '#app/embedded-log.ts';
import type { Clock } from '#base/clock.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const made: { remove(): void }[] = [];

afterEach(() => {
  for (const directory of made.splice(0)) directory.remove();
});

function temporaryPath(): string {
  const directory = createTemporaryDirectory();
  made.push(directory);
  chmodSync(directory.path, 0o755);
  return directory.path;
}

/** Two checkouts of the same name and a home, all in one temporary directory. */
function places(): { one: string; two: string; home: string } {
  const base = temporaryPath();
  const [one, two, home] = ['a/kymo', 'b/kymo', 'home'].map((name) => path.join(base, name)) as [
    string,
    string,
    string,
  ];
  for (const directory of [one, two, home]) mkdirSync(directory, { recursive: true });
  return { one, two, home };
}

test('two clones side by side have separate data, a link to one of them does not', () => {
  const { one, two, home } = places();
  const placeOf = (checkout: string): string => defaultDataDirectory({ checkout, home, isRoot: false });
  expect(placeOf(one)).not.toBe(placeOf(two));
  symlinkSync(one, path.join(home, 'link'));
  expect(placeOf(path.join(home, 'link'))).toBe(placeOf(one));
  expect(path.basename(placeOf(one))).toMatch(/^kymo-[0-9a-f]{8}$/);
});

test('XDG_DATA_HOME is respected when it is an absolute path', () => {
  const { one, home } = places();
  const placeWith = (xdgDataHome?: string): string =>
    path.dirname(defaultDataDirectory({ checkout: one, home, xdgDataHome, isRoot: false }));
  expect(placeWith('/srv/data')).toBe('/srv/data/kymo');
  expect(placeWith('data')).toBe(placeWith());
});

test('as root, data goes where the server account can go', () => {
  const { one, home } = places();
  const placeAs = (isRoot: boolean): string => defaultDataDirectory({ checkout: one, home, isRoot });
  expect(placeAs(true)).toBe(placeAs(false));
  chmodSync(home, 0o700);
  expect(placeAs(true)).toMatch(/^\/var\/lib\/kymo\/kymo-/);
  expect(placeAs(false).startsWith(home)).toBe(true);
});

test('the socket path fits the system whatever the data directory', () => {
  for (const root of ['/short', `/${'long/'.repeat(40)}`]) {
    expect(Buffer.byteLength(path.join(layoutOf(root).sockets, '.s.PGSQL.5432'))).toBeLessThanOrEqual(103);
  }
});

test('a log past its bound is turned over while its writer keeps it open', () => {
  const file = path.join(temporaryPath(), 'postgresql.log');
  let tick: (() => void) | undefined;
  let cancelled = false;
  const clock: Clock = {
    nowUs: () => 0,
    monotonicMs: () => 0,
    after: (_delayMs, callback) => {
      tick = callback;
      return () => (cancelled = true);
    },
  };
  const writer = openSync(file, 'a');
  const release = boundLog(file, clock, 100);
  writeSync(writer, 'x'.repeat(90));
  tick?.();
  expect(statSync(file).size).toBe(90);
  writeSync(writer, 'y'.repeat(90));
  tick?.();
  expect(statSync(file).size).toBe(0);
  expect(statSync(`${file}.1`).size).toBe(180);
  writeSync(writer, 'after');
  expect(readLogFrom(file, 0)).toBe('after');
  release();
  expect(cancelled).toBe(true);
  closeSync(writer);
});

test('the end of a long log is what is read of it', () => {
  const file = path.join(temporaryPath(), 'postgresql.log');
  appendFileSync(file, `${'x'.repeat(100_000)}the cause`);
  const read = readLogFrom(file, 0);
  expect(read.endsWith('the cause')).toBe(true);
  expect(read.length).toBeLessThan(20_000);
});
