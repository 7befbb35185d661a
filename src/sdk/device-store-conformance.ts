/**
 * Owns what every device store must do, wherever it keeps its readings: one suite of tests, run by each
 * implementation's own test file, in Node or in a browser. `reopen` is left out by a store that does not outlive its
 * process.
 */

import { expect, test } from 'vitest';

import { sizeOf } from '#base/ranges.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { unsettled, type DeviceLog, type DeviceStore, type FrameContent } from '#sdk/device-store.ts';

export interface StoreUnderTest {
  /** An empty store with this bound. */
  readonly create: (maxBytes: number) => DeviceStore | Promise<DeviceStore>;
  /** Closes the store and opens it again. */
  readonly reopen?: (store: DeviceStore) => DeviceStore | Promise<DeviceStore>;
  /** A bound that holds at least a hundred frames of `content(10)`. */
  readonly smallBytes: number;
}

export const foot: StreamDefinition = {
  stream: '01890000-0000-7000-8000-000000000001',
  session: '01890000-0000-7000-8000-0000000000ff',
  segment: 'left-foot',
  sensor: 'imu',
  axes: [
    { name: 'acc_x', unit: 'm/s2' },
    { name: 'acc_y', unit: 'm/s2' },
  ],
  rateHz: 200,
  encoding: 'int16',
  scale: [0.001, 0.001],
  clock: 'device',
};
export const hand: StreamDefinition = {
  ...foot,
  stream: '01890000-0000-7000-8000-000000000002',
  segment: 'hand',
};

let counter = 0;

