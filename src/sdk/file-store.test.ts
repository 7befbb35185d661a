import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';

import { sizeOf } from '#base/ranges.ts';
import {
  bytesBySeq,
  content,
  foot,
  hand,
  testDeviceStoreConformance,
} from '#sdk/device-store-conformance.ts';
import { unsettled, type DeviceLog, type DeviceStore, type StoreEvent } from '#sdk/device-store.ts';
import { createDiskModel, Killed, type DiskModel } from '#sdk/disk-model.ts';
import { fileStore } from '#sdk/file-store.ts';

const directories: string[] = [];
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** Without a test runner, which the conformance suite imports: it makes its own readings. */
const appender = `
import { fileStore } from '#sdk/file-store.ts';
let counter = Date.now() % 1000000;
const content = (count) => {
  const payload = new Uint8Array(count * 4);
  for (let i = 0; i < count; i++) new DataView(payload.buffer).setUint32(i * 4, counter++, true);
  return { count, firstUs: 1, periodNs: 5000000, deltasUs: null, payload };
};
const store = fileStore(process.argv[1]);
const log = store.define(${JSON.stringify(foot)});
process.stdout.write('epoch ' + store.epoch + '\\n');
// It is killed long before; the bound ends it when the test that started it is gone.
for (let i = 0; i < 20000; i++) {
  const frame = store.append(log, content(10));
  process.stdout.write(frame.firstSeq + ' ' + Buffer.from(frame.payload).toString('hex') + '\\n');
}`;

/** A process that appends to the store in `directory` until it is killed, and prints what `append` returned. */
function appendUntilKilled(directory: string): ChildProcessByStdio<null, Readable, null> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', appender, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kymo-store-'));
  directories.push(directory);
  return directory;
}

const placeOf = new WeakMap<DeviceStore, { directory: string; maxBytes: number }>();

function openAt(directory: string, maxBytes: number): DeviceStore {
  const store = fileStore(directory, { maxBytes });
  placeOf.set(store, { directory, maxBytes });
  return store;
}

testDeviceStoreConformance({
  create: (maxBytes) => openAt(newDirectory(), maxBytes),
  reopen: (store) => {
    const { directory, maxBytes } = placeOf.get(store)!;
    store.close();
    return openAt(directory, maxBytes);
  },
  smallBytes: 256 * 1024,
});

/** Opens a store on a modelled disk; the process before it is dead. */
function openModel(disk: DiskModel, options: { maxBytes?: number; boot?: string } = {}): DeviceStore {
  disk.forgetProcess();
  return fileStore('/store', { disk, boot: 'boot:a', maxBytes: 256 * 1024, ...options });
}

function segmentPaths(disk: DiskModel): string[] {
  return [...disk.files.keys()].filter((path) => path.endsWith('.kymo')).toSorted();
}

/** Three frames of ten readings; returns the disk and where the last record begins. */
function writtenDisk(): { disk: DiskModel; epoch: string; lastAt: number; bytes: Map<number, string> } {
  const disk = createDiskModel();
  const store = openModel(disk);
  const log = store.define(foot);
  store.append(log, content(10));
  store.append(log, content(10));
  const lastAt = disk.files.get(segmentPaths(disk)[0]!)!.length;
  store.append(log, content(10, true));
  return { disk, epoch: store.epoch, lastAt, bytes: bytesBySeq(store, log) };
}

function copyOfDisk(disk: DiskModel): DiskModel {
  const copy = createDiskModel();
  for (const [path, bytes] of disk.files) copy.files.set(path, bytes.slice());
  return copy;
}

