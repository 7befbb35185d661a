/**
 * Owns the lock of a file store's directory: at most one living process has it. Locks are numbered files; a process
 * takes the store by making the next number, which only one can, after the holder of the highest was found dead. The
 * numbers never fall, so that a slow process cannot take what was taken and given back meanwhile.
 * A process in another container's process table cannot be seen: do not share a store between containers.
 */

import { join } from 'node:path';

import { AppError } from '#base/errors.ts';
import type { Disk } from '#sdk/node-disk.ts';
import { currentBoot, isSameBoot, processName } from '#sdk/node-machine.ts';

interface Holder {
  readonly boot: string;
  readonly pid: number;
  readonly process: string;
  /** Set when it was given back. */
  readonly isReleased?: boolean;
}

/** Takes the store and returns what gives it back. Throws AppError `conflict` when a living process has it. */
export function lockStore(disk: Disk, directory: string, wallUs: number): () => void {
  const me: Holder = { boot: currentBoot(wallUs), pid: process.pid, process: processName(process.pid) ?? '' };
  for (;;) {
    const numbers = disk
      .list(directory)
      .flatMap(numberOf)
      .toSorted((a, b) => a - b);
    const newest = numbers.at(-1);
    if (newest !== undefined) assertGone(disk, join(directory, nameOf(newest)), me);
    const path = join(directory, nameOf((newest ?? 0) + 1));
    // Someone else was faster: look again who it is.
    if (!disk.createFile(path, encode(me))) continue;
    // This number may have been taken and removed since it was chosen; then a higher one exists by now.
    if (
      disk
        .list(directory)
        .flatMap(numberOf)
        .some((number) => number > (newest ?? 0) + 1)
    ) {
      disk.remove(path);
      continue;
    }
    for (const number of numbers) disk.remove(join(directory, nameOf(number)));
    return () => release(disk, path, encode({ ...me, isReleased: true }));
  }
}

/** A full disk takes no new file, but lets one be emptied: a lock without a holder is nobody's. */
function release(disk: Disk, path: string, released: Uint8Array): void {
  try {
    disk.replaceFile(path, released, false);
  } catch {
    const file = disk.open(path);
    file.truncate(0);
    file.close();
  }
}

function assertGone(disk: Disk, path: string, me: Holder): void {
  const holder = decode(disk.readFile(path));
  if (holder === null || holder.isReleased === true) return;
  if (!isSameBoot(holder.boot, me.boot)) return;
  if (processName(holder.pid) !== holder.process) return;
  throw new AppError('conflict', `the device store is in use by process ${holder.pid}`);
}

function nameOf(number: number): string {
  return `lock-${number}`;
}

function numberOf(name: string): number[] {
  const match = /^lock-(\d+)$/.exec(name);
  return match === null ? [] : [Number(match[1])];
}

function encode(holder: Holder): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(holder));
}

function decode(bytes: Uint8Array | null): Holder | null {
  if (bytes === null) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Holder;
  } catch {
    return null;
  }
}
