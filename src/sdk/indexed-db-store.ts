/**
 * Owns the device store of a browser: a store in memory whose every change is written behind to IndexedDB, and read back
 * when it is opened. One tab at a time has it, by a Web Lock. Nothing is shown to a server before it is durable
 * (`whenDurable`), so a page that is killed, frozen or discarded gives no number twice; readings of its last few
 * milliseconds go with it, as if they had never been taken. Bound: `maxBytes`, in memory and on disk.
 */

import { assert } from '#base/assert.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { browserMachine, type BrowserMachine } from '#sdk/browser-machine.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { openIndexedDb, type OpenedDatabase } from '#sdk/indexed-db.ts';
import { ownMemory } from '#sdk/memory-store.ts';
import { FORMAT, restoreContent } from '#sdk/stored-content.ts';
import { createWriteBehind, type HeaderRecord } from '#sdk/write-behind.ts';

export interface IndexedDbStoreOptions {
  /** Default 32 MiB: an hour of one nine-axis float stream at 200 Hz. At least 256 KiB. All of it is in memory too. */
  readonly maxBytes?: number;
  /** When another tab has the store: `fail` (default) with AppError `conflict`, or `wait` until it lets go. */
  readonly whenBusy?: 'fail' | 'wait';
  /** Ends the waiting, with AppError `conflict`. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** For tests. */
  readonly machine?: BrowserMachine;
  /** For tests. */
  readonly openDatabase?: (name: string) => Promise<OpenedDatabase>;
}

const DEFAULT_MAX_BYTES = 32 * 1024 * 1024;
const MIN_MAX_BYTES = 256 * 1024;

/**
 * Opens the store `name` of this origin, which is made if there is none. Rejects with AppError: `conflict` when another
 * tab has it, `unsupported-version` when a newer program wrote it, `forbidden` where the browser offers no storage
 * (private windows of some, pages from plain http), `store-unavailable` when it cannot be opened now.
 */
export async function indexedDbStore(
  name: string,
  options: IndexedDbStoreOptions = {},
): Promise<DeviceStore> {
  const { machine = browserMachine, openDatabase = openIndexedDb, maxBytes = DEFAULT_MAX_BYTES } = options;
  assert(maxBytes >= MIN_MAX_BYTES, 'a store in a browser has at least 256 KiB');
  const key = `kymo-device-store:${name}`;
  const unlock = await machine.lock(key, { isPatient: options.whenBusy === 'wait', signal: options.signal });
  let database: OpenedDatabase | null = null;
  try {
    database = await openDatabase(key);
    const stored = await database.load();
    const restored = restoreContent(stored, machine.mark(key) !== null);
    const store = storeOn(database, restored, { maxBytes, clock: options.clock ?? systemClock, unlock });
    void machine.persist();
    // The mark says that there is a database, so it comes after it.
    await new Promise<void>((resolve) => store.whenDurable!(resolve));
    machine.setMark(key, store.epoch);
    return store;
  } catch (thrown) {
    database?.close();
    unlock();
    throw thrown;
  }
}

function storeOn(
  database: OpenedDatabase,
  { content, isDamaged }: ReturnType<typeof restoreContent>,
  options: { readonly maxBytes: number; readonly clock: Clock; readonly unlock: () => void },
): DeviceStore {
  const header = (): HeaderRecord => ({
    format: FORMAT,
    epoch: content.epoch,
    previousStoreLost: content.previousStoreLost,
    incarnation: memory.store.incarnation,
    nextLogId: memory.nextLogId(),
  });
  const behind = createWriteBehind({
    clock: options.clock,
    database,
    header,
    onFull: (isFull, message) =>
      memory.store.onEvent?.(isFull ? { type: 'store-full-disk', message } : { type: 'store-disk-ok' }),
  });
  const memory = ownMemory(content, { maxBytes: options.maxBytes, journal: behind.journal });
  behind.attach(memory);
  if (isDamaged || content.nextLogId === 1) behind.writeAll();
  let closed = (): void => undefined;
  const { status } = memory.store;
  return Object.assign(memory.store, {
    whenDurable: behind.whenDurable,
    status: () => ({ ...status(), isDiskFull: behind.isFull() }),
    closed: new Promise<void>((resolve) => {
      closed = resolve;
    }),
    close: () => {
      void behind.close().finally(() => {
        options.unlock();
        closed();
      });
    },
  });
}
