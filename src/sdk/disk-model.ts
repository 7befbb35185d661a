/**
 * Owns a disk in memory for the tests of the file store: it can be full, and the process can die in the middle of any
 * write. What was written before a death is there afterwards, as in the page cache; a loss of power may take what was
 * not synced.
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
  /** Called when the process dies by `killAfterWrites`, within that write. */
  onKilled: (() => void) | null;
  /** Takes what `syncLater` has to do, to do it when the disk gets round to it. Default: it never does. */
  onSyncLater: ((sync: () => void) => void) | null;
  usedBytes(): number;
  /**
   * Takes up to `bytes` unsynced bytes from the end of each file. `isLost` is asked for each file that was replaced and not
   * synced since: then it is the one before again.
   */
  losePower(bytes: number, isLost: () => boolean): void;
  /** Inverts up to `bytes` bytes at the end of a file. */
  flipTail(path: string, bytes: number): void;
  /** All files as they are, without the locks of whoever has them open. */
  copy(): DiskModel;
}

/** How much of each buffer is taken: a file grows in its own, like an array, unless a test kept an older state of it. */
const takenBytes = new WeakMap<ArrayBufferLike, number>();

/** `bytes` with `more` at `offset`. */
function withBytes(bytes: Uint8Array, more: Uint8Array, offset: number): Uint8Array {
  const length = Math.max(bytes.length, offset + more.length);
  const isOwn = offset === bytes.length && takenBytes.get(bytes.buffer) === bytes.length;
  if (isOwn && length <= bytes.buffer.byteLength) {
    const longer = new Uint8Array(bytes.buffer, 0, length);
    longer.set(more, offset);
    takenBytes.set(bytes.buffer, length);
    return longer;
  }
  const buffer = new ArrayBuffer(Math.max(1024, length * 2));
  const copy = new Uint8Array(buffer, 0, length);
  copy.set(bytes);
  copy.set(more, offset);
  takenBytes.set(buffer, length);
  return copy;
}

export function createDiskModel(
  files = new Map<string, Uint8Array>(),
  synced = new Map<string, number>(),
  /** What files held before they were replaced, where a loss of power may bring that back. */
  replaced = new Map<string, Uint8Array | undefined>(),
): DiskModel {
  const used = (): number => {
    let sum = 0;
    for (const bytes of files.values()) sum += bytes.length;
    return sum;
  };
  const live = (): void => {
    if (model.killAfterWrites < 0) throw new Killed('the process is dead');
  };
  const put = (path: string, bytes: Uint8Array, offset: number): void => {
    live();
    const old = files.get(path) ?? new Uint8Array();
    const isLast = model.killAfterWrites-- === 0;
    const room = model.capacityBytes - used() + Math.max(0, old.length - offset);
    const written = bytes.subarray(0, Math.min(bytes.length, room, isLast ? model.killBytes : bytes.length));
    files.set(path, withBytes(old, written, offset));
    if (isLast) {
      model.onKilled?.();
      throw new Killed('the process died while writing');
    }
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
    onKilled: null,
    onSyncLater: null,
    usedBytes: used,
    losePower(bytes, isLost) {
      for (const [path, before] of replaced)
        if (isLost()) {
          if (before === undefined) files.delete(path);
          else files.set(path, before);
        }
      for (const [path, content] of files) {
        if (replaced.has(path)) continue;
        const certain = Math.min(content.length, synced.get(path) ?? 0);
        files.set(path, content.slice(0, Math.max(certain, content.length - bytes)));
      }
      replaced.clear();
    },
    flipTail(path, bytes) {
      const content = files.get(path)!.slice();
      for (let i = Math.max(0, content.length - bytes); i < content.length; i++) content[i]! ^= 0xff;
      files.set(path, content);
    },
    copy: () => {
      const twin = createDiskModel(
        new Map([...files].map(([path, bytes]) => [path, bytes.slice()])),
        new Map(synced),
        new Map(replaced),
      );
      twin.forgetProcess();
      return twin;
    },
    nextProcess: () => {
      model.forgetProcess();
      model.killAfterWrites = -1;
      return createDiskModel(files, synced, replaced);
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
    replaceFile: (path, bytes, isDurable) => {
      live();
      const before = files.get(path);
      files.delete(`${path}.new`);
      replace(path, bytes);
      if (!isDurable) {
        if (!replaced.has(path)) replaced.set(path, before);
        return;
      }
      replaced.delete(path);
      synced.set(path, bytes.length);
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
  model: DiskModel,
  put: (path: string, bytes: Uint8Array, offset: number) => void,
  live: () => void,
): DiskFile {
  const { files, synced } = model;
  return {
    write: (bytes, offset) => put(path, bytes, offset),
    read: (offset, length) => files.get(path)!.slice(offset, offset + length),
    truncate: (length) => {
      live();
      files.set(path, files.get(path)!.slice(0, length));
      synced.set(path, Math.min(length, synced.get(path) ?? 0));
    },
    sync: () => {
      live();
      synced.set(path, files.get(path)!.length);
    },
    syncLater: () =>
      model.onSyncLater?.(() => {
        const content = files.get(path);
        if (content !== undefined) synced.set(path, content.length);
      }),
    close: () => undefined,
  };
}
