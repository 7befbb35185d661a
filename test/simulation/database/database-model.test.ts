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
  expect(await setting.settle(server.database.backend.greet(device))).toMatchObject({ generation: 1 });
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
