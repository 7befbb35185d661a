/** The browser's device store over a database that can be held back, full, damaged and cleared. Chromium's own: test/e2e. */

import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { sizeOf } from '#base/ranges.ts';
import {
  bytesBySeq,
  content,
  foot,
  hand,
  testDeviceStoreConformance,
} from '#sdk/device-store-conformance.ts';
import type { DeviceStore, StoreEvent } from '#sdk/device-store.ts';
import type { BrowserMachine } from '#sdk/browser-machine.ts';
import { indexedDbStore } from '#sdk/indexed-db-store.ts';
import type { OpenedDatabase } from '#sdk/indexed-db.ts';
import type { FrameRecord, HeaderRecord, LogRecord, StoreBatch } from '#sdk/write-behind.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

interface Disk {
  header: HeaderRecord | undefined;
  readonly logs: Map<number, LogRecord>;
  readonly frames: Map<number, FrameRecord>;
  /** Payload bytes that fit; beyond, a transaction is refused. */
  quotaBytes: number;
  /** Transactions with readings are refused for this reason. */
  refusal: string | null;
  /** When it is full it takes deletions alone, as Chromium's does. */
  isStrict: boolean;
  /** Transactions wait until this resolves. */
  held: Promise<void>;
  writes: number;
  open: OpenedDatabase | null;
}

function newDisk(): Disk {
  return {
    header: undefined,
    logs: new Map(),
    frames: new Map(),
    quotaBytes: Number.POSITIVE_INFINITY,
    refusal: null,
    isStrict: false,
    held: Promise.resolve(),
    writes: 0,
    open: null,
  };
}

function bytesOn(disk: Disk): number {
  return [...disk.frames.values()].reduce((sum, { frame }) => sum + frame.payload.length, 0);
}

function databaseOn(disk: Disk): OpenedDatabase {
  const database: OpenedDatabase = {
    onGone: null,
    load: () =>
      Promise.resolve(
        structuredClone({
          header: disk.header,
          logs: [...disk.logs.values()].toSorted((a, b) => a.id - b.id),
          frames: [...disk.frames.values()].toSorted((a, b) => a.place - b.place),
        }),
      ),
    write: async (batch) => {
      const frozen = structuredClone(batch);
      await disk.held;
      if (disk.refusal !== null && frozen.frames.length > 0) throw new DOMException('no', disk.refusal);
      const added = frozen.frames.reduce((sum, { frame }) => sum + frame.payload.length, 0);
      const isPut = added > 0 || (disk.isStrict && (frozen.header !== null || frozen.logs.length > 0));
      if (isPut && bytesOn(disk) + added > disk.quotaBytes)
        throw new DOMException('no room', 'QuotaExceededError');
      apply(disk, frozen);
    },
    close: () => {
      disk.open = null;
    },
  };
  disk.open = database;
  return database;
}

function apply(disk: Disk, batch: StoreBatch): void {
  disk.writes++;
  if (batch.isWhole) {
    disk.logs.clear();
    disk.frames.clear();
  }
  for (const { from, to } of batch.removed)
    for (const place of disk.frames.keys()) if (place >= from && place < to) disk.frames.delete(place);
  for (const id of batch.forgotten) disk.logs.delete(id);
  if (batch.header !== null) disk.header = batch.header;
  for (const log of batch.logs) disk.logs.set(log.id, log);
  for (const frame of batch.frames) disk.frames.set(frame.place, frame);
}

interface Bed {
  readonly disk: Disk;
  readonly clock: ReturnType<typeof createManualClock>;
  readonly marks: Map<string, string>;
  open(maxBytes?: number): Promise<DeviceStore>;
}

function newBed(disk = newDisk()): Bed {
  const clock = createManualClock();
  const marks = new Map<string, string>();
  let isLocked = false;
  const machine: BrowserMachine = {
    lock: () => {
      if (isLocked) return Promise.reject(new AppError('conflict', 'in use'));
      isLocked = true;
      return Promise.resolve(() => {
        isLocked = false;
      });
    },
    persist: () => Promise.resolve(true),
    mark: (name) => marks.get(name) ?? null,
    setMark: (name, text) => void marks.set(name, text),
    listen: () => () => undefined,
  };
  return {
    disk,
    clock,
    marks,
    open: (maxBytes = 1024 * 1024) =>
      indexedDbStore('test', {
        maxBytes,
        clock,
        machine,
        openDatabase: () => Promise.resolve(databaseOn(disk)),
      }),
  };
}

function durable(store: DeviceStore): Promise<void> {
  return new Promise((resolve) => store.whenDurable!(resolve));
}

/** The process dies: what is on disk is all there is. */
function afterDeath(disk: Disk): Bed {
  return newBed({ ...disk, logs: new Map(disk.logs), frames: new Map(disk.frames), open: null });
}

const beds = new WeakMap<DeviceStore, Bed>();
async function opened(bed: Bed, maxBytes?: number): Promise<DeviceStore> {
  const store = await bed.open(maxBytes);
  beds.set(store, bed);
  return store;
}

