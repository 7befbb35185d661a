import { expect, test } from 'vitest';

import { sizeOf } from '#base/ranges.ts';
import type { ServerMessage } from '#protocol/messages.ts';
import { createFrameBuilder } from '#sdk/device-frame.ts';
import { benchStream, createBench, type Bench } from '#sdk/device-bench.ts';
import { copyOf, createTestClock, epochOf, newDatabase, readingsOf } from '#sdk/device-model.ts';
import { memoryStore } from '#sdk/memory-store.ts';

const foot = benchStream;

/** A bench that is online with the stream open. */
function online(options: Parameters<typeof createBench>[0] = {}): Bench {
  const b = createBench(options);
  b.machine.start();
  b.machine.define(foot);
  b.clock.advance(10);
  expect(b.machine.status().phase).toBe('online');
  return b;
}

function sent(b: Bench): { seqs: number[]; liveOnly: boolean; historical: boolean }[] {
  return b.server!.received.map((m) => ({
    seqs: m.frames.flatMap((f) => Array.from({ length: f.count }, (_, i) => f.firstSeq + i)),
    liveOnly: m.liveOnly,
    historical: m.historical,
  }));
}

/** Commits until nothing is left to do, and checks that every reading is stored once. */
function expectAllStored(b: Bench): void {
  for (let i = 0; i < 200 && !b.machine.isDrained(); i++) {
    b.clock.advance(100);
    b.server?.commit();
    b.clock.advance(100);
  }
  expect(b.machine.isDrained()).toBe(true);
  expect(readingsOf(b.database, foot.stream).toSorted()).toEqual(b.pushed.toSorted());
}

function opens(b: Bench): Extract<Bench['server'], object>['messages'] {
  return b.server!.messages.filter((m) => m.type === 'open');
}

test('the first message is hello with the key, and readings of one flush interval travel in one frame', () => {
  const b = online();
  expect(b.server!.messages[0]).toEqual({ type: 'hello', version: 1, agent: 'test', key: 'secret' });
  b.push(4);
  b.clock.advance(20);
  b.push(6);
  expect(sent(b)).toEqual([]);
  b.clock.advance(40);
  expect(sent(b)).toEqual([{ seqs: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], liveOnly: false, historical: false }]);
  expectAllStored(b);
});

test('readings of a time without a connection are replayed as historical; new ones go first', () => {
  const b = createBench();
  b.machine.define(foot);
  b.isReachable = false;
  b.machine.start();
  for (let i = 0; i < 40; i++) {
    b.push(10);
    b.clock.advance(100);
  }
  expect(b.machine.status().bufferedReadings).toBe(400);
  b.isReachable = true;
  // At once: what waits longer than a second is no longer new.
  b.machine.start();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.push(3);
  b.clock.advance(60);
  const messages = sent(b);
  expect(messages[0]!.historical).toBe(false);
  const live = messages.filter((m) => !m.historical).flatMap((m) => m.seqs);
  expect(live.at(-1)).toBe(402);
  expect(live[0]).toBeGreaterThan(300);
  expect(messages.some((m) => m.historical && m.seqs[0] === 0)).toBe(true);
  expectAllStored(b);
});

test('after a reconnect only what the server lacks is sent again', () => {
  const b = online();
  b.push(10);
  b.clock.advance(60);
  b.server!.commit();
  b.push(5);
  b.clock.advance(60);
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  expect(opens(b)[0]).toMatchObject({ newest: { seq: 9 } });
  expect(sent(b)).toEqual([{ seqs: [10, 11, 12, 13, 14], liveOnly: false, historical: true }]);
  expectAllStored(b);
});

