/**
 * Owns the file operations of the file store, so that a test can let the disk be full. Writes are positioned and
 * synchronous: what returned is in the page cache and survives the death of the process; only `sync` survives the loss
 * of power.
 */

import {
  closeSync,
  constants,
  fsync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

export interface DiskFile {
  /** Writes all of `bytes` at `offset`, or throws. After a throw any part of them may be written. */
  write(bytes: Uint8Array, offset: number): void;
  /** Up to `length` bytes from `offset`. */
  read(offset: number, length: number): Uint8Array;
  truncate(length: number): void;
  sync(): void;
  /** Syncs without blocking; failures are the next `sync`'s to find. */
  syncLater(): void;
  close(): void;
}

export interface Disk {
  makeDirectory(path: string): void;
  /** File names, in no order. */
  list(directory: string): string[];
  /** The whole file; null when there is none. */
  readFile(path: string): Uint8Array | null;
  /** Opens for reading and writing, and makes the file if there is none. */
  open(path: string): DiskFile;
  /** Replaces a file at once: after a crash it holds the old or the new bytes. Synced when `isDurable`. */
  replaceFile(path: string, bytes: Uint8Array, isDurable: boolean): void;
  /** Makes a file with these bytes at once; false when it exists. */
  createFile(path: string, bytes: Uint8Array): boolean;
  remove(path: string): void;
}

export const nodeDisk: Disk = {
  makeDirectory: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
  list: (directory) => readdirSync(directory),
  readFile: (path) => {
    try {
      return readFileSync(path);
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return null;
      throw thrown;
    }
  },
  open: (path) => openFile(path),
  replaceFile: (path, bytes, isDurable) => {
    const temporary = `${path}.new`;
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeAll(file, bytes, 0);
      if (isDurable) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    if (isDurable) syncDirectory(dirname(path));
  },
  createFile: (path, bytes) => {
    // A link appears with all its bytes at once, so nobody reads a half-written file.
    const temporary = `${path}.${process.pid}`;
    writeFileSync(temporary, bytes, { mode: 0o600 });
    try {
      linkSync(temporary, path);
      return true;
    } catch (thrown) {
      if (codeOf(thrown) === 'EEXIST') return false;
      throw thrown;
    } finally {
      rmSync(temporary, { force: true });
    }
  },
  remove: (path) => rmSync(path, { force: true }),
};

/** The error code of a failed system call, or null. */
export function codeOf(thrown: unknown): string | null {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : null;
}

function openFile(path: string): DiskFile {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  let isOpen = true;
  return {
    write: (bytes, offset) => writeAll(file, bytes, offset),
    read: (offset, length) => {
      const bytes = new Uint8Array(length);
      let got = 0;
      while (got < length) {
        const more = readSync(file, bytes, got, length - got, offset + got);
        if (more === 0) break;
        got += more;
      }
      return bytes.subarray(0, got);
    },
    truncate: (length) => ftruncateSync(file, length),
    sync: () => fsyncSync(file),
    syncLater: () => {
      if (isOpen) fsync(file, () => undefined);
    },
    close: () => {
      isOpen = false;
      closeSync(file);
    },
  };
}

function writeAll(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(file, bytes, done, bytes.length - done, offset + done);
}

/** Makes names in a directory durable; where a directory cannot be opened (Windows) the rename itself is. */
function syncDirectory(path: string): void {
  let directory: number;
  try {
    directory = openSync(path, 'r');
  } catch {
    return;
  }
  try {
    fsyncSync(directory);
  } catch (thrown) {
    if (codeOf(thrown) !== 'EINVAL' && codeOf(thrown) !== 'EPERM') throw thrown;
  } finally {
    closeSync(directory);
  }
}
