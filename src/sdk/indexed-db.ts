/**
 * Owns the device store's database in IndexedDB (W3C Indexed Database API 3.0): three object stores, one strictly durable
 * transaction a batch. A database that the browser took away is opened anew by the next write. Bound: one transaction.
 */

import { AppError, messageOf } from '#base/errors.ts';
import type { FrameRecord, HeaderRecord, LogRecord, StoreBatch, StoreDatabase } from '#sdk/write-behind.ts';

/** What was found, before anything of it is believed. */
export interface StoredContent {
  readonly header: unknown;
  readonly logs: readonly unknown[];
  readonly frames: readonly unknown[];
}

export interface OpenedDatabase extends StoreDatabase {
  /** Everything that is there. */
  load(): Promise<StoredContent>;
}

interface Events {
  addEventListener(type: string, listener: () => void): void;
}

interface Request<T = unknown> extends Events {
  readonly result: T;
  readonly error: Error | null;
}

interface ObjectStore {
  put(value: unknown): Request;
  delete(key: unknown): Request;
  clear(): Request;
  get(key: unknown): Request;
  getAll(range: unknown, count: number): Request<unknown[]>;
}

interface Transaction extends Events {
  readonly error: Error | null;
  objectStore(name: string): ObjectStore;
  commit?(): void;
  abort(): void;
}

interface Database extends Events {
  transaction(stores: readonly string[], mode: string, options?: { durability: string }): Transaction;
  createObjectStore(name: string, options: { keyPath: string }): ObjectStore;
  close(): void;
}

interface KeyRanges {
  bound(lower: number, upper: number, isLowerOpen: boolean, isUpperOpen: boolean): unknown;
  lowerBound(lower: number, isOpen: boolean): unknown;
}

interface IndexedDbGlobal {
  readonly indexedDB?: { open(name: string, version: number): Request<Database> };
  readonly IDBKeyRange?: KeyRanges;
}

const SCHEMA_VERSION = 1;
const stores = ['header', 'logs', 'frames'] as const;
/** Read at once: a few megabytes at most. */
const FRAMES_PER_READ = 512;
const HEADER_KEY = 'header';

export async function openIndexedDb(name: string): Promise<OpenedDatabase> {
  let database: Database | null = await open(name);
  let isClosed = false;
  const lost = (): void => {
    if (database === null) return;
    database.close();
    database = null;
    if (!isClosed) opened.onGone?.();
  };
  const watch = (fresh: Database): Database => {
    // Cleared by the person or the browser; or about to be, which waits until everybody has let go of it.
    fresh.addEventListener('close', lost);
    fresh.addEventListener('versionchange', lost);
    return fresh;
  };
  watch(database);
  const opened: OpenedDatabase = {
    onGone: null,
    load: () => load(database!),
    write: async (batch) => {
      database ??= watch(await open(name));
      await write(database, batch);
    },
    close: () => {
      isClosed = true;
      database?.close();
      database = null;
    },
  };
  return opened;
}

function open(name: string): Promise<Database> {
  const { indexedDB } = globalThis as unknown as IndexedDbGlobal;
  if (indexedDB === undefined)
    return Promise.reject(new AppError('forbidden', 'this browser keeps no data here (no IndexedDB)'));
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, SCHEMA_VERSION);
    request.addEventListener('upgradeneeded', () => {
      request.result.createObjectStore('header', { keyPath: 'key' });
      request.result.createObjectStore('logs', { keyPath: 'id' });
      request.result.createObjectStore('frames', { keyPath: 'place' });
    });
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(openError(name, request.error)));
  });
}

function openError(name: string, cause: Error | null): AppError {
  if (cause?.name === 'VersionError')
    return new AppError('unsupported-version', `a newer program wrote the device store '${name}'`, { cause });
  return new AppError(
    'store-unavailable',
    `the device store '${name}' cannot be opened: ${messageOf(cause)}`,
    {
      temporary: true,
      cause,
    },
  );
}

async function load(database: Database): Promise<StoredContent> {
  const transaction = database.transaction(stores, 'readonly');
  const [header, logs] = await Promise.all([
    resultOf(transaction.objectStore('header').get(HEADER_KEY)),
    resultOf(transaction.objectStore('logs').getAll(null, 1_000_000)),
  ]);
  const frames: unknown[] = [];
  for (let after = -1; ;) {
    const found = await resultOf(
      database
        .transaction(['frames'], 'readonly')
        .objectStore('frames')
        .getAll(keyRanges().lowerBound(after, true), FRAMES_PER_READ),
    );
    for (const frame of found) frames.push(frame);
    if (found.length < FRAMES_PER_READ) return { header, logs, frames };
    after = (found.at(-1) as FrameRecord).place;
  }
}

function resultOf<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(openError('', request.error)));
  });
}

function keyRanges(): KeyRanges {
  return (globalThis as unknown as IndexedDbGlobal).IDBKeyRange!;
}

function write(database: Database, batch: StoreBatch): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(stores, 'readwrite', { durability: 'strict' });
    transaction.addEventListener('complete', () => resolve());
    transaction.addEventListener('abort', () =>
      reject(transaction.error ?? new Error('the browser gave the transaction up')),
    );
    try {
      fill(transaction, batch);
      transaction.commit?.();
    } catch (thrown) {
      // Else the part that was put would be committed.
      transaction.abort();
      throw thrown;
    }
  });
}

function fill(transaction: Transaction, batch: StoreBatch): void {
  const [header, logs, frames] = stores.map((name) => transaction.objectStore(name)) as [
    ObjectStore,
    ObjectStore,
    ObjectStore,
  ];
  if (batch.isWhole) for (const store of [header, logs, frames]) store.clear();
  for (const { from, to } of batch.removed)
    frames.delete(to === from + 1 ? from : keyRanges().bound(from, to, false, true));
  for (const id of batch.forgotten) logs.delete(id);
  if (batch.header !== null)
    header.put({ key: HEADER_KEY, ...batch.header } satisfies HeaderRecord & { key: string });
  for (const log of batch.logs) logs.put(log satisfies LogRecord);
  for (const { frame, ...at } of batch.frames)
    frames.put({ ...at, frame: compact(frame) } satisfies FrameRecord);
}

/** A view is cloned with all the memory that it looks at. */
function compact(frame: FrameRecord['frame']): FrameRecord['frame'] {
  const { payload, deltasUs } = frame;
  return {
    ...frame,
    payload: ownBytes(payload),
    deltasUs: deltasUs === null ? null : ownBytes(deltasUs),
  };
}

function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}