test('kill -9 while appending loses nothing that append returned, and keeps the epoch', async () => {
  const directory = newDirectory();
  const epochs = new Set<string>();
  const returned = new Map<number, string>();
  for (let round = 0; round < 3; round++) {
    const child = appendUntilKilled(directory);
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if (output.length > 20_000 * (round + 1)) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const lines = output.split('\n').slice(0, -1);
    epochs.add(lines.shift()!);
    for (const line of lines) {
      const [seq, bytes] = line.split(' ');
      expect(returned.has(Number(seq))).toBe(false);
      returned.set(Number(seq), bytes!);
    }
    expect(lines.length).toBeGreaterThan(100);
  }
  expect(epochs.size).toBe(1);
  const store = fileStore(directory);
  const [log] = store.logs();
  expect(log!.losses).toEqual([]);
  const held = bytesBySeq(store, log!);
  for (const [seq, bytes] of returned)
    for (let i = 0; i < 10; i++) expect(held.get(seq + i)).toBe(bytes.slice(i * 8, i * 8 + 8));
  expect(unsettled(log!)).toEqual([{ from: 0, to: held.size }]);
  store.close();
  // Three starts of Node, each of which may take seconds on a busy machine.
}, 60_000);

test('a last record that was cut off anywhere costs itself only', () => {
  const { disk, epoch, lastAt, bytes } = writtenDisk();
  const path = segmentPaths(disk)[0]!;
  const whole = disk.files.get(path)!;
  for (let length = lastAt; length < whole.length; length++) {
    const torn = copyOfDisk(disk);
    torn.files.set(path, whole.slice(0, length));
    const store = openModel(torn);
    const [log] = store.logs();
    expect(store.epoch).toBe(epoch);
    expect(log!.nextSeq).toBe(20);
    expect([...bytesBySeq(store, log!)]).toEqual([...bytes].slice(0, 20));
    expect(store.append(log!, content(1))!.firstSeq).toBe(20);
  }
});

test('a byte of the last record that changed never costs an earlier record, invents one, or lets a number be reused', () => {
  const { disk, epoch, lastAt, bytes } = writtenDisk();
  const path = segmentPaths(disk)[0]!;
  const whole = disk.files.get(path)!;
  for (let at = lastAt; at < whole.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = copyOfDisk(disk);
      changed.files.get(path)![at]! ^= flip;
      const store = openModel(changed);
      const [log] = store.logs();
      const held = [...bytesBySeq(store, log!)];
      expect(held.length === 20 || held.length === 30).toBe(true);
      expect(held).toEqual([...bytes].slice(0, held.length));
      // Torn and damaged cannot always be told apart by a length, but a whole record is never taken for torn.
      const isKept = store.epoch === epoch;
      expect(isKept).toBe(false);
      expect(store.previousStoreLost).toBe(true);
      expect(log!.phase).toBe('replaced');
      expect(store.define(foot).nextSeq).toBe(0);
    }
  }
});

test('a byte that changed in the middle costs its record, which is declared, and one epoch', () => {
  const { disk, epoch, lastAt, bytes } = writtenDisk();
  const path = segmentPaths(disk)[0]!;
  disk.files.get(path)![lastAt - 5]! ^= 1;
  let store = openModel(disk);
  expect(store.epoch).not.toBe(epoch);
  expect(store.previousStoreLost).toBe(true);
  const [log] = store.logs();
  expect(log).toMatchObject({ epoch, phase: 'replaced', nextSeq: 30 });
  expect(log!.losses).toEqual([{ from: 10, to: 20, reason: 'device-store-damaged' }]);
  expect([...bytesBySeq(store, log!)]).toEqual([...bytes].filter(([seq]) => seq < 10 || seq >= 20));
  const second = store.epoch;
  expect(store.define(foot)).toMatchObject({ epoch: second, previousStoreLost: true, nextSeq: 0 });
  // Damage that is known does not end another epoch.
  store = openModel(disk);
  expect(store.epoch).toBe(second);
  expect(store.logs().length).toBe(2);
  expect(store.logs()[0]!.losses).toEqual([{ from: 10, to: 20, reason: 'device-store-damaged' }]);
});

test('a segment that is missing costs its readings and one epoch', () => {
  const disk = createDiskModel();
  let store = openModel(disk);
  const { epoch } = store;
  const log = store.define(foot);
  while (segmentPaths(disk).length < 4) store.append(log, content(100));
  const bytes = bytesBySeq(store, log);
  disk.files.delete(segmentPaths(disk)[1]!);
  store = openModel(disk);
  expect(store.epoch).not.toBe(epoch);
  const [old] = store.logs();
  const held = bytesBySeq(store, old!);
  expect(held.size).toBeGreaterThan(0);
  for (const [seq, value] of held) expect(value).toBe(bytes.get(seq));
  expect(held.size + sizeOf(old!.losses)).toBe(bytes.size);
  expect(old!.losses.length).toBe(1);
});

