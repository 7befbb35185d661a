import fc from 'fast-check';
import { expect, test } from 'vitest';

import { seededRandom, type Random } from '#base/random.ts';
import { sizeOf } from '#base/ranges.ts';
import { benchStream, createBench, type Bench } from '#sdk/device-bench.ts';
import {
  copyOf,
  createTestClock,
  newDatabase,
  readingsOf,
  type ModelDatabase,
  type TestClock,
} from '#sdk/device-model.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { createDiskModel, type DiskModel } from '#sdk/disk-model.ts';
import { fileStore } from '#sdk/file-store.ts';
import { memoryStore } from '#sdk/memory-store.ts';

/** A device whose process, machine, network and server fail in every order, and what must come of it. */
interface World {
  readonly clock: TestClock;
  readonly random: Random;
  database: ModelDatabase;
  backup: ModelDatabase | null;
  disk: DiskModel;
  bench: Bench;
  boots: number;
  values: number;
  /** Readings that the store took: each must be stored exactly once. */
  readonly must: Set<number>;
  /** Readings that may be stored, at most once: the store's copy went with the power. */
  readonly may: Set<number>;
  skipped: number;
  /** An old copy of the store, to be put back. */
  copy: DiskModel | null;
}

const actions = {
  push: (w: World, n: number) => w.bench.push(1 + (n % 40)),
  pass: (w: World, n: number) => w.clock.advance(n % 400),
  passLong: (w: World, n: number) => w.clock.advance((n % 40) * 1000),
  commit: (w: World) => w.bench.server?.commit(),
  commitSome: (w: World) => w.bench.server?.commit(() => w.random.next() < 0.5),
  drop: (w: World) => w.bench.server?.drop(),
  cut: (w: World) => {
    if (w.bench.server !== null) w.bench.cut();
  },
  /** The acknowledgement of this commit is lost. */
  cutAndCommit: (w: World) => {
    const { server } = w.bench;
    if (server === null) return;
    w.bench.cut();
    server.commit(() => w.random.next() < 0.7);
  },
  starve: (w: World) => w.bench.server?.setDurable(false),
  feed: (w: World) => w.bench.server?.setDurable(true),
  hide: (w: World) => {
    w.bench.isReachable = false;
  },
  show: (w: World) => {
    w.bench.isReachable = true;
  },
  skip: (w: World, n: number) => {
    w.skipped += 1 + (n % 5);
    w.bench.machine.skip(benchStream.stream, 1 + (n % 5), 'sensor-fault');
  },
  backUp: (w: World) => {
    w.backup = copyOf(w.database, w.clock);
  },
  /** The server falls back to its backup; what was committed since is gone there. */
  restore: (w: World) => {
    if (w.backup === null) return;
    w.database = copyOf(w.backup, w.clock);
    w.bench.database = w.database;
    if (w.bench.server !== null) w.bench.cut();
  },
  kill: (w: World) => restart(w, w.disk),
  /** The end of what was written last did not reach the medium. */
  losePower: (w: World, n: number) => {
    w.boots++;
    const disk = copyOfDisk(w.disk);
    const newest = [...disk.files.keys()]
      .filter((path) => path.endsWith('.kymo'))
      .toSorted()
      .at(-1)!;
    const bytes = disk.files.get(newest)!;
    disk.files.set(newest, bytes.slice(0, Math.max(disk.synced.get(newest) ?? 0, bytes.length - (n % 3000))));
    replaceDisk(w, disk);
  },
  copyStore: (w: World) => {
    w.copy = copyOfDisk(w.disk);
  },
  /** What only the life before held is gone with it, unless the server has it. */
  /** It records on, without a server to tell it anything, and may be restarted. */
  putBack: (w: World, n: number) => {
    if (w.copy === null) return;
    const { isReachable } = w.bench;
    w.bench.isReachable = false;
    replaceDisk(w, copyOfDisk(w.copy));
    w.bench.push(n % 40);
    w.clock.advance(100);
    if (n % 3 > 0) restart(w, w.disk);
    w.bench.isReachable = isReachable;
  },
} as const satisfies Record<string, (w: World, n: number) => void>;

type Action = keyof typeof actions;

/** A process opens what is left of the store; what the disk no longer has is not promised any more. */
function replaceDisk(w: World, disk: DiskModel): void {
  const before = heldValues(w.bench.store);
  restart(w, disk);
  const after = heldValues(w.bench.store);
  for (const value of before) if (!after.has(value) && w.must.delete(value)) w.may.add(value);
}

function restart(w: World, disk: DiskModel): void {
  endProcess(w);
  w.disk.nextProcess();
  w.disk = disk.nextProcess();
  w.bench = newBench(w, w.bench.isReachable);
}

/** What the store took from the process that ends here is promised from then on. */
function endProcess(w: World): void {
  for (const content of w.bench.kept) w.must.add(valueOf(content));
  w.values += w.bench.pushed.length;
  w.bench.kill();
}

function newBench(w: Omit<World, 'bench'>, isReachable = true): Bench {
  const bench = createBench({
    clock: w.clock,
    database: w.database,
    firstValue: w.values,
    durableWindow: 8000,
    store: fileStore('/store', { disk: w.disk, clock: w.clock, boot: `boot:${w.boots}` }),
  });
  bench.isReachable = isReachable;
  bench.machine.define(benchStream);
  bench.machine.start();
  return bench;
}

