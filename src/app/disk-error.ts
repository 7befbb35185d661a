/** Owns what a person is told when a data directory cannot be written: which folder, why, and what to do. */

import { statfsSync, statSync } from 'node:fs';
import path from 'node:path';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Log } from '#base/log.ts';

/**
 * A new data directory takes 66 MB of programs, 41 MB of an empty cluster and 16 MB of log before the first reading;
 * the rest is room to work in.
 */
export const neededMib = 256;

/** Runs `work` on a directory; what the disk or the system refuses becomes an AppError that names it. */
export function withDiskErrors<T>(directory: string, work: (directory: string) => T): T {
  try {
    return work(directory);
  } catch (cause) {
    throw toDiskError(directory, cause);
  }
}

/** Throws when a new data directory would not fit: half a database is worse than none. */
export function refuseSmallDisk(directory: string): void {
  const free = freeMib(directory);
  if (free !== undefined && free < neededMib) throw diskFullError(directory);
}

/** The disk under `directory` is full. */
export function diskFullError(directory: string, cause?: unknown): AppError {
  return new AppError('store-unavailable', diskFullText(directory), { temporary: true, cause });
}

export function diskFullText(directory: string): string {
  const free = freeMib(directory);
  return `the disk of ${directory} is full${free === undefined ? '' : ` (${free} MiB free)`}: make at least ${neededMib} MiB free there`;
}

/** Space that this process may use on the disk of `directory`, or of the nearest folder above it that exists. */
export function freeMib(directory: string): number | undefined {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    if (statSync(at, { throwIfNoEntry: false }) !== undefined) {
      const { bavail, bsize } = statfsSync(at);
      return Math.floor((bavail * bsize) / 1024 / 1024);
    }
    if (at === path.dirname(at)) return undefined;
  }
}

/** The AppError that `cause` stands for, or `cause` itself when it has nothing to do with the disk. */
export function toDiskError(directory: string, cause: unknown): unknown {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFullError(directory, cause);
  const refuse = (why: string): AppError =>
    new AppError(
      'store-unavailable',
      `the data directory ${directory} cannot be used: ${why}; choose another with --data FOLDER`,
      { cause },
    );
  if (code === 'EROFS') return refuse('its disk is read-only');
  if (code === 'ENOTDIR' || code === 'EEXIST') return refuse('something on its path is a file');
  if (code === 'EACCES' || code === 'EPERM')
    return refuse(`this user may not write there${ownerText(directory)}`);
  return cause;
}

/** Whose it is, when that is somebody else. */
function ownerText(directory: string): string {
  const uid = ownerOf(directory);
  return uid === undefined || uid === process.getuid?.() ? '' : ` (it belongs to user ${uid})`;
}

function ownerOf(directory: string): number | undefined {
  try {
    return statSync(directory, { throwIfNoEntry: false })?.uid;
  } catch {
    return undefined;
  }
}

/** Below this PostgreSQL may fail at any moment: four segments of its log. */
const FULL_MIB = 64;
const REPEAT_MS = 60_000;

/** Tells the log when the disk of the data is full, what it needs, and when it has that again. Call `look` often. */
export function watchDisk(directory: string, { clock, log }: { clock: Clock; log: Log }): { look(): void } {
  let toldAtMs: number | null = null;
  return {
    look() {
      const free = freeMib(directory) ?? Number.POSITIVE_INFINITY;
      const nowMs = clock.monotonicMs();
      if (free < FULL_MIB) {
        if (toldAtMs !== null && nowMs - toldAtMs < REPEAT_MS) return;
        toldAtMs = nowMs;
        log.error(
          `${diskFullText(directory)}; until then nothing is acknowledged, and devices keep what they have`,
        );
      } else if (toldAtMs !== null && free >= neededMib) {
        toldAtMs = null;
        log.warn(`the disk of ${directory} has room again (${free} MiB free)`);
      }
    },
  };
}