test('the newest segment missing, or the header unreadable, ends the epoch', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const log = store.define(foot);
  while (segmentPaths(disk).length < 3) store.append(log, content(100));
  store.close();
  const newest = segmentPaths(disk).at(-1)!;
  const cases: ((copy: DiskModel) => void)[] = [
    (copy) => void copy.files.delete(newest),
    (copy) => void copy.files.delete('/store/store.json'),
    (copy) => void copy.files.set('/store/store.json', new Uint8Array(40)),
  ];
  for (const damage of cases) {
    const copy = copyOfDisk(disk);
    damage(copy);
    const found = openModel(copy);
    expect(found.epoch).not.toBe(store.epoch);
    expect(found.previousStoreLost).toBe(true);
    expect(bytesBySeq(found, found.logs()[0]!).size).toBeGreaterThan(100);
  }
  expect(openModel(disk).epoch).toBe(store.epoch);
});

test('a loss of power ends the epoch; a restart after a clean end, or a death without a restart, does not', () => {
  const disk = createDiskModel();
  const first = openModel(disk, { boot: 'boot:a' });
  first.append(first.define(foot), content(10));
  const sameBoot = openModel(disk, { boot: 'boot:a' });
  expect(sameBoot.epoch).toBe(first.epoch);
  sameBoot.close();
  const afterCleanEnd = openModel(disk, { boot: 'boot:b' });
  expect(afterCleanEnd.epoch).toBe(first.epoch);
  const afterPowerLoss = openModel(disk, { boot: 'boot:c' });
  expect(afterPowerLoss.epoch).not.toBe(first.epoch);
  expect(afterPowerLoss.previousStoreLost).toBe(true);
  expect(afterPowerLoss.logs()[0]).toMatchObject({ epoch: first.epoch, phase: 'replaced', nextSeq: 10 });
  expect(bytesBySeq(afterPowerLoss, afterPowerLoss.logs()[0]!).size).toBe(10);
});

test('a full disk costs the newest readings, which are declared once it takes writes again', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const events: StoreEvent[] = [];
  store.onEvent = (event) => events.push(event);
  const log = store.define(foot);
  store.append(log, content(10));
  disk.capacityBytes = [...disk.files.values()].reduce((sum, bytes) => sum + bytes.length, 0) + 30;
  expect(store.append(log, content(10))).toBe(null);
  expect(store.append(log, content(10))).toBe(null);
  expect(log.nextSeq).toBe(30);
  expect(log.losses).toEqual([]);
  expect(store.status()).toMatchObject({ isDiskFull: true, droppedReadings: 20 });
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  expect(store.append(log, content(10))!.firstSeq).toBe(30);
  expect(log.losses).toEqual([{ from: 10, to: 30, reason: 'device-store-full' }]);
  expect(events.map((e) => e.type)).toEqual(['store-full-disk', 'store-disk-ok', 'loss']);
  const bytes = bytesBySeq(store, log);
  const found = openModel(disk);
  expect(found.epoch).toBe(store.epoch);
  expect(found.logs()[0]!.losses).toEqual(log.losses);
  expect(bytesBySeq(found, found.logs()[0]!)).toEqual(bytes);
});

