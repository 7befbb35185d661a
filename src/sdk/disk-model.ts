/**
 * Owns a disk in memory for the tests of the file store: it can be full, and the process can die in the middle of any
 * write. What was written before a death is there afterwards, as in the page cache.
 */

import type { Disk, DiskFile } from '#sdk/node-disk.ts';

export class Killed extends Error {
  override readonly name = 'Killed';
}

export interface DiskModel extends Disk {
  readonly files: Map<string, Uint8Array>;
  /** How much of a file survives a loss of power for certain. */
  readonly synced: Map<string, number>;
  /** Bytes that all files may have together. */
  capacityBytes: number;
  /** Writes until the process dies; of the last one only `killBytes` arrive. */
  killAfterWrites: number;
  killBytes: number;
  /** What the next process finds. This one is dead: it changes nothing any more, and its locks mean nothing. */
  nextProcess(): DiskModel;
  /** The same for a test whose dead process has nothing left to do. */
  forgetProcess(): void;
}

export function createDiskModel(
  files = new Map<string, Uint8Array>(),
  synced = new Map<string, number>(),
): DiskModel {
  const used = (): number => [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  const live = (): void => {
    if (model.killAfterWrites < 0) throw new Killed('the process is dead');
  };
  const put = (path: string, bytes: Uint8Array, offset: number): void => {
    live();
    const old = files.get(path) ?? new Uint8Array();
    const isLast = model.killAfterWrites-- === 0;
    const room = model.capacityBytes - used() + Math.max(0, old.length - offset);
    const written = bytes.subarray(0, Math.min(bytes.length, room, isLast ? model.killBytes : bytes.length));
    const next = new Uint8Array(Math.max(old.length, offset + written.length));
    next.set(old);
    next.set(written, offset);
    files.set(path, next);
    if (isLast) throw new Killed('the process died while writing');
    if (written.length < bytes.length)
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  const replace = (path: string, bytes: Uint8Array): void => {
    put(`${path}.new`, bytes, 0);
    files.set(path, files.get(`${path}.new`)!);
    files.delete(`${path}.new`);
  };
  const model: DiskModel = {
    files,
    synced,
    capacityBytes: Number.POSITIVE_INFINITY,
    killAfterWrites: Number.POSITIVE_INFINITY,
    killBytes: 0,
    nextProcess: () => {
      model.forgetProcess();
      model.killAfterWrites = -1;
      return createDiskModel(files, synced);
    },
    forgetProcess: () => {
      model.killAfterWrites = Number.POSITIVE_INFINITY;
      for (const path of files.keys()) if (/\/lock-\d+$/.test(path)) files.delete(path);
    },
    makeDirectory: () => undefined,
    list: (directory) =>
      [...files.keys()]
        .filter((p) => p.startsWith(`${directory}/`))
        .map((p) => p.slice(directory.length + 1)),
    readFile: (path) => files.get(path)?.slice() ?? null,
    open: (path) => {
      live();
      if (!files.has(path)) files.set(path, new Uint8Array());
      return fileOf(path, model, put, live);
    },
    replaceFile: (path, bytes) => {
      live();
      files.delete(`${path}.new`);
      replace(path, bytes);
    },
    createFile: (path, bytes) => {
      live();
      if (files.has(path)) return false;
      files.set(path, bytes.slice());
      return true;
    },
    remove: (path) => {
      live();
      files.delete(path);
    },
  };
  return model;
}

function fileOf(
  path: string,
  { files, synced }: DiskModel,
  put: (path: string, bytes: Uint8Array, offset: number) => void,
  live: () => void,
): DiskFile {
  return {
    write: (bytes, offset) => put(path, bytes, offset),
    read: (offset, length) => files.get(path)!.slice(offset, offset + length),
    truncate: (length) => {
      live();
      files.set(path, files.get(path)!.slice(0, length));
    },
    sync: () => {
      live();
      synced.set(path, files.get(path)!.length);
    },
    syncLater: () => undefined,
    close: () => undefined,
  };
}
