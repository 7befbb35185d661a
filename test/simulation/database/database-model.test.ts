import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import { seededRandom } from '#base/random.ts';
import type { DeviceIdentity, StreamHandle } from '#contract/readings.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createWriter, type Writer } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';
import { createDatabaseModel } from '#test/simulation/database/database-model.ts';
import type {
  CommittedChange,
  DatabaseModel,
  ServerDatabase,
} from '#test/simulation/database/database-types.ts';
import {
  createScheduler,
  createSimulatedClock,
  type Process,
  type Scheduler,
} from '#test/simulation/scheduler.ts';
import { createTestSource, type TestSource } from '#test/support/frame-source.ts';
import { frameOf, payloadOf, streamHandle } from '#test/support/frames.ts';

const { orgId, deviceId } = streamHandle();
const device: DeviceIdentity = { orgId, deviceId };
const epoch = '00000000000000aa';

interface Server {
  readonly process: Process;
  readonly database: ServerDatabase;
  readonly writer: Writer;
}

interface Setting {
  readonly scheduler: Scheduler;
  readonly model: DatabaseModel;
  readonly commits: CommittedChange[];
  server(): Server;
  /** Runs on until the promise has settled. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

function createSetting(seed = 1): Setting {
  const scheduler = createScheduler(seed);
  const model = createDatabaseModel(scheduler);
  const commits: CommittedChange[] = [];
  model.onCommit = (change) => commits.push(change);
  model.faults.addDevice('key', device);
  let servers = 0;
  return {
    scheduler,
    model,
    commits,
    server() {
      const process = scheduler.process(`server ${servers++}`);
      const database = model.connect(process);
      const clock = createSimulatedClock(scheduler, 1.7e15, () => process);
      const random = seededRandom(seed);
      const writer = createWriter({
        database: database.writer,
        config: defaultWriterConfig,
        clock,
        random: () => random.next(),
        log: silentLog,
      });
      return { process, database, writer };
    },
    async settle(promise) {
      let isSettled = false;
      const settled = promise.finally(() => {
        isSettled = true;
      });
      settled.catch(() => undefined);
      await scheduler.run(scheduler.nowMs + 120_000, () => isSettled);
      return await settled;
    },
  };
}

async function open(
  { settle }: Setting,
  { database }: Server,
  request: { definition?: Partial<StreamDefinition>; epoch?: string; previousStoreLost?: boolean } = {},
): Promise<StreamHandle> {
  const opened = await settle(
    database.backend.openStream(device, {
      definition: { ...streamHandle('a').definition, ...request.definition },
      epoch: request.epoch ?? epoch,
      previousStoreLost: request.previousStoreLost ?? false,
    }),
  );
  if (!opened.ok) throw new Error(opened.error.message);
  return opened.value.handle;
}

function offer({ writer }: Server, source: TestSource, from: number, to: number): void {
  for (let seq = from; seq < to; seq += 50) source.push(frameOf(source.handle, seq, Math.min(50, to - seq)));
  writer.due(source);
}

/** Every reading [0, to) is stored once, bit-equal. */
function expectStored({ model }: Setting, { key }: StreamHandle, to: number): void {
  const table = model.tables.epochs.get(key)!;
  expect(table.committed).toEqual([{ from: 0, to }]);
  const chunks = [...table.chunks].toSorted((a, b) => a.firstSeq - b.firstSeq);
  expect(chunks.reduce((sum, chunk) => sum + chunk.n, 0)).toBe(to);
  expect(Buffer.concat(chunks.map(({ payload }) => payload)).equals(payloadOf(0, to))).toBe(true);
  expect(chunks.flatMap(({ timesUs }) => [...timesUs])).toEqual(
    Array.from({ length: to }, (_, i) => i * 5_000),
  );
}

test('what the writer commits is in the tables, told within the commit, and rolled up', async () => {
  const setting = createSetting();
  const server = setting.server();
  expect(await setting.settle(server.database.backend.authenticate('key', ''))).toEqual(device);
  expect(await setting.settle(server.database.backend.authenticate('other', ''))).toBeNull();
  expect(await setting.settle(server.database.backend.greet(device))).toMatchObject({
    generation: expect.any(Number),
  });
  const handle = await open(setting, server);
  const source = createTestSource(handle);
  source.declare({ from: 1_300, to: 1_310, reason: 'sensor-fault' });
  offer(server, source, 0, 1_200);
  await setting.settle(server.writer.drain(10_000));
  expect(source.heard).toEqual(['settled']);
  expectStored(setting, handle, 1_200);
  const table = setting.model.tables.epochs.get(handle.key)!;
  expect(table.lost).toEqual([{ from: 1_300, to: 1_310 }]);
  expect(table.losses).toEqual([{ from: 1_300, to: 1_310, reason: 'sensor-fault' }]);
  expect(setting.commits.flatMap(({ epochs }) => epochs)).toMatchObject([
    { key: handle.key, added: [{ from: 0, to: 1_200 }], declared: [{ from: 1_300, to: 1_310 }] },
  ]);
  const checksum = await setting.settle(server.database.backend.checksumOf(handle, 1_199));
  expect(checksum?.timeUs).toBe(1_199 * 5_000);
  expect(await setting.settle(server.database.backend.checksumOf(handle, 1_200))).toBeNull();

  await setting.settle(server.database.rollUp());
  const rolled = setting.model.tables.epochs.get(handle.key)!;
  expect(rolled.rolled).toEqual([{ from: 0, to: 1_200 }]);
  const seconds = [...rolled.rollups.values()].filter(({ bucketUs }) => bucketUs === 1_000_000);
  expect(seconds.map(({ counts }) => counts.slice(0, 7))).toEqual([
    Float64Array.of(200, 200, 200, 200, 200, 200, 0),
  ]);
});

test.each([
  ['answer-lost', [600]],
  ['dies-before', [0]],
  ['dies-during', [0, 600]],
] as const)('of a COMMIT that %s, the guard tells what became of it', async (fate, duplicates) => {
  const setting = createSetting();
  const server = setting.server();
  const source = createTestSource(await open(setting, server));
  setting.model.faults.nextCommit(fate);
  offer(server, source, 0, 600);
  await setting.settle(server.writer.drain(10_000));
  expect(server.writer.counters.failures.gone).toBe(1);
  expect(duplicates).toContain(server.writer.counters.duplicateReadings);
  expectStored(setting, source.handle, 600);
});

test('a crash ends what is open and takes only commits that nobody waited for', async () => {
  let lostOpenings = 0;
  for (let seed = 0; seed < 20; seed++) {
    const setting = createSetting(seed);
    const server = setting.server();
    const handle = await open(setting, server);
    const source = createTestSource(handle);
    offer(server, source, 0, 600);
    await setting.settle(server.writer.drain(10_000));
    const second = await open(setting, server, {
      definition: { stream: streamHandle('b').definition.stream },
    });
    setting.model.faults.crash(500);
    expectStored(setting, handle, 600);
    if (!setting.model.tables.epochs.has(second.key)) lostOpenings++;
    offer(server, source, 600, 700);
    await setting.settle(server.writer.drain(20_000));
    expectStored(setting, handle, 700);
  }
  expect(lostOpenings).toBeGreaterThan(0);
  expect(lostOpenings).toBeLessThan(20);
});

test('an opening that is older than the delay of the log survives a crash', async () => {
  const setting = createSetting();
  const handle = await open(setting, setting.server());
  await setting.scheduler.run(setting.scheduler.nowMs + 700);
  setting.model.faults.crash(100);
  expect(setting.model.tables.epochs.has(handle.key)).toBe(true);
});

test('a server that stops at any step of a flush gives its rows up, and writes nothing twice when it wakes up', async () => {
  const seen = { waits: 0, idleTimeouts: 0, terminatedBlockers: 0 };
  for (let stopMs = 0; stopMs < 9; stopMs += 0.3) {
    const setting = createSetting();
    const { scheduler, model } = setting;
    const [zombie, heir] = [setting.server(), setting.server()];
    const handle = await open(setting, zombie);
    const [old, fresh] = [createTestSource(handle), createTestSource(handle)];
    offer(zombie, old, 0, 600);
    await scheduler.run(scheduler.nowMs + stopMs);
    zombie.process.stop();
    offer(heir, fresh, 0, 700);
    await setting.settle(heir.writer.drain(20_000));
    expectStored(setting, handle, 700);
    zombie.process.resume();
    await setting.settle(zombie.writer.drain(20_000));
    expect(old.heard).toEqual(['settled']);
    expectStored(setting, handle, 700);
    seen.waits += model.counters.lockWaits;
    seen.idleTimeouts += model.counters.idleTimeouts;
    seen.terminatedBlockers += model.counters.terminatedBlockers;
  }
  expect(seen.waits).toBeGreaterThan(0);
  expect(seen.terminatedBlockers).toBeGreaterThan(0);
});

test('a dead server holds its rows until somebody notices', async () => {
  for (let killMs = 0; killMs < 9; killMs += 0.3) {
    const setting = createSetting(Math.round(killMs * 10));
    const { scheduler } = setting;
    const [dead, heir] = [setting.server(), setting.server()];
    const handle = await open(setting, dead);
    const [old, fresh] = [createTestSource(handle), createTestSource(handle)];
    offer(dead, old, 0, 600);
    await scheduler.run(scheduler.nowMs + killMs);
    dead.process.kill();
    offer(heir, fresh, 0, 700);
    await setting.settle(heir.writer.drain(20_000));
    expect(fresh.heard).toEqual(['settled']);
    expectStored(setting, handle, 700);
  }
});

test('a full disk, a missing partition and a frozen database delay, and nothing more', async () => {
  const setting = createSetting();
  const { model, scheduler } = setting;
  const server = setting.server();
  const handle = await open(setting, server);
  const source = createTestSource(handle);
  model.faults.setDiskFull(true);
  offer(server, source, 0, 600);
  await scheduler.run(scheduler.nowMs + 3_000);
  expect(server.writer.counters.failures.gone).toBeGreaterThan(1);
  await expect(setting.settle(server.database.backend.greet(device))).rejects.toMatchObject({
    code: 'overloaded',
  });
  model.faults.setDiskFull(false);
  await setting.settle(server.writer.drain(20_000));
  expectStored(setting, handle, 600);

  model.faults.missPartition();
  offer(server, source, 600, 700);
  await setting.settle(server.writer.drain(20_000));
  expect(server.writer.counters.failures.partition).toBe(1);
  expectStored(setting, handle, 700);

  const beforeMs = scheduler.nowMs;
  model.faults.freeze(2_000);
  offer(server, source, 700, 800);
  await setting.settle(server.writer.drain(20_000));
  expect(scheduler.nowMs - beforeMs).toBeGreaterThan(2_000);
  expectStored(setting, handle, 800);
});

test('a caller of a database that does not answer hears so after the time that the pools have', async () => {
  const setting = createSetting();
  const server = setting.server();
  await setting.settle(server.database.backend.greet(device));
  setting.model.faults.freeze(60_000);
  const beforeMs = setting.scheduler.nowMs;
  const greetings = [server.database.backend.greet(device), server.database.backend.greet(device)];
  const answers = await setting.settle(Promise.allSettled(greetings));
  expect(answers).toMatchObject([
    { reason: { code: 'store-unavailable' } },
    { reason: { code: 'store-unavailable' } },
  ]);
  expect(setting.scheduler.nowMs - beforeMs).toBeCloseTo(15_000, -3);
});

test('a refused stream is found among others', async () => {
  const setting = createSetting();
  const server = setting.server();
  const handles = [];
  for (const name of ['a', 'b', 'c'])
    handles.push(
      await open(setting, server, { definition: { stream: streamHandle(name).definition.stream } }),
    );
  const sources = handles.map((handle) => createTestSource(handle));
  setting.model.faults.refuseStream(handles[1]!.definition.stream);
  for (const source of sources) offer(server, source, 0, 100);
  await setting.settle(server.writer.drain(20_000));
  expect(sources.map(({ heard }) => heard)).toEqual([['settled'], ['refused'], ['settled']]);
});

test('a restore goes back to the back-up, and a failover loses the newest commits, each as a new incarnation', async () => {
  const setting = createSetting();
  const { model, scheduler } = setting;
  const server = setting.server();
  const handle = await open(setting, server);
  const source = createTestSource(handle);
  const flush = async (from: number, to: number): Promise<void> => {
    offer(server, source, from, to);
    await setting.settle(server.writer.drain(20_000));
  };
  await flush(0, 600);
  const incarnations = new Set([model.incarnation]);
  model.faults.backUp();
  await flush(600, 800);
  model.faults.restore();
  incarnations.add(model.incarnation);
  expectStored(setting, handle, 600);
  await flush(600, 700);
  expectStored(setting, handle, 700);
  await scheduler.run(scheduler.nowMs + 1_000);
  await flush(700, 800);
  model.faults.failover(500);
  incarnations.add(model.incarnation);
  expectStored(setting, handle, 700);
  await flush(700, 900);
  model.faults.failover(0);
  incarnations.add(model.incarnation);
  expectStored(setting, handle, 900);
  await flush(900, 950);
  expect(incarnations.size).toBe(4);
  expect(await setting.settle(server.database.backend.incarnation())).toBe(model.incarnation);
});

test('what is erased is gone, its writer hears of it, and it is not opened again', async () => {
  const setting = createSetting();
  const server = setting.server();
  const handle = await open(setting, server);
  const source = createTestSource(handle);
  offer(server, source, 0, 600);
  await setting.settle(server.writer.drain(20_000));
  await setting.settle(server.database.rollUp());
  setting.model.faults.crash(300);
  await setting.settle(setting.model.faults.erase(handle.definition.session));
  const { epochs, streams, erased } = setting.model.tables;
  expect([epochs.size, streams.size, [...erased]]).toEqual([0, 0, [handle.definition.session]]);
  offer(server, source, 600, 650);
  await setting.settle(server.writer.drain(20_000));
  expect(source.heard).toEqual(['settled', 'unknown']);
  expect(await setting.settle(server.database.backend.isErased(handle))).toBe(true);
  await expect(open(setting, server)).rejects.toThrow('erased');
});

test('the same seed is the same history', async () => {
  const run = async (): Promise<unknown> => {
    const setting = createSetting(7);
    const [one, two] = [setting.server(), setting.server()];
    const handle = await open(setting, one);
    const sources = [createTestSource(handle), createTestSource(handle)];
    setting.model.faults.nextCommit('dies-during');
    offer(one, sources[0]!, 0, 900);
    offer(two, sources[1]!, 300, 1_200);
    setting.scheduler.after(3, null, () => setting.model.faults.killBackends());
    setting.scheduler.after(700, null, () => setting.model.faults.crash(200));
    await setting.settle(Promise.all([one.writer.drain(20_000), two.writer.drain(20_000)]));
    const { scheduler, model, commits } = setting;
    return [
      scheduler.events,
      scheduler.nowMs,
      { ...model.counters },
      commits.length,
      sources.map((s) => s.heard),
    ];
  };
  expect(await run()).toEqual(await run());
});