test('a process that dies before it could write what a full disk refused leaves an epoch of unknown end', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const log = store.define(foot);
  store.append(log, content(10));
  disk.capacityBytes = [...disk.files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  expect(store.append(log, content(10))).toBe(null);
  disk.forgetProcess();
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  const next = openModel(disk);
  expect(next.previousStoreLost).toBe(true);
  expect(next.epoch).not.toBe(store.epoch);
  expect(next.logs()[0]).toMatchObject({ epoch: store.epoch, phase: 'replaced', nextSeq: 10 });
  const fresh = next.define(foot);
  expect(fresh).toMatchObject({ epoch: next.epoch, previousStoreLost: true, nextSeq: 0 });

  // Written at last, it costs nothing.
  disk.capacityBytes = [...disk.files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  expect(next.append(fresh, content(10))).toBe(null);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  next.append(fresh, content(10));
  disk.forgetProcess();
  expect(openModel(disk)).toMatchObject({ epoch: next.epoch });
});

test('what a full disk refused is declared for that reason, whatever else is declared before', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const log = store.define(foot);
  store.append(log, content(10));
  disk.capacityBytes = 0;
  for (let i = 0; i < 3; i++) expect(store.append(log, content(10))).toBe(null);
  // A server that is found to lack them, while they are owed: they were never there.
  store.declareLost(log, { from: 10, to: log.nextSeq, reason: 'server-restored' });
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  store.append(log, content(10));
  expect(log.losses).toEqual([{ from: 10, to: 40, reason: 'device-store-full' }]);
  store.close();
});

test('what a full disk refused is declared before its stream goes on in a new epoch', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const events: StoreEvent[] = [];
  store.onEvent = (event) => events.push(event);
  const log = store.define(foot);
  store.append(log, content(10));
  disk.capacityBytes = 0;
  expect(store.append(log, content(10))).toBe(null);
  expect(() => store.startEpoch(log, 5)).toThrow('the disk is full');
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  const next = store.startEpoch(log, 5);
  expect(events.filter((event) => event.type === 'loss')).toMatchObject([
    { loss: { from: 10, to: 20, reason: 'device-store-full' } },
  ]);
  expect(next.losses).toEqual([{ from: 5, to: 15, reason: 'device-store-full' }]);
  store.append(next, content(10));
  store.close();
});

test('on a full disk acknowledged readings make room for new ones', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const log = store.define(foot);
  while (segmentPaths(disk).length < 3) store.append(log, content(100));
  store.setSettled(log, [{ from: 0, to: log.nextSeq }]);
  disk.capacityBytes = [...disk.files.values()].reduce((sum, bytes) => sum + bytes.length, 0) + 30;
  expect(store.append(log, content(100))).not.toBe(null);
  expect(segmentPaths(disk).length).toBe(1);
});

test('a store opens on a full disk, and its readings can be sent', () => {
  const disk = createDiskModel();
  const first = openModel(disk);
  first.append(first.define(foot), content(10));
  first.close();
  disk.capacityBytes = 0;
  const store = openModel(disk, { boot: 'boot:b' });
  expect(bytesBySeq(store, store.logs()[0]!).size).toBe(10);
  expect(store.append(store.logs()[0]!, content(10))).toBe(null);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  expect(store.append(store.logs()[0]!, content(10))!.firstSeq).toBe(20);
  // The header could not be written, so a loss of power later is not missed.
  expect(openModel(disk, { boot: 'boot:c' }).epoch).not.toBe(first.epoch);
});

test('a store that finds no room to open, or to close, gives its lock back all the same', () => {
  const disk = createDiskModel();
  disk.capacityBytes = 150;
  expect(() => fileStore('/store', { disk })).toThrow(expect.objectContaining({ code: 'overloaded' }));
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  const store = fileStore('/store', { disk });
  disk.capacityBytes = 0;
  store.close();
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  fileStore('/store', { disk }).close();
});

test('a frame whose bytes changed after it was written is a loss when it is read', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const events: StoreEvent[] = [];
  store.onEvent = (event) => events.push(event);
  const log = store.define(foot);
  store.append(log, content(10));
  disk.files.get(segmentPaths(disk)[0]!)!.fill(0, -8);
  store.append(log, content(10));
  expect([...bytesBySeq(store, log).keys()]).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  expect(log.losses).toEqual([{ from: 0, to: 10, reason: 'device-store-damaged' }]);
  expect(events).toEqual([expect.objectContaining({ type: 'loss' })]);
});

