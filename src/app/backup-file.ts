/**
 * Owns back-up files on disk: a new one is written beside its name, forced to the disk and only then gets its name, so
 * that what has the name is whole. It can be read by its owner alone. Nothing is replaced unasked.
 */

import { createReadStream } from 'node:fs';
import { link, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';

import { AppError } from '#base/errors.ts';

/** As large as the blocks in it. */
const READ_BYTES = 1024 * 1024;

export interface NewFile {
  write(bytes: Buffer): Promise<void>;
  /** Gives it its name. */
  finish(): Promise<void>;
  /** Leaves nothing behind. After `finish` it does nothing. */
  discard(): Promise<void>;
}

/** Throws AppError `conflict` when `file` exists and may not be replaced. */
export async function createBackupFile(file: string, mayReplace: boolean): Promise<NewFile> {
  const isTaken = await stat(file).then(
    () => true,
    () => false,
  );
  if (isTaken && !mayReplace) throw exists(file);
  const unfinished = `${file}.${process.pid}.partial`;
  const handle = await withFileErrors(file, () => open(unfinished, 'wx', 0o600));
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await handle.close();
    isOpen = false;
  };
  return {
    write: (bytes) => withFileErrors(file, () => writeAll(handle, bytes)),
    finish: () =>
      withFileErrors(file, async () => {
        await handle.sync();
        await close();
        await (mayReplace ? rename(unfinished, file) : renameNew(unfinished, file));
        await syncDirectory(path.dirname(file));
      }),
    async discard() {
      await close();
      await rm(unfinished, { force: true });
    },
  };
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
}

/** Renaming would replace a file that somebody made meanwhile; a link does not. */
async function renameNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw exists(to);
    // A file system without links.
    return rename(from, to);
  }
  await rm(from);
}

/** A name is on the disk when its directory is. Where directories cannot be opened (Windows) it is by itself. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory).catch(() => null);
  try {
    await handle?.sync();
  } catch (error) {
    if (codeOf(error) !== 'EPERM' && codeOf(error) !== 'EINVAL') throw error;
  } finally {
    await handle?.close();
  }
}

/** Its size and a reader from its beginning. Throws AppError `not-found`. */
export async function openBackupFile(
  file: string,
): Promise<{ bytes: number; read: (onBytes?: (count: number) => void) => AsyncIterable<Buffer> }> {
  const { size, isFile } = await withFileErrors(file, async () => {
    const found = await stat(file);
    return { size: found.size, isFile: found.isFile() };
  });
  if (!isFile) throw new AppError('invalid-field', `${file} is no file`);
  return { bytes: size, read: (onBytes) => readFile(file, onBytes) };
}

async function* readFile(file: string, onBytes?: (count: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(file, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>) {
    onBytes?.(chunk.length);
    yield chunk;
  }
}

function exists(file: string): AppError {
  return new AppError('conflict', `${file} exists: choose another name, or replace it with --force`);
}

async function withFileErrors<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    switch (codeOf(cause)) {
      case 'ENOENT':
        throw new AppError('not-found', `${file}: there is no such file or folder`, { cause });
      case 'EACCES':
      case 'EPERM':
      case 'EROFS':
        throw new AppError('forbidden', `${file}: permission denied`, { cause });
      case 'ENOSPC':
      case 'EDQUOT':
        throw new AppError('store-unavailable', `${file}: the disk is full`, { temporary: true, cause });
      default:
        throw cause;
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