test('without durable credit the newest frames go live-only, and are stored later', () => {
  const b = online({ durableWindow: 600, liveWindow: 100_000 });
  b.server!.setDurable(false);
  for (let i = 0; i < 20; i++) {
    b.push(10);
    b.clock.advance(60);
  }
  const messages = sent(b);
  expect(messages.filter((m) => !m.liveOnly).flatMap((m) => m.seqs).length).toBe(50);
  expect(messages.filter((m) => m.liveOnly).flatMap((m) => m.seqs).length).toBe(150);
  b.server!.setDurable(true);
  expectAllStored(b);
  expect(
    sent(b)
      .filter((m) => m.historical)
      .flatMap((m) => m.seqs).length,
  ).toBe(150);
});

test('replay leaves half of the durable window to new readings', () => {
  const b = createBench({ durableWindow: 4000 });
  b.machine.define(foot);
  for (let i = 0; i < 100; i++) {
    b.push(10);
    b.clock.advance(60);
  }
  b.clock.advance(2000);
  b.machine.start();
  b.clock.advance(1);
  b.push(1);
  b.clock.advance(60);
  const bytes = b
    .server!.received.filter((m) => m.historical)
    .flatMap((m) => m.frames)
    .reduce((sum, f) => sum + 32 + f.payload.length + (f.deltasUs?.length ?? 0), 0);
  expect(bytes).toBeGreaterThan(1500);
  expect(bytes).toBeLessThanOrEqual(2000);
  expectAllStored(b);
});

test('a frame that is larger than the window is stored in parts', () => {
  const b = online({ durableWindow: 1000 });
  b.push(400);
  b.clock.advance(60);
  expectAllStored(b);
  const messages = b.server!.received.filter((m) => !m.liveOnly);
  expect(messages.length).toBeGreaterThan(4);
});

test('a device that is asked gives back the credit that it does not use, and sends within the rest', () => {
  const b = online({ durableWindow: 20_000 });
  b.push(5);
  b.clock.advance(60);
  b.server!.send({ type: 'reclaim', id: 1, durable: 32 + 5 * 8 + 300 });
  b.clock.advance(1);
  const { durable } = b.server!.messages.find((message) => message.type === 'reclaimed')!;
  expect(durable).toBe(32 + 5 * 8 + 300);
  expect(b.machine.status().durableCreditLeft).toBe(300);
  // What does not fit is shown at once, and stored in parts.
  b.push(100);
  b.clock.advance(60);
  const kinds = b.server!.received.map(({ liveOnly, historical }) => ({ liveOnly, historical }));
  expect(kinds).toContainEqual({ liveOnly: true, historical: false });
  expect(kinds).toContainEqual({ liveOnly: false, historical: true });
  b.server!.setDurable(true);
  expectAllStored(b);
});

test('replay goes on beside new readings when the window shrinks', () => {
  const b = createBench({ durableWindow: 20_000 });
  b.machine.define(foot);
  for (let i = 0; i < 200; i++) {
    b.push(10);
    b.clock.advance(60);
  }
  b.machine.start();
  b.clock.advance(200);
  b.server!.windowBytes = 3000;
  for (let i = 0; i < 100; i++) {
    b.push(2);
    b.clock.advance(60);
    b.server!.commit();
  }
  expect(b.machine.status().bufferedReadings).toBeLessThan(50);
  expectAllStored(b);
});

test('a rewind sends everything from there again that is not settled', () => {
  const b = online();
  for (let i = 0; i < 3; i++) {
    b.push(5);
    b.clock.advance(60);
  }
  b.server!.drop();
  b.clock.advance(200);
  expect(sent(b).at(-1)).toEqual({
    seqs: Array.from({ length: 15 }, (_, i) => i),
    liveOnly: false,
    historical: true,
  });
  expectAllStored(b);
});

test('a superseded device stops until it is told to start', () => {
  const b = online();
  b.push(5);
  b.cut(4501);
  b.clock.advance(60_000);
  expect(b.machine.status()).toMatchObject({ phase: 'stopped', bufferedReadings: 5 });
  expect(b.connects.length).toBe(1);
  expect(b.events.at(-1)).toMatchObject({ type: 'state', phase: 'stopped', closeCode: 4501 });
  b.machine.start();
  b.clock.advance(100);
  expectAllStored(b);
});