test('a store that is open cannot be opened again, one whose process died can', async () => {
  const directory = newDirectory();
  const store = fileStore(directory);
  expect(() => fileStore(directory)).toThrow(expect.objectContaining({ code: 'conflict' }));
  store.close();
  fileStore(directory).close();
  const child = appendUntilKilled(directory);
  await once(child.stdout, 'data');
  expect(() => fileStore(directory)).toThrow(expect.objectContaining({ code: 'conflict' }));
  child.kill('SIGKILL');
  await once(child, 'close');
  fileStore(directory).close();
  expect(readdirSync(directory).filter((name) => name.startsWith('lock-')).length).toBe(1);
}, 60_000);

test('a lock of a process whose number was given to another is not respected', () => {
  const directory = newDirectory();
  fileStore(directory).close();
  const [name] = readdirSync(directory).filter((entry) => entry.startsWith('lock-'));
  const holder = JSON.parse(readFileSync(join(directory, name!), 'utf8')) as object;
  const alive = { ...holder, isReleased: false };
  writeFileSync(join(directory, name!), JSON.stringify(alive));
  expect(() => fileStore(directory)).toThrow(expect.objectContaining({ code: 'conflict' }));
  writeFileSync(join(directory, name!), JSON.stringify({ ...alive, process: `${process.pid}@1` }));
  fileStore(directory).close();
});

test('a store of a newer format is left alone', () => {
  const disk = createDiskModel();
  openModel(disk).close();
  const header = JSON.parse(new TextDecoder().decode(disk.files.get('/store/store.json'))) as object;
  disk.files.set('/store/store.json', new TextEncoder().encode(JSON.stringify({ ...header, format: 2 })));
  expect(() => openModel(disk)).toThrow(expect.objectContaining({ code: 'unsupported-version' }));
});

test('what a server was found to lack is known to the next process', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const log = store.define(foot);
  store.append(log, content(10));
  store.setSettled(log, [{ from: 0, to: 10 }]);
  store.setIncarnation('01890000-0000-7000-8000-00000000abcd');
  store.setSettled(log, [{ from: 0, to: 4 }]);
  expect(openModel(disk).logs()[0]!.settled).toEqual([{ from: 0, to: 4 }]);
});

test('a new epoch is on the medium before anything is sent under it', () => {
  const disk = createDiskModel();
  const store = openModel(disk);
  const log = store.define(foot);
  store.append(log, content(10));
  store.startEpoch(log, 5);
  const [path] = segmentPaths(disk);
  expect(disk.synced.get(path!)).toBe(disk.files.get(path!)!.length);
});

test('a disk that cannot be read while a new epoch is begun costs a later attempt, and no reading', () => {
  const disk = createDiskModel();
  const open = disk.open;
  let isRefusing = false;
  disk.open = (path) => {
    const file = open(path);
    const refuse = (): Uint8Array => {
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    };
    return { ...file, read: (offset, length) => (isRefusing ? refuse() : file.read(offset, length)) };
  };
  const store = openModel(disk);
  const old = store.define(foot);
  for (let i = 0; i < 4; i++) store.append(old, content(10));
  isRefusing = true;
  expect(() => store.startEpoch(old, 5)).toThrow('cannot be read now');
  expect(store.logs()).toMatchObject([{ phase: 'recording', nextSeq: 40, losses: [] }]);
  isRefusing = false;
  const next = store.startEpoch(old, 5);
  expect(next).toMatchObject({ nextSeq: 35, losses: [] });
  expect(store.held(next)).toEqual([{ from: 0, to: 35 }]);
});

test('a death during the copy to a new epoch leaves the old one as it was', () => {
  for (let writes = 0; ; writes++) {
    const disk = createDiskModel();
    const store = openModel(disk);
    const old = store.define(foot);
    store.define(hand);
    for (let i = 0; i < 4; i++) store.append(old, content(10));
    const bytes = [...bytesBySeq(store, old).values()];
    disk.killAfterWrites = writes;
    disk.killBytes = 11;
    let isDead = false;
    try {
      store.startEpoch(old, 20);
    } catch {
      isDead = true;
    }
    const found = openModel(disk);
    const all = found.logs().flatMap((log) => [...bytesBySeq(found, log).values()]);
    expect(all.toSorted()).toEqual(bytes.toSorted());
    expect(found.epoch).toBe(store.epoch);
    if (isDead) continue;
    expect(writes).toBeGreaterThan(2);
    return;
  }
});

