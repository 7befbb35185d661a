/**
 * Owns PostgreSQL's log file, which PostgreSQL only appends to: two files of at most `maxLogBytes` each plus what one
 * minute can add. Turning over copies and empties the file, because the running server keeps it open.
 */

import { copyFileSync, openSync, closeSync, readSync, rmSync, statSync, truncateSync } from 'node:fs';

import type { Clock } from '#base/clock.ts';

/** Room for some ten thousand messages, more than anyone reads. */
const maxLogBytes = 4 * 1024 * 1024;
const checkEveryMs = 60_000;
/** The end of the log explains why a start failed; more does not fit a screen. */
const maxReadBytes = 16 * 1024;

export function sizeOfLog(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** What was written since the log had `from` bytes, at most its last part. */
export function readLogFrom(file: string, from: number): string {
  const size = sizeOfLog(file);
  const start = Math.max(from <= size ? from : 0, size - maxReadBytes);
  if (size <= start) return '';
  const buffer = Buffer.alloc(size - start);
  const descriptor = openSync(file, 'r');
  try {
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, buffer.length, start));
  } finally {
    closeSync(descriptor);
  }
}

/** Keeps the log within its bound until the returned function is called. */
export function boundLog(file: string, clock: Clock, maxBytes = maxLogBytes): () => void {
  let cancel: () => void;
  const check = (): void => {
    if (sizeOfLog(file) > maxBytes) turnOver(file);
    cancel = clock.after(checkEveryMs, check);
  };
  check();
  return () => cancel();
}

function turnOver(file: string): void {
  try {
    copyFileSync(file, `${file}.1`);
  } catch {
    // A full disk has no room for a copy. It has grown full of these lines as well, so they go without one.
    rmSync(`${file}.1`, { force: true });
  }
  truncateSync(file, 0);
}