test('attempts to reconnect back off with full jitter up to the cap', () => {
  const b = createBench();
  b.isReachable = false;
  b.machine.start();
  b.clock.advance(600_000);
  const waits = b.connects.slice(1).map((at, i) => at - b.connects[i]!);
  expect(waits.length).toBeGreaterThan(50);
  waits.forEach((wait, i) => expect(wait).toBeLessThanOrEqual(Math.min(15_000, 250 * 2 ** i) + 1));
  const late = waits.slice(10);
  expect(late.reduce((a, w) => a + w, 0) / late.length).toBeGreaterThan(5000);
  expect(Math.min(...late)).toBeLessThan(3000);
});

// Torture runs found it: cut off for a second, a device came back 17 seconds later, since five small draws of the jitter had
// brought it to the longest wait.
test('a short outage ends shortly: no wait is longer than twice the outage so far', () => {
  const b = online();
  const returns: number[] = [];
  for (let i = 0; i < 200; i++) {
    b.clock.advance(6_000);
    b.isReachable = false;
    b.cut();
    b.clock.advance(2_000);
    b.isReachable = true;
    const reachableAtMs = b.clock.monotonicMs();
    while (b.machine.status().phase !== 'online') b.clock.advance(10);
    returns.push(b.clock.monotonicMs() - reachableAtMs);
  }
  expect(Math.max(...returns)).toBeLessThanOrEqual(4_100);
  expect(Math.max(...returns)).toBeGreaterThan(1_000);
});

test('a server that was restored gets again what is still held', () => {
  const b = online();
  b.push(10);
  b.clock.advance(60);
  b.server!.commit();
  b.clock.advance(1);
  const backup = copyOf(b.database, b.clock);
  b.push(10);
  b.clock.advance(60);
  b.server!.commit();
  b.clock.advance(1);
  expect(b.machine.status().settledReadings).toBe(20);
  b.database = backup;
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  expect(sent(b)).toEqual([
    { seqs: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19], liveOnly: false, historical: true },
  ]);
  expectAllStored(b);
});

test('a restored server is told what was acknowledged and is no longer held', () => {
  const b = online({ store: memoryStore({ maxBytes: 4096 }) });
  const empty = copyOf(b.database, b.clock);
  for (let i = 0; i < 30; i++) {
    b.push(10);
    b.clock.advance(60);
    b.server!.commit();
  }
  b.database = empty;
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  for (let i = 0; i < 10; i++) {
    b.clock.advance(100);
    b.server!.commit();
  }
  expect(b.machine.isDrained()).toBe(true);
  const [epoch] = [...b.database.epochs.values()];
  expect(epoch!.losses).toEqual([expect.objectContaining({ from: 0, reason: 'server-restored' })]);
  expect(epoch!.readings.size + sizeOf(epoch!.lost)).toBe(300);
});

test('an end of a stream that the restored server lacks is stated again', () => {
  const b = online();
  const empty = copyOf(b.database, b.clock);
  b.push(10);
  b.clock.advance(60);
  b.machine.end(foot.stream);
  expectAllStored(b);
  b.database = empty;
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  expectAllStored(b);
  b.clock.advance(100);
  b.server!.commit();
  expect(epochOf(b.database, foot.stream, b.store.epoch).isEnded).toBe(true);
});

test('an ended stream that a restored server cannot open yet is asked about again, also on a later connection', () => {
  let refusal: string | null = null;
  const b = online({ refuse: () => refusal });
  const empty = copyOf(b.database, b.clock);
  b.push(10);
  b.clock.advance(60);
  b.machine.end(foot.stream);
  expectAllStored(b);
  b.database = empty;
  refusal = 'store-unavailable';
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  refusal = null;
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  expectAllStored(b);
  expect(b.store.incarnation).toBe(empty.incarnation);
});