test('a death in the middle of any write costs nothing that was returned, and no number is given again', () => {
  const death = fc.record({
    writes: fc.nat(150),
    bytes: fc.nat(500),
    settleEvery: fc.integer({ min: 1, max: 30 }),
  });
  fc.assert(
    fc.property(fc.array(death, { minLength: 1, maxLength: 4 }), (deaths) => {
      const disk = createDiskModel();
      const returned = new Map<number, string>();
      const epochs = new Set<string>();
      const doubled: number[] = [];
      for (const { writes, bytes, settleEvery } of deaths) {
        const store = openModel(disk);
        epochs.add(store.epoch);
        const log = store.define(foot);
        expect(missingFrom(store, log, returned)).toEqual([]);
        disk.killAfterWrites = writes;
        disk.killBytes = bytes;
        doubled.push(...appendUntilDeath(disk, store, { log, returned, settleEvery }));
      }
      expect(epochs.size).toBe(1);
      expect(doubled).toEqual([]);
    }),
    { numRuns: 20 },
  );
});

/** Numbers that were returned and are neither held as they were, nor settled, nor declared lost. */
function missingFrom(store: DeviceStore, log: DeviceLog, returned: ReadonlyMap<number, string>): number[] {
  const held = bytesBySeq(store, log);
  return [...returned].flatMap(([seq, bytes]) => (held.get(seq) === bytes || isGone(log, seq) ? [] : [seq]));
}

/** Settled readings may be dropped at any time, others only with a declared loss. */
function isGone(log: DeviceLog, seq: number): boolean {
  return [...log.settled, ...log.losses].some((range) => range.from <= seq && seq < range.to);
}

/** Adds what `append` returned while the process lived; returns numbers that were given before. */
function appendUntilDeath(
  disk: DiskModel,
  store: DeviceStore,
  { log, returned, settleEvery }: { log: DeviceLog; returned: Map<number, string>; settleEvery: number },
): number[] {
  const doubled: number[] = [];
  try {
    for (let i = 0; i < 300; i++) {
      const frame = store.append(log, content(100));
      if (frame === null || disk.killAfterWrites < 0) return doubled;
      if (returned.has(frame.firstSeq)) doubled.push(frame.firstSeq);
      for (let r = 0; r < 100; r++)
        returned.set(
          frame.firstSeq + r,
          Buffer.from(frame.payload.subarray(r * 4, r * 4 + 4)).toString('hex'),
        );
      if (i % settleEvery === 0) store.setSettled(log, [{ from: 0, to: Math.floor(log.nextSeq / 2) }]);
      if (i % 50 === 0) store.setIncarnation(`01890000-0000-7000-8000-00000000${1000 + i}`);
    }
  } catch (thrown) {
    if (!(thrown instanceof Killed)) throw thrown;
  }
  return doubled;
}

test('forgetting all streams of a session deletes the files that held nothing else, the newest too', () => {
  const disk = createDiskModel();
  const store = openModel(disk, { maxBytes: 1024 * 1024 });
  const other = store.define({ ...hand, session: '01890000-0000-7000-8000-0000000000aa' });
  store.append(other, content(10));
  const log = store.define(foot);
  while (segmentPaths(disk).length < 5) store.append(log, content(100));
  const secret = content(3);
  store.append(log, secret);
  store.forget(log);
  // The first segment has readings of the other stream; a new one takes the place of the newest.
  expect(segmentPaths(disk)).toHaveLength(2);
  const left = Buffer.concat(segmentPaths(disk).map((path) => disk.files.get(path)!));
  expect(left.includes(Buffer.from(secret.payload))).toBe(false);
  expect(bytesBySeq(store, other).size).toBe(10);
  store.close();
  const again = openModel(disk);
  expect(again.logs().map((l) => l.definition.stream)).toEqual([hand.stream]);
  expect(again.previousStoreLost).toBe(false);
  again.close();
});
