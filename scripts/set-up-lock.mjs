/**
 * Owns the rule that one process at a time changes this checkout's fetched and built things. The lock is a file that
 * names its holder; a holder that no longer runs loses it. Nothing is locked when everything is fresh.
 */

import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { root, toolsDirectory } from './checkout.mjs';
import { SetupError } from './progress.mjs';

const retryMs = 200;
/** Writing the holder's number takes microseconds; a lock without one for this long was left by a crash. */
const namelessMs = 5_000;
const lockFile = path.join(toolsDirectory, 'set-up.lock');

/** Runs `work` while holding the lock. Waits for another set-up to end; `progress` says so once. */
export async function withSetUpLock(progress, work) {
  makeToolsDirectory();
  let told = false;
  while (!tryAcquire()) {
    const holder = readHolder();
    if (holder === undefined) continue;
    if (!holder.alive) removeStale(holder.pid);
    else {
      if (!told) progress.say(`Another set-up is at work here (process ${holder.pid}); waiting for it`);
      told = true;
      await delay(retryMs);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lockFile, { force: true });
  }
}

function makeToolsDirectory() {
  try {
    mkdirSync(toolsDirectory, { recursive: true });
  } catch (error) {
    throw explain(error);
  }
}

function tryAcquire() {
  try {
    writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    // A full disk makes the file and then has no room for its content.
    if (error.code === 'ENOSPC') rmSync(lockFile, { force: true });
    throw explain(error);
  }
}

/** The failure that a person can act on, or the error itself. */
function explain(error) {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return new SetupError(`The disk of ${root} is full.`, {
      next: 'make at least 1 GB free there (packages and the page), then run the same command again.',
    });
  }
  if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) return error;
  return new SetupError(
    `Something is still to be fetched or built, and ${root} cannot be written by this user.`,
    {
      next: 'run `npm start` there once as the user that it belongs to; then anyone may run it.',
    },
  );
}

/** Who holds the lock, by process id (0 while not yet written); undefined when it was just released. */
function readHolder() {
  try {
    const pid = Number.parseInt(readFileSync(lockFile, 'utf8'), 10) || 0;
    const ageMs = Date.now() - statSync(lockFile).mtimeMs;
    return { pid, alive: pid === 0 ? ageMs < namelessMs : isRunning(pid) };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

// Renaming is atomic, so of several that find the same stale lock only one removes it. Should the file have become
// someone else's live lock in between, it is put back.
function removeStale(holder) {
  const aside = `${lockFile}.${process.pid}`;
  try {
    renameSync(lockFile, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  const taken = Number.parseInt(readFileSync(aside, 'utf8'), 10) || 0;
  if (taken === holder) rmSync(aside);
  else renameSync(aside, lockFile);
}
