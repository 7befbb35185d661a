/** Owns what a person is told when a data directory cannot be written: which folder, why, and what to do. */

import { statfsSync, statSync } from 'node:fs';
import path from 'node:path';

import { AppError } from '#base/errors.ts';

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