testDeviceStoreConformance({
  create: (maxBytes) => opened(newBed(), maxBytes),
  reopen: async (store) => {
    store.close();
    await store.closed;
    return opened(beds.get(store)!, store.status().maxBytes);
  },
  smallBytes: 256 * 1024,
});

test('what may be shown to a server waits until it is durable, in order', async () => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  await durable(store);
  let release = (): void => undefined;
  bed.disk.held = new Promise((resolve) => {
    release = resolve;
  });
  const shown: string[] = [];
  store.whenDurable!(() => shown.push('before'));
  store.append(log, content(10));
  store.whenDurable!(() => shown.push('first'));
  store.append(log, content(10));
  store.whenDurable!(() => shown.push('second'));
  await Promise.resolve();
  expect(shown).toEqual(['before']);
  expect(afterDeath(bed.disk).disk.frames.size).toBe(0);
  release();
  await durable(store);
  expect(shown).toEqual(['before', 'first', 'second']);
  const again = await afterDeath(bed.disk).open();
  expect(again.previousStoreLost).toBe(false);
  expect(bytesBySeq(again, again.logs()[0]!)).toEqual(bytesBySeq(store, log));
});

test('what one turn of the program changes is one transaction', async () => {
  const bed = newBed();
  const store = await bed.open();
  const [a, b] = [store.define(foot), store.define(hand)];
  await durable(store);
  const before = bed.disk.writes;
  for (let i = 0; i < 10; i++) for (const log of [a, b]) store.append(log, content(10));
  await durable(store);
  expect(bed.disk.writes - before).toBe(1);
});

test('acknowledgements alone are written within a second, and hold nothing back', async () => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  store.append(log, content(10));
  await durable(store);
  const before = bed.disk.writes;
  store.setSettled(log, [{ from: 0, to: 10 }]);
  let isShown = false;
  store.whenDurable!(() => {
    isShown = true;
  });
  expect(isShown).toBe(true);
  expect(bed.disk.writes).toBe(before);
  bed.clock.advance(1000);
  await expect.poll(() => bed.disk.logs.get(log.id)?.settled).toEqual([{ from: 0, to: 10 }]);
});

test('a full disk first costs what is acknowledged, and nothing else when that is enough', async () => {
  const bed = newBed();
  const store = await bed.open();
  const events: StoreEvent['type'][] = [];
  store.onEvent = ({ type }) => events.push(type);
  const log = store.define(foot);
  for (let i = 0; i < 10; i++) store.append(log, content(100));
  await durable(store);
  store.setSettled(log, [{ from: 0, to: 600 }]);
  bed.disk.quotaBytes = 4000;
  store.append(log, content(100));
  await durable(store);
  await expect.poll(() => store.status().isDiskFull).toBe(false);
  expect(events).toEqual(['store-full-disk', 'store-disk-ok']);
  expect(store.status().droppedReadings).toBe(0);
  const again = await afterDeath(bed.disk).open();
  expect(again.held(again.logs()[0]!)).toEqual([{ from: 600, to: 1100 }]);
  expect(again.previousStoreLost).toBe(false);
});

test('a disk that stays full costs the oldest readings, declared, a share at a time and ever more slowly', async () => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  for (let i = 0; i < 64; i++) store.append(log, content(100));
  await durable(store);
  bed.disk.quotaBytes = 0;
  store.append(log, content(100));
  await durable(store);
  await new Promise((resolve) => setImmediate(resolve));
  const dropped: number[] = [store.status().droppedReadings];
  expect(log.losses).toEqual([{ from: 0, to: dropped[0]!, reason: 'device-store-full' }]);
  expect(dropped[0]).toBeLessThanOrEqual(6500 / 16 + 100);
  for (let second = 1; second <= 7; second++) {
    bed.clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
    dropped.push(store.status().droppedReadings);
  }
  // Attempts at once and after 1, 3 and 7 seconds.
  expect(dropped.map((count, i) => count > (dropped[i - 1] ?? 0))).toEqual([
    true,
    true,
    false,
    true,
    false,
    false,
    false,
    true,
  ]);
  expect(store.status().droppedReadings).toBeLessThanOrEqual(4 * (6500 / 16 + 100));
  expect(log.losses).toEqual([{ from: 0, to: store.status().droppedReadings, reason: 'device-store-full' }]);
  bed.disk.quotaBytes = Number.POSITIVE_INFINITY;
  bed.clock.advance(60_000);
  await expect.poll(() => store.status().isDiskFull).toBe(false);
  const again = await afterDeath(bed.disk).open();
  expect(again.logs()[0]!.losses).toEqual(log.losses);
  expect(bytesBySeq(again, again.logs()[0]!)).toEqual(bytesBySeq(store, log));
});