test('an epoch that closes an older one is opened after it, also when that one is refused for the time being', () => {
  const offline = createBench();
  offline.machine.define(foot);
  offline.push(10);
  offline.machine.stop();
  const { store, clock } = offline;
  const older = store.logs()[0]!;
  const newer = store.startEpoch(older, 5);
  let refusals = 2;
  const b = createBench({
    store,
    clock,
    refuse: ({ epoch }) => (epoch === older.epoch && refusals-- > 0 ? 'overloaded' : null),
  });
  b.pushed.push(...offline.pushed);
  b.machine.start();
  clock.advance(10);
  expect(opens(b).map((open) => open.type === 'open' && open.epoch)).toEqual([older.epoch]);
  expect(store.incarnation).toBe(null);
  while (refusals >= 0) clock.advance(10);
  clock.advance(10);
  const asked = [older.epoch, older.epoch, older.epoch, newer.epoch];
  expect(opens(b).map((open) => open.type === 'open' && open.epoch)).toEqual(asked);
  expect(store.incarnation).toBe(b.database.incarnation);
  for (let i = 0; i < 5; i++) {
    clock.advance(100);
    b.server!.commit();
  }
  expect(readingsOf(b.database, foot.stream).toSorted()).toEqual(b.pushed.toSorted());
});

test('an epoch does not wait for ever for an older one that is always refused', () => {
  const offline = createBench();
  offline.machine.define(foot);
  offline.push(10);
  offline.machine.stop();
  const { store, clock } = offline;
  const older = store.logs()[0]!;
  const newer = store.startEpoch(older, 5);
  const b = createBench({
    store,
    clock,
    refuse: ({ epoch }) => (epoch === older.epoch ? 'overloaded' : null),
  });
  b.machine.start();
  clock.advance(60_000);
  expect(opens(b)).toContainEqual(expect.objectContaining({ epoch: newer.epoch }));
});

test('an overflowing store declares what it dropped', () => {
  const b = createBench({ store: memoryStore({ maxBytes: 4096 }) });
  b.machine.define(foot);
  for (let i = 0; i < 30; i++) {
    b.push(10);
    b.clock.advance(60);
  }
  b.machine.start();
  for (let i = 0; i < 10; i++) {
    b.clock.advance(100);
    b.server?.commit();
  }
  expect(b.machine.isDrained()).toBe(true);
  const epoch = epochOf(b.database, foot.stream, b.store.epoch);
  expect(epoch.losses).toEqual([expect.objectContaining({ from: 0, reason: 'device-store-full' })]);
  expect(epoch.readings.size + sizeOf(epoch.lost)).toBe(300);
  expect(b.events.some((e) => e.type === 'loss')).toBe(true);
  expect(b.machine.status().lostReadings).toBe(sizeOf(epoch.lost));
});

test('very many losses are declared a few a second, as the protocol asks', () => {
  const b = createBench();
  const segments = ['a', 'b', 'c', 'd'];
  for (const [i, segment] of segments.entries()) {
    const stream = foot.stream.slice(0, -1) + String(i);
    const { readingBytes } = b.machine.define({ ...foot, stream, segment });
    for (let loss = 0; loss < 200; loss++) {
      b.machine.skip(stream, 1, 'sensor-fault');
      b.machine.append(stream, {
        count: 1,
        firstUs: 0,
        periodNs: 0,
        deltasUs: null,
        payload: new Uint8Array(readingBytes),
      });
    }
  }
  b.machine.start();
  const stated = (): number => b.server!.messages.filter((m) => m.type === 'tombstone').length;
  b.clock.advance(500);
  expect(stated()).toBe(512);
  for (let second = 1; stated() < 800; second++) {
    b.clock.advance(1_000);
    b.server!.commit();
    expect(stated()).toBeLessThanOrEqual(512 + (second + 1) * 64);
  }
  expect(stated()).toBe(800);
});

test('a tombstone is repeated after a reconnect until it is settled', () => {
  const b = online();
  b.push(3);
  b.clock.advance(60);
  b.machine.skip(foot.stream, 4, 'sensor-fault');
  b.push(3);
  b.clock.advance(1200);
  const tombstones = (): unknown[] => b.server!.messages.filter((m) => m.type === 'tombstone');
  expect(tombstones()).toEqual([expect.objectContaining({ from: 3, to: 7, reason: 'sensor-fault' })]);
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  expect(tombstones().length).toBe(1);
  b.server!.commit();
  b.clock.advance(1);
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(2000);
  expect(tombstones()).toEqual([]);
  expectAllStored(b);
});