/** Readings like no others. */
export function content(count: number, hasTimes = false): FrameContent {
  const payload = new Uint8Array(count * 4);
  const view = new DataView(payload.buffer);
  for (let i = 0; i < count; i++) view.setUint32(i * 4, counter++, true);
  const deltasUs = hasTimes ? new Uint8Array(count * 4).fill(7) : null;
  return { count, firstUs: 1_700_000_000_000_000 + counter, periodNs: 5_000_000, deltasUs, payload };
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What a reading is, whatever frame it came in. */
export function bytesBySeq(store: DeviceStore, log: DeviceLog): Map<number, string> {
  const found = new Map<number, string>();
  let seq = 0;
  for (;;) {
    const frames = store.read(log, seq, 4096);
    if (frames.length === 0) return found;
    for (const frame of frames) {
      for (let i = 0; i < frame.count; i++)
        found.set(frame.firstSeq + i, hexOf(frame.payload.subarray(i * 4, i * 4 + 4)));
      seq = frame.firstSeq + frame.count;
    }
  }
}

export function testDeviceStoreConformance(under: StoreUnderTest): void {
  testNumbers(under);
  testSpace(under);
  testForgetting(under);
  testLife(under);
  testEpochs(under);
}

function testNumbers(under: StoreUnderTest): void {
  test('numbers start at 0 and follow each other, per stream', async () => {
    const store = await under.create(under.smallBytes);
    const a = store.define(foot);
    const b = store.define(hand);
    expect(store.append(a, content(3))!.firstSeq).toBe(0);
    expect(store.append(b, content(5))!.firstSeq).toBe(0);
    expect(store.append(a, content(2))!.firstSeq).toBe(3);
    expect(a.nextSeq).toBe(5);
    expect(b.nextSeq).toBe(5);
    expect(a.epoch).toBe(store.epoch);
    store.close();
  });

  test('what was appended is read back, from any number on, within a limit of bytes', async () => {
    const store = await under.create(under.smallBytes);
    const log = store.define(foot);
    const first = content(10);
    const second = content(4, true);
    store.append(log, first);
    store.append(store.define(hand), content(6));
    store.append(log, second);
    expect(plain(store.read(log, 0, 1000))).toEqual([plainOf(first, 0), plainOf(second, 10)]);
    expect(plain(store.read(log, 9, 1000)).length).toBe(2);
    expect(plain(store.read(log, 10, 1000))).toEqual([plainOf(second, 10)]);
    expect(plain(store.read(log, 0, 10))).toEqual([plainOf(first, 0)]);
    expect(store.read(log, 14, 1000)).toEqual([]);
    expect(store.held(log)).toEqual([{ from: 0, to: 14 }]);
    store.close();
  });

  test('a stream is defined once; another definition under its id is refused', async () => {
    const store = await under.create(under.smallBytes);
    const log = store.define(foot);
    expect(log.previousStoreLost).toBe(false);
    expect(store.define({ ...foot }, true)).toBe(log);
    expect(log.previousStoreLost).toBe(false);
    expect(() => store.define({ ...foot, rateHz: 100 })).toThrow(
      expect.objectContaining({ code: 'stream-mismatch', field: '/rateHz' }),
    );
    expect(() => store.define({ ...hand, scale: [1] })).toThrow(
      expect.objectContaining({ code: 'invalid-field', field: '/scale' }),
    );
    store.end(log);
    expect(() => store.define(foot)).toThrow(expect.objectContaining({ code: 'stream-closed' }));
    // What the program has recorded before, and the store has not, was lost with another store.
    expect(store.define(hand, true).previousStoreLost).toBe(true);
    store.close();
  });

  test('skipped numbers are losses, neighbours of one reason together', async () => {
    const store = await under.create(under.smallBytes);
    const log = store.define(foot);
    store.append(log, content(3));
    store.skip(log, 4, 'sensor-fault');
    store.skip(log, 1, 'sensor-fault');
    expect(store.append(log, content(2))!.firstSeq).toBe(8);
    store.declareLost(log, { from: 1, to: 4, reason: 'erased-on-device' });
    expect(log.losses).toEqual([
      { from: 1, to: 3, reason: 'erased-on-device' },
      { from: 3, to: 8, reason: 'sensor-fault' },
    ]);
    store.close();
  });
}

function testSpace(under: StoreUnderTest): void {
  test('acknowledged readings go first when space is needed, and no earlier', async () => {
    const store = await under.create(under.smallBytes);
    const a = store.define(foot);
    const b = store.define(hand);
    const kept = store.append(b, content(10))!;
    for (let i = 0; i < 50; i++) store.append(a, content(10));
    store.setSettled(a, [{ from: 0, to: a.nextSeq }]);
    expect(store.held(a)).toEqual([{ from: 0, to: 500 }]);
    // Everything of stream a is acknowledged all the time: nothing is ever lost.
    while (sizeOf(store.held(a)) === a.nextSeq) {
      store.append(a, content(10));
      store.setSettled(a, [{ from: 0, to: a.nextSeq }]);
    }
    for (let i = 0; i < 2000; i++) {
      store.append(a, content(10));
      store.setSettled(a, [{ from: 0, to: a.nextSeq }]);
    }
    expect(store.status().droppedReadings).toBe(0);
    expect(store.status().bytes).toBeLessThanOrEqual(under.smallBytes);
    expect(plain(store.read(b, 0, 1))).toEqual([plainOf(kept, 0)]);
    expect(b.losses).toEqual([]);
    store.close();
  });

  test('when nothing is acknowledged the oldest readings go, each of them a loss', async () => {
    const store = await under.create(under.smallBytes);
    const dropped: number[] = [];
    store.onEvent = (event) => {
      if (event.type === 'loss') dropped.push(event.loss.to - event.loss.from);
    };
    const log = store.define(foot);
    const all = new Map<number, string>();
    while (store.status().droppedReadings < 500) {
      const frame = store.append(log, content(10))!;
      for (let i = 0; i < 10; i++)
        all.set(frame.firstSeq + i, hexOf(frame.payload.subarray(i * 4, i * 4 + 4)));
    }
    const held = bytesBySeq(store, log);
    for (const [seq, bytes] of held) expect(bytes).toBe(all.get(seq));
    expect(log.losses).toEqual([{ from: 0, to: log.nextSeq - held.size, reason: 'device-store-full' }]);
    expect(dropped.reduce((a, b) => a + b, 0)).toBe(sizeOf(log.losses));
    expect(store.status().droppedReadings).toBe(sizeOf(log.losses));
    expect(store.status().bytes).toBeLessThanOrEqual(under.smallBytes);
    store.close();
  });

  test('a store full of streams forgets one that is done, and refuses when none is', async () => {
    const store = await under.create(1024 * 1024);
    const streamOf = (i: number): StreamDefinition => ({
      ...foot,
      stream: `01890000-0000-7000-8000-${String(i).padStart(12, '0')}`,
    });
    for (let i = 0; i < 256; i++) store.define(streamOf(i));
    expect(() => store.define(streamOf(256))).toThrow(expect.objectContaining({ code: 'limit-exceeded' }));
    const log = store.logs()[7]!;
    store.end(log);
    store.finish(log);
    store.define(streamOf(256));
    expect(store.logs().length).toBe(256);
    expect(store.logs()).not.toContain(log);
    store.close();
  });
}

function testForgetting(under: StoreUnderTest): void {
  test('a log that is forgotten is gone with its readings, also unacknowledged ones; others stay', async () => {
    let store = await under.create(under.smallBytes);
    const gone = store.define(foot);
    const kept = store.define(hand);
    const before = store.append(kept, content(10))!;
    for (let i = 0; i < 50; i++) store.append(gone, content(10));
    const bytes = store.status().bytes;
    store.forget(gone);
    const check = (): void => {
      expect(store.logs().map((log) => log.definition)).toEqual([hand]);
      expect(plain(store.read(store.logs()[0]!, 0, 1))).toEqual([plainOf(before, 0)]);
      expect(store.status().droppedReadings).toBe(0);
    };
    check();
    expect(store.status().bytes).toBeLessThanOrEqual(bytes + 100);
    if (under.reopen !== undefined) {
      store = await under.reopen(store);
      check();
    }
    // Defined again, it is a stream without readings, whatever it was.
    expect(store.append(store.define(foot), content(3))!.firstSeq).toBe(0);
    store.close();
  });
}

function testLife(under: StoreUnderTest): void {
  const { reopen } = under;
  if (reopen === undefined) return;

  test('everything is there after the store was closed and opened again', async () => {
    let store = await under.create(under.smallBytes);
    const epoch = store.epoch;
    let log = store.define(foot);
    store.define(hand);
    store.append(log, content(10));
    store.skip(log, 3, 'sensor-fault');
    store.append(log, content(10, true));
    store.setSettled(log, [
      { from: 0, to: 5 },
      { from: 8, to: 10 },
    ]);
    store.setIncarnation('01890000-0000-7000-8000-00000000abcd');
    store.end(log);
    const before = { ...log };
    const bytes = bytesBySeq(store, log);
    store = await reopen(store);
    expect(store.epoch).toBe(epoch);
    expect(store.previousStoreLost).toBe(false);
    expect(store.incarnation).toBe('01890000-0000-7000-8000-00000000abcd');
    expect(store.logs().map((l) => l.definition)).toEqual([foot, hand]);
    log = store.logs()[0]!;
    for (const key of ['id', 'epoch', 'phase', 'nextSeq', 'settled', 'losses'] as const)
      expect(log[key]).toEqual(before[key]);
    expect(bytesBySeq(store, log)).toEqual(bytes);
    store.finish(log);
    store = await reopen(store);
    expect(store.logs()[0]!.phase).toBe('finished');
    store.close();
  });

  test('numbers go on where they ended, also when all readings are gone', async () => {
    let store = await under.create(under.smallBytes);
    let log = store.define(foot);
    while (sizeOf(store.held(log)) === log.nextSeq) {
      store.append(log, content(100));
      store.setSettled(log, [{ from: 0, to: log.nextSeq }]);
    }
    const next = log.nextSeq;
    store = await reopen(store);
    log = store.define(foot);
    expect(log.nextSeq).toBe(next);
    expect(store.append(log, content(1))!.firstSeq).toBe(next);
    store.close();
  });
}

function testEpochs(under: StoreUnderTest): void {
  test('a new epoch takes over what is not settled from a number on, and its losses', async () => {
    let store = await under.create(under.smallBytes);
    const old = store.define(foot);
    store.append(old, content(10));
    store.append(old, content(10));
    store.skip(old, 5, 'sensor-fault');
    store.append(old, content(10));
    store.setSettled(old, [
      { from: 0, to: 4 },
      { from: 12, to: 14 },
    ]);
    const before = bytesBySeq(store, old);
    let next = store.startEpoch(old, 10);
    const check = (): void => {
      expect(next.epoch).not.toBe(store.epoch);
      expect(next.previousStoreLost).toBe(true);
      expect(next.phase).toBe('recording');
      const expected = [10, 11, ...range(14, 20), null, null, null, null, null, ...range(25, 35)];
      const moved = bytesBySeq(store, next);
      expect(next.nextSeq).toBe(expected.length);
      expected.forEach((seq, i) => expect(moved.get(i)).toBe(seq === null ? undefined : before.get(seq)));
      expect(next.losses).toEqual([{ from: 8, to: 13, reason: 'sensor-fault' }]);
      const [kept] = store.logs();
      expect(kept!.phase).toBe('replaced');
      expect(kept!.nextSeq).toBe(10);
      expect(unsettled(kept!)).toEqual([{ from: 4, to: 10 }]);
      expect([...bytesBySeq(store, kept!).keys()]).toEqual(range(0, 10));
      expect(store.define(foot)).toBe(next);
    };
    check();
    if (under.reopen !== undefined) {
      store = await under.reopen(store);
      next = store.logs()[1]!;
      check();
    }
    expect(store.append(next, content(2))!.firstSeq).toBe(23);
    store.close();
  });

  test('a new epoch from the first number on leaves nothing of the old one', async () => {
    let store = await under.create(under.smallBytes);
    const old = store.define(foot);
    store.append(old, content(10));
    store.setSettled(old, [{ from: 0, to: 3 }]);
    const before = bytesBySeq(store, old);
    store.end(old);
    let next = store.startEpoch(old, 0);
    if (under.reopen !== undefined) {
      store = await under.reopen(store);
      next = store.logs()[0]!;
    }
    expect(store.logs()).toEqual([next]);
    expect(next.phase).toBe('ended');
    expect([...bytesBySeq(store, next).values()]).toEqual(range(3, 10).map((seq) => before.get(seq)));
    store.close();
  });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function plainOf(frame: FrameContent, firstSeq: number): unknown {
  const { count, firstUs, periodNs, deltasUs, payload } = frame;
  return {
    firstSeq,
    count,
    firstUs,
    periodNs,
    deltasUs: deltasUs === null ? null : [...deltasUs],
    payload: [...payload],
  };
}

function plain(frames: readonly (FrameContent & { firstSeq: number })[]): unknown[] {
  return frames.map((frame) => plainOf(frame, frame.firstSeq));
}