function newWorld(seed: number): World {
  const clock = createTestClock();
  const world = {
    clock,
    random: seededRandom(seed),
    database: newDatabase(clock),
    backup: null,
    disk: createDiskModel(),
    boots: 0,
    values: 0,
    must: new Set<number>(),
    may: new Set<number>(),
    skipped: 0,
    copy: null,
  };
  return { ...world, bench: newBench(world) };
}

function copyOfDisk(disk: DiskModel): DiskModel {
  const copy = createDiskModel();
  for (const [path, bytes] of disk.files) copy.files.set(path, bytes.slice());
  for (const [path, length] of disk.synced) copy.synced.set(path, length);
  return copy;
}

/** A reading's first axis is its own number. */
function valueOf(content: string): number {
  return Buffer.from(content.split(' ')[2]!, 'hex').readFloatLE(0);
}

function heldValues(store: DeviceStore): Set<number> {
  const held = new Set<number>();
  for (const log of store.logs())
    for (let seq = 0; ;) {
      const frames = store.read(log, seq, 1 << 20);
      const last = frames.at(-1);
      if (last === undefined) break;
      for (const { payload, count } of frames)
        for (let i = 0; i < count; i++) held.add(Buffer.from(payload).readFloatLE(i * 8));
      seq = last.firstSeq + last.count;
    }
  return held;
}

/** Everything works again, and the server commits until the device has nothing left. */
function comeToRest(w: World): void {
  w.bench.isReachable = true;
  for (let i = 0; i < 600 && !(w.bench.server !== null && w.bench.machine.isDrained()); i++) {
    w.clock.advance(200);
    w.bench.server?.setDurable(true);
    w.bench.server?.commit();
    w.clock.advance(100);
  }
  expect(w.bench.machine.status()).toMatchObject({ phase: 'online', bufferedReadings: 0 });
}

function stored(w: World): number[] {
  return readingsOf(w.database, benchStream.stream).map(valueOf);
}

const names = Object.keys(actions) as Action[];
const step = (allowed: readonly Action[]): fc.Arbitrary<[Action, number]> =>
  fc.tuple(fc.constantFrom(...allowed, 'push', 'pass', 'push', 'pass', 'commit'), fc.nat(100_000));

function run(w: World, steps: readonly [Action, number][]): void {
  for (const [name, n] of steps) actions[name](w, n);
  w.clock.advance(100);
  comeToRest(w);
  endProcess(w);
}

const without = (...left: Action[]): Action[] => names.filter((name) => !left.includes(name));

const repeated = (count: number, name: Action = 'push'): [Action, number][] =>
  Array.from({ length: count }, () => [name, 0]);

/** A copy of a life that has moved to another epoch is put back: once found with nothing, once with something acknowledged. */
const copiedTwice: [[Action, number][], number][] = [
  [
    [
      ['copyStore', 0],
      ...repeated(4),
      ['pass', 0],
      ...repeated(3),
      ['commitSome', 0],
      ['putBack', 281],
      ...repeated(5),
      ['copyStore', 0],
      ['passLong', 0],
      ['commitSome', 0],
      ...repeated(5),
      ['putBack', 0],
      ...repeated(6),
    ],
    29,
  ],
  [
    [
      ['copyStore', 0],
      ...repeated(1),
      ['pass', 0],
      ['commit', 0],
      ...repeated(3),
      ['hide', 0],
      ...repeated(8),
      ['putBack', 0],
      ...repeated(5),
      ['passLong', 1],
      ...repeated(3),
      ['copyStore', 0],
      ...repeated(2),
      ['show', 0],
      ['passLong', 2361],
      ...repeated(1),
      ['cutAndCommit', 0],
      ['putBack', 0],
    ],
    13550729,
  ],
];

test.each([
  ['failures of every kind', without('copyStore', 'putBack'), []],
  // Both at once may leave two lives of the store that no server ever saw side by side.
  ['old copies of the store that are put back', without('backUp', 'restore'), copiedTwice],
])('every reading is stored exactly once, whatever happens in whatever order: %s', (_, allowed, examples) => {
  fc.assert(
    fc.property(fc.array(step(allowed), { minLength: 30, maxLength: 120 }), fc.nat(), (steps, seed) => {
      const w = newWorld(seed);
      run(w, steps);
      const values = stored(w);
      expect(new Set(values).size).toBe(values.length);
      expect([...w.must].filter((value) => !values.includes(value))).toEqual([]);
      expect(values.filter((value) => !w.must.has(value) && !w.may.has(value))).toEqual([]);
    }),
    { numRuns: 80 + examples.length, examples },
  );
});

test('a small store that overflows declares every reading that is not stored', () => {
  const allowed = without('losePower', 'kill', 'copyStore', 'putBack');
  fc.assert(
    fc.property(fc.array(step(allowed), { minLength: 30, maxLength: 120 }), fc.nat(), (steps, seed) => {
      const clock = createTestClock();
      const database = newDatabase(clock);
      const bench = createBench({
        clock,
        database,
        store: memoryStore({ maxBytes: 8192 }),
        durableWindow: 4000,
      });
      bench.machine.define(benchStream);
      bench.machine.start();
      const w: World = { ...newWorld(seed), clock, database, bench };
      run(w, steps);
      const values = stored(w);
      expect(new Set(values).size).toBe(values.length);
      const lost = [...w.database.epochs.values()].reduce((sum, epoch) => sum + sizeOf(epoch.lost), 0);
      expect(values.length + lost).toBe(w.must.size + w.skipped);
    }),
    { numRuns: 100 },
  );
});