test('the end of a stream is stated after a reconnect too, until the server confirms it', () => {
  const b = online();
  b.push(5);
  b.clock.advance(60);
  b.machine.end(foot.stream);
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  expectAllStored(b);
  expect(epochOf(b.database, foot.stream, b.store.epoch).isEnded).toBe(true);
  b.cut();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  expect(opens(b)).toEqual([]);
});

test('when the newest acknowledged reading differs, unacknowledged readings move to a new epoch', () => {
  const b = online();
  b.push(10);
  b.clock.advance(60);
  b.server!.commit();
  b.clock.advance(1);
  // Another copy of the store has written other readings under the same numbers.
  const stored = epochOf(b.database, foot.stream, b.store.epoch);
  stored.readings.set(9, '0 1 00');
  b.cut();
  b.push(5);
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.push(5);
  b.clock.advance(1000);
  expect(b.events.some((e) => e.type === 'epoch')).toBe(true);
  const open = opens(b).at(-1) as { epoch: string; previousStoreLost?: boolean };
  expect(open.previousStoreLost).toBe(true);
  expect(open.epoch).not.toBe(b.store.epoch);
  b.server!.commit();
  b.clock.advance(100);
  expect(b.machine.isDrained()).toBe(true);
  expect([...epochOf(b.database, foot.stream, open.epoch).readings.values()]).toEqual(b.pushed.slice(10));
});

test('numbers that this store never sent are left to the copy that did', () => {
  const clock = createTestClock();
  const database = newDatabase(clock);
  const original = online({ clock, database });
  original.push(50);
  clock.advance(60);
  original.server!.commit();
  original.cut();
  original.machine.stop();
  // The copy was made before the original sent anything: same epoch, nothing known to be acknowledged.
  const copy = createBench({ clock, database, store: memoryStore({ epoch: original.store.epoch }) });
  copy.machine.define(foot);
  copy.push(20);
  clock.advance(60);
  copy.machine.start();
  clock.advance(100);
  copy.push(20);
  clock.advance(100);
  copy.server!.commit();
  clock.advance(100);
  expect(copy.machine.isDrained()).toBe(true);
  const all = readingsOf(database, foot.stream);
  expect(all.toSorted()).toEqual([...original.pushed, ...copy.pushed].toSorted());
});

/**
 * A store of which an old copy was put back: of the first 20 numbers it knows that they are settled, `shared` more it has
 * like the server, and those up to 50 the server has from the other life.
 */
function oldCopy(shared = 0) {
  const clock = createTestClock();
  const original = online({ clock });
  const copy = online({
    clock,
    database: newDatabase(clock),
    store: memoryStore({ epoch: original.store.epoch }),
  });
  for (const b of [original, copy]) b.push(20);
  clock.advance(60);
  for (const b of [original, copy]) b.server!.commit();
  clock.advance(60);
  for (const b of [original, copy]) b.push(shared);
  clock.advance(60);
  copy.kill();
  original.push(30 - shared);
  clock.advance(60);
  original.server!.commit();
  clock.advance(60);
  original.kill();
  return { clock, original, store: copy.store };
}