test('numbers that a failing disk took without their readings are losses after a death, in the same epoch', async () => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  store.append(log, content(10));
  await durable(store);
  bed.disk.refusal = 'UnknownError';
  store.append(log, content(5));
  // Sending goes on: the numbers are durable.
  await durable(store);
  const again = await afterDeath(bed.disk).open();
  expect(again.epoch).toBe(store.epoch);
  const [found] = again.logs();
  expect(found!.nextSeq).toBe(15);
  expect(found!.losses).toEqual([{ from: 10, to: 15, reason: 'device-store-full' }]);
});

test('readings that a full disk let go of without a word are losses after a death, in the same epoch', async () => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  for (let i = 0; i < 64; i++) store.append(log, content(100));
  await durable(store);
  const { disk } = bed;
  disk.frames.delete(1);
  disk.frames.delete(2);
  const again = await afterDeath(disk).open();
  expect(again.epoch).toBe(store.epoch);
  expect(again.logs()[0]!.losses).toEqual([{ from: 0, to: 200, reason: 'device-store-full' }]);
});

test('a disk that takes nothing but deletions is helped by them', async () => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  for (let i = 0; i < 64; i++) store.append(log, content(100));
  await durable(store);
  bed.disk.quotaBytes = 6400 * 4;
  bed.disk.isStrict = true;
  store.append(log, content(100));
  await durable(store);
  const { droppedReadings, isDiskFull } = store.status();
  expect({ droppedReadings, isDiskFull }).toEqual({ droppedReadings: 500, isDiskFull: false });
  const again = await afterDeath(bed.disk).open();
  expect(bytesBySeq(again, again.logs()[0]!)).toEqual(bytesBySeq(store, log));
});

test('a database that was cleared while in use is written anew from memory', async () => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  store.append(log, content(10));
  await durable(store);
  bed.disk.header = undefined;
  bed.disk.logs.clear();
  bed.disk.frames.clear();
  bed.disk.open!.onGone!();
  store.append(log, content(10));
  await durable(store);
  const again = await afterDeath(bed.disk).open();
  expect(again.epoch).toBe(store.epoch);
  expect(bytesBySeq(again, again.logs()[0]!)).toEqual(bytesBySeq(store, log));
});

test('a database that was cleared meanwhile is a lost store, where the mark is still there', async () => {
  const bed = newBed();
  const store = await bed.open();
  store.close();
  await store.closed;
  const fresh = newBed();
  expect((await fresh.open()).previousStoreLost).toBe(false);
  const cleared = newBed();
  for (const [name, text] of bed.marks) cleared.marks.set(name, text);
  const again = await cleared.open();
  expect(again.previousStoreLost).toBe(true);
  expect(again.epoch).not.toBe(store.epoch);
  again.close();
  await again.closed;
  // Known from now on, until something is lost again.
  expect((await cleared.open()).epoch).toBe(again.epoch);
});

test.each<[string, (disk: Disk) => void]>([
  ['a missing frame', (disk) => disk.frames.delete([...disk.frames.keys()][1]!)],
  ['a shortened frame', (disk) => shorten(disk)],
  ['a missing header', (disk) => void (disk.header = undefined)],
  ['a header of nonsense', (disk) => void (disk.header = { ...disk.header!, epoch: 'x' })],
  ['a log of nonsense', (disk) => void disk.logs.set(1, { ...disk.logs.get(1)!, nextSeq: -1.5 })],
])('%s ends the epoch; what is readable stays', async (_, harm) => {
  const bed = newBed();
  const store = await bed.open();
  const log = store.define(foot);
  for (let i = 0; i < 3; i++) store.append(log, content(10));
  await durable(store);
  const bytes = bytesBySeq(store, log);
  const after = afterDeath(bed.disk);
  harm(after.disk);
  const again = await after.open();
  expect(again.previousStoreLost).toBe(true);
  expect(again.epoch).not.toBe(store.epoch);
  expect(again.incarnation).toBeNull();
  for (const old of again.logs()) {
    expect(old.phase).toBe('replaced');
    for (const [seq, value] of bytesBySeq(again, old)) expect(value).toBe(bytes.get(seq));
    expect(sizeOf(again.held(old)) + sizeOf(old.losses)).toBe(30);
  }
  const next = again.define(foot);
  expect(next.epoch).toBe(again.epoch);
  expect(next.previousStoreLost).toBe(true);
  // Damage that is known is not found again.
  again.close();
  await again.closed;
  expect((await after.open()).epoch).toBe(again.epoch);
});

function shorten(disk: Disk): void {
  const [place, record] = [...disk.frames][0]!;
  const frame = { ...record.frame, payload: record.frame.payload.slice(1) };
  disk.frames.set(place, { ...record, frame });
}

test('a store of a newer program is refused, and one in use too', async () => {
  const bed = newBed();
  const store = await bed.open();
  await expect(bed.open()).rejects.toMatchObject({ code: 'conflict' });
  store.close();
  await store.closed;
  bed.disk.header = { ...bed.disk.header!, format: 2 };
  await expect(bed.open()).rejects.toMatchObject({ code: 'unsupported-version' });
});
