/**
 * Owns which clone a data directory belongs to. Its place follows from the clone's path, so a clone that was moved would
 * begin with an empty database: the start then says where the data of a clone lies that is no longer where it was.
 */

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const fileName = 'checkout';

/** Writes down whose data this is, once. */
export function noteCheckout(stateDir: string, checkout: string): void {
  const file = path.join(stateDir, fileName);
  if (readNote(file) !== checkout) writeFileSync(file, `${checkout}\n`, { mode: 0o600 });
}

/** The most recently used data beside `stateDir` whose clone is gone; null when there is none. */
export function findAbandonedData(stateDir: string): { directory: string; checkout: string } | null {
  const base = path.dirname(stateDir);
  const found = listNames(base)
    .map((name) => path.join(base, name))
    .filter(
      (directory) => directory !== stateDir && listNames(directory).some((name) => /^pg\d+$/.test(name)),
    )
    .flatMap((directory) => {
      const checkout = readNote(path.join(directory, fileName));
      const isGone = checkout !== null && !existsSync(checkout);
      return isGone ? [{ directory, checkout, usedMs: statSync(path.join(directory, 'users')).mtimeMs }] : [];
    })
    .toSorted((a, b) => b.usedMs - a.usedMs);
  return found[0] ?? null;
}

function readNote(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch {
    return null;
  }
}

function listNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