test.each([
  ['readings of its own', { firstValue: 1000, count: 60, shared: 0 }],
  ['the same values at other times', { firstValue: 20, count: 60, shared: 0 }],
  ['less than the other life', { firstValue: 1000, count: 12, shared: 0 }],
  ['one reading', { firstValue: 1000, count: 1, shared: 0 }],
  ['more than the other life after unacknowledged readings', { firstValue: 1000, count: 60, shared: 7 }],
  ['less than the other life after unacknowledged readings', { firstValue: 1000, count: 3, shared: 18 }],
])('an old copy that recorded %s offline and was restarted loses none of them', (_, copied) => {
  const { firstValue, count, shared } = copied;
  const { clock, original, store } = oldCopy(shared);
  const offline = createBench({ clock, database: original.database, store, firstValue });
  offline.machine.define(foot);
  offline.push(count);
  clock.advance(100);
  offline.kill();
  const again = createBench({ clock, database: original.database, store, firstValue: 5000 });
  again.machine.define(foot);
  again.machine.start();
  again.push(10);
  for (let i = 0; i < 10; i++) {
    clock.advance(100);
    again.server!.commit();
  }
  expect(again.machine.isDrained()).toBe(true);
  expect(again.events.filter((e) => e.type === 'epoch')).toHaveLength(1);
  expect(readingsOf(original.database, foot.stream).toSorted()).toEqual(
    [...original.pushed, ...offline.pushed, ...again.pushed].toSorted(),
  );
  expect([...original.database.epochs.values()].map(({ replacedOther }) => replacedOther)).toEqual([
    false,
    true,
  ]);
});

test('a device whose last acknowledgement was lost stays in its epoch', () => {
  const b = online();
  b.push(20);
  b.clock.advance(60);
  // Committed, and cut before the device hears of it.
  b.server!.commit();
  b.cut();
  b.push(20);
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  b.server!.commit();
  b.clock.advance(100);
  expect(b.machine.isDrained()).toBe(true);
  expect(b.database.epochs.size).toBe(1);
  expectAllStored(b);
});

test('an error about one stream closes that stream only, and its readings are kept', () => {
  const other = { ...foot, stream: '01890000-0000-7000-8000-000000000002' };
  const b = createBench({
    refuse: (open) => (open.definition.stream === other.stream ? 'stream-mismatch' : null),
  });
  b.machine.define(foot);
  b.machine.define(other);
  b.machine.start();
  b.clock.advance(10);
  const frame = createFrameBuilder(other);
  frame.push([1, 2], b.clock.nowUs(), () => undefined);
  b.machine.append(other.stream, frame.take()!);
  b.push(5);
  b.clock.advance(5000);
  expect(b.events.find((e) => e.type === 'refused')).toMatchObject({ code: 'stream-mismatch' });
  expect(sent(b).flatMap((m) => m.seqs)).toEqual([0, 1, 2, 3, 4]);
  b.server!.commit();
  b.clock.advance(1);
  expect(b.machine.status().bufferedReadings).toBe(1);
});

test('a temporary refusal is asked again', () => {
  let refusals = 2;
  const b = createBench({ refuse: () => (refusals-- > 0 ? 'store-unavailable' : null) });
  b.machine.define(foot);
  b.machine.start();
  b.push(5);
  b.clock.advance(10_000);
  expect(opens(b).length).toBe(3);
  expectAllStored(b);
});

test('a command is reported once and its answer repeated', () => {
  const b = online();
  const command: ServerMessage = { type: 'command', id: foot.session, name: 'start', argument: 'walk' };
  b.server!.send(command);
  b.clock.advance(1);
  b.machine.answerCommand(foot.session, true, 'walking');
  b.server!.send(command);
  b.clock.advance(1);
  expect(b.events.filter((e) => e.type === 'command')).toEqual([
    { type: 'command', id: foot.session, name: 'start', argument: 'walk' },
  ]);
  const results = b.server!.messages.filter((m) => m.type === 'commandResult');
  expect(results).toEqual([
    { type: 'commandResult', id: foot.session, ok: true, message: 'walking' },
    { type: 'commandResult', id: foot.session, ok: true, message: 'walking' },
  ]);
});

test('a server that says bye is left for the time it asks', () => {
  const b = online();
  b.server!.send({ type: 'bye', afterMs: 3000 });
  b.clock.advance(2900);
  expect(b.connects.length).toBe(1);
  b.clock.advance(2000);
  expect(b.connects.length).toBe(2);
  expect(b.machine.status().phase).toBe('online');
});

