/**
 * Owns the rule that one process at a time does what a lock file guards. The file names its holder by process id and
 * start time, so that one left by a crash, or by an earlier boot, is recognised and taken away.
 */

import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';

import { isSameProcess, ownStart } from '#app/embedded-processes.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';

/** Starting after a crash replays the log first; longer than this nobody waits without wanting to know. */
const lockWaitMs = 300_000;
const lockRetryMs = 50;
/** Writing a lock's content takes microseconds; one that is still empty after this was left by a crash. */
const emptyLockMs = 5_000;

/** Runs `work` while no other process holds `file`. `doing` says what a holder does, for the one who waits too long. */
export async function withFileLock<T>(
  { file, doing, clock }: { file: string; doing: string; clock: Clock },
  work: () => Promise<T>,
): Promise<T> {
  const content = `${process.pid} ${ownStart()}`;
  const giveUpAtMs = clock.monotonicMs() + lockWaitMs;
  while (!tryCreate(file, content)) {
    const holder = readHolder(file, clock);
    if (holder !== undefined && !holder.alive) removeStale(file, holder.content);
    else if (clock.monotonicMs() > giveUpAtMs) {
      const who = holder === undefined ? 'another process' : `process ${Number.parseInt(holder.content, 10)}`;
      throw new AppError(
        'store-unavailable',
        `${who} has been ${doing} for over ${lockWaitMs / 60_000} minutes`,
        { temporary: true },
      );
    } else await new Promise<void>((resolve) => clock.after(lockRetryMs, resolve));
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

function tryCreate(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    // A full disk makes the file and then has no room for its content.
    if (codeOf(error) === 'ENOSPC') rmSync(file, { force: true });
    throw error;
  }
}

function readHolder(file: string, clock: Clock): { content: string; alive: boolean } | undefined {
  try {
    const content = readFileSync(file, 'utf8');
    const [pid = '', start = ''] = content.split(' ');
    if (content !== '') return { content, alive: isSameProcess(Number.parseInt(pid, 10), start) };
    const ageMs = clock.nowUs() / 1000 - statSync(file).mtimeMs;
    return { content, alive: ageMs < emptyLockMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

// Renaming is atomic, so of several that see the same stale lock one takes it away. Should the file have become
// another's live lock in between, it is put back.
function removeStale(file: string, content: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') === content) rmSync(aside);
    else renameSync(aside, file);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