test('a silent server is left after three heartbeats', () => {
  const b = online({ timing: { probeMs: 1_000_000, probeBurst: 1 } });
  b.clock.advance(14_000);
  expect(b.machine.status().phase).toBe('online');
  expect(b.server!.messages.filter((m) => m.type === 'heartbeat').length).toBe(2);
  b.clock.advance(2500);
  expect(b.events.some((e) => e.type === 'state' && e.phase === 'waiting' && e.closeCode === 4001)).toBe(
    true,
  );
});

test('a server that never acknowledges is left, and the readings are sent again', () => {
  const b = online();
  b.push(5);
  b.clock.advance(31_500);
  expect(b.connects.length).toBe(2);
  expectAllStored(b);
});

test('a server that stops to acknowledge just before it is checked is left all the same', () => {
  const b = online({ timing: { stallMs: 1_999, starvedStallMs: 1_999 } });
  b.push(5);
  b.clock.advance(500);
  b.push(5);
  b.clock.advance(440);
  let taken = 0;
  b.server!.commit(() => taken++ === 0);
  b.clock.advance(3_500);
  expect(b.connects.length).toBe(2);
  expectAllStored(b);
});

test('what the disk did not give back when it was sent is sent later, while newer readings are acknowledged', () => {
  const b = createBench();
  b.machine.define(foot);
  b.machine.append(foot.stream, {
    count: 20,
    firstUs: 1,
    periodNs: 5_000_000,
    deltasUs: null,
    payload: new Uint8Array(160),
  });
  b.clock.advance(2000);
  const { read } = b.store;
  b.store.read = () => [];
  b.machine.start();
  b.clock.advance(100);
  b.store.read = read;
  const stored = (): number => readingsOf(b.database, foot.stream).length;
  for (let i = 0; i < 29; i++) {
    b.push(1);
    b.clock.advance(1000);
    b.server!.commit();
  }
  expect(stored()).toBe(29);
  for (let i = 0; i < 4; i++) {
    b.clock.advance(1000);
    b.server!.commit();
  }
  expect(stored()).toBe(49);
  expect(b.connects.length).toBe(1);
});

test('a loss that the server let go of is stated again on the same connection', () => {
  const b = online();
  b.push(5);
  b.clock.advance(60);
  const server = b.server!;
  const { text } = server;
  server.text = (json) => void (json.includes('tombstone') || text(json));
  b.machine.skip(foot.stream, 3, 'sensor-fault');
  b.clock.advance(2000);
  server.text = text;
  for (let i = 0; i < 29; i++) {
    b.push(1);
    b.clock.advance(1000);
    b.server!.commit();
  }
  expect(b.machine.isDrained()).toBe(false);
  b.clock.advance(5000);
  b.server!.commit();
  b.clock.advance(100);
  expect(b.machine.isDrained()).toBe(true);
  expect(b.connects.length).toBe(1);
});

test('a malformed server message leads to another attempt, an unknown type to nothing', () => {
  const b = online();
  b.machine.message(JSON.stringify({ type: 'weather', rain: true }));
  expect(b.machine.status().phase).toBe('online');
  b.machine.message(JSON.stringify({ type: 'ack', streams: 'all' }));
  expect(b.machine.status().phase).toBe('waiting');
});

test('the clock offset is measured in a burst and reported', () => {
  const b = online({ offsetUs: 5_000_000 });
  b.clock.advance(1000);
  const clocks = b.server!.messages.filter((m) => m.type === 'clock');
  expect(clocks.length).toBe(2);
  expect(clocks[1]).toMatchObject({ offsetUs: 5_000_000, roundTripUs: 0 });
  expect(b.server!.messages.filter((m) => m.type === 'probe').length).toBe(8);
  b.clock.advance(20_000);
  expect(b.server!.messages.filter((m) => m.type === 'probe').length).toBe(10);
});

test('a wall clock that was set is measured anew', () => {
  const b = online({ offsetUs: 0 });
  b.clock.advance(1000);
  b.clock.setWall(0);
  b.clock.advance(20_000);
  // The server's clock in this model moved along, so only the number of probes tells.
  expect(b.server!.messages.filter((m) => m.type === 'probe').length).toBeGreaterThan(16);
});

test('a regress of the acknowledgement within a connection is followed', () => {
  const b = online();
  b.push(20);
  b.clock.advance(60);
  b.server!.commit();
  b.clock.advance(60);
  const stored = epochOf(b.database, foot.stream, b.store.epoch);
  stored.committed = [{ from: 0, to: 8 }];
  for (let seq = 8; seq < 20; seq++) stored.readings.delete(seq);
  b.server!.commit();
  b.clock.advance(200);
  expect(sent(b).at(-1)!.seqs).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  expectAllStored(b);
});

/** A bench with readings that were never acknowledged, whose stream the server has erased meanwhile. */
function erasedMeanwhile(): Bench {
  const b = online();
  b.push(10);
  b.clock.advance(60);
  b.server!.commit();
  b.push(10);
  b.clock.advance(60);
  b.cut();
  b.database.erased.add(foot.stream);
  return b;
}

test('a device drops what it holds of an erased stream, says so, and gives the reference back', () => {
  const b = erasedMeanwhile();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  expect(b.events).toContainEqual({ type: 'discarded', stream: foot.stream, session: foot.session });
  expect(b.store.logs()).toEqual([]);
  expect(b.server!.messages.filter((m) => m.type === 'close')).toEqual([
    { type: 'close', ref: 0, next: 20, ended: true },
  ]);
  expect(sent(b)).toEqual([]);
  expect(b.machine.isDrained()).toBe(true);
  expect(b.machine.status()).toMatchObject({ bufferedReadings: 0, storeBytes: 0 });
});

test('what is still recorded of an erased stream is counted, not kept and not sent; its end is quiet', () => {
  const b = erasedMeanwhile();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  b.push(7);
  b.machine.skip(foot.stream, 2, 'sensor-fault');
  b.clock.advance(1_000);
  expect(b.store.logs()).toEqual([]);
  expect(sent(b)).toEqual([]);
  expect(b.machine.status().discardedReadings).toBe(9);
  b.machine.end(foot.stream);
  expect(b.machine.isDrained()).toBe(true);
});

test('a stream that is erased while it is open is dropped as well', () => {
  const b = online();
  b.push(10);
  b.clock.advance(60);
  b.server!.send({ type: 'opened', ref: 0, settled: { next: 2 ** 53 - 1, ranges: [] }, discarded: true });
  b.clock.advance(10);
  expect(b.events).toContainEqual({ type: 'discarded', stream: foot.stream, session: foot.session });
  expect(b.store.logs()).toEqual([]);
});

test('an erased stream that the program begins again is asked for again, and dropped again', () => {
  const b = erasedMeanwhile();
  while (b.machine.status().phase !== 'online') b.clock.advance(10);
  b.clock.advance(100);
  b.machine.define(foot);
  b.push(5);
  b.clock.advance(100);
  expect(b.events.filter((event) => event.type === 'discarded')).toHaveLength(2);
  expect(b.store.logs()).toEqual([]);
});

test('every epoch of an erased stream is dropped', () => {
  const b = createBench();
  b.machine.define(foot);
  b.push(10);
  b.store.append(b.store.logs()[0]!, { ...createContent(), count: 5 });
  b.store.startEpoch(b.store.logs()[0]!, 2);
  expect(b.store.logs()).toHaveLength(2);
  b.database.erased.add(foot.stream);
  const again = createBench({ store: b.store, clock: b.clock, database: b.database });
  b.kill();
  again.machine.start();
  b.clock.advance(100);
  expect(b.store.logs()).toEqual([]);
  expect(again.events.filter((event) => event.type === 'discarded').length).toBeGreaterThan(0);
});

function createContent() {
  return { firstUs: 0, periodNs: 5_000_000, deltasUs: null, payload: new Uint8Array(40) };
}
